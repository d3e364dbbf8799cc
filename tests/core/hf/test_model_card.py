"""The first words of a model card."""

import time

import pytest

from modelcellar.hf.model_card import MAX_SUMMARY, summary_of


@pytest.mark.parametrize(
    ("card", "summary"),
    [
        (b"---\nlicense: mit\n---\n# Toy\n\nA toy that is made for tests.\n", True),
        (b"# Toy\n\n![logo](x.png) [![b](c)](d)\n\nA toy that is made for tests.\n", True),
        (b"\xef\xbb\xbf# Toy\r\n\r\nA toy that is\r\nmade for tests.\r\n", True),
        (b"<!-- hidden\n\nwords here are not shown -->\nA toy that is made for tests.", True),
        (b"<div align='center'>A **toy** that is [made](http://x) for `tests`.</div>", True),
        (b"```python\nprint('a b c d e')\n```\n\nA toy that is made for tests.\n", True),
        (b"# Only a title\n", False),
        (b"", False),
        (b"---\nbase_model: x\n---\n", False),
        (b"| a | b | c | d |\n|---|---|---|---|\n", False),
        (b"\xff\xfe\x00", False),
    ],
)
def test_cards(card: bytes, summary: bool) -> None:
    expected = "A toy that is made for tests." if summary else None
    assert summary_of(card) == expected


def test_a_long_one_is_cut_at_a_word() -> None:
    found = summary_of(b"word " * 1000)
    assert found is not None
    assert found.endswith("word...")
    assert len(found) <= MAX_SUMMARY + 3


@pytest.mark.parametrize("text", [b"[", b"![", b"<a ", b"<!--", b"```\n", b"---\n", b"[x](", b"*"])
def test_hostile_cards_cost_no_time(text: bytes) -> None:
    began = time.process_time()
    summary_of(text * (1 << 18))
    assert time.process_time() - began < 5
