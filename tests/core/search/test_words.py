"""How a name is cut into words."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.search.words import has_cjk, search_words, segments, word_tokens


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("sd_xl_base_1.0", ["sd", "xl", "base", "1", "0"]),
        ("FLUX.1-dev", ["flux", "1", "dev"]),
        ("Q4_K_M", ["q", "4", "k", "m"]),
        ("DreamShaperXL", ["dream", "shaper", "xl"]),
        ("ponyDiffusionV6XL", ["pony", "diffusion", "v", "6", "xl"]),
        ("SDXLBase", ["sdxl", "base"]),
        ("SDXLv2", ["sdxl", "v", "2"]),
        ("Qwen2.5-VL-7B", ["qwen", "2", "5", "vl", "7", "b"]),
        ("fp8_e4m3fn", ["fp", "8", "e", "4", "m", "3", "fn"]),
        ("café Ångström", ["cafe", "angstrom"]),
        ("cafe\u0301", ["cafe"]),
        ("ＦＬＵＸ１", ["flux", "1"]),
        ("ﬁne", ["fine"]),
        ("Straße", ["strasse"]),
        ("йод", ["иод"]),
        ("日本語モデルv2", ["日", "本", "語", "モ", "デ", "ル", "v", "2"]),
        ("ｶﾞ", ["ガ"]),
        ("か\u3099", ["が"]),
        ("모델-v2", ["모", "델", "v", "2"]),
        ("สวัสดี", ["สวัสดี"]),
        ("🔥 --- !!", []),
        ("", []),
        ("a\ud800b\0c", ["a", "b", "c"]),
    ],
)
def test_segments(text: str, cut: list[str]) -> None:
    assert segments(text) == cut


def test_search_words_hold_segments_and_joins() -> None:
    words = search_words("sd_xl_base_1.0").split()
    assert {"sd", "xl", "base", "sdxl", "xlbase", "sdxlbase", "sdxlbase1", "xlbase10"} <= set(words)
    assert "sdxlbase10" not in words, "a join has four segments at most"
    assert len(words) == len(set(words))


def test_search_words_read_capitals_both_ways() -> None:
    words = search_words("RealVisXL_V5.0").split()
    assert {"vis", "realvis", "realvisxl", "realvisxlv5"} <= set(words)


def test_search_words_of_cjk_are_characters_and_bigrams() -> None:
    assert search_words("SDXL模型库v2").split() == [
        "sdxl",
        "模",
        "型",
        "库",
        "模型",
        "型库",
        "v",
        "2",
        "v2",
    ]


def test_joins_do_not_cross_texts() -> None:
    assert search_words("sd", "xl").split() == ["sd", "xl"]


def test_search_words_are_bounded() -> None:
    started = time.process_time()
    words = search_words("a1" * 5_000_000, "never reached")
    assert time.process_time() - started < 1
    assert len(words) < 200
    assert len(search_words("".join(random.Random(1).choices("aB1-日", k=100_000)))) < 100_000
    assert "reached" not in words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("dev", ["dev"]),
        ("Q4_K_M", ["q4km"]),
        ("flux1-dev-fp8", ["flux1devfp", "1devfp8"]),
        ("模", ["模"]),
        ("日本語", ["日本", "本語"]),
        ("", []),
    ],
)
def test_word_tokens(text: str, tokens: list[str]) -> None:
    assert word_tokens(text) == tokens


def test_has_cjk() -> None:
    assert has_cjk("sdxl 模型")
    assert not has_cjk("sdxl model・")


@settings(max_examples=2_000, deadline=None, database=None)
@given(st.text(st.characters(codec=None), max_size=80))
def test_a_name_has_every_word_of_itself(name: str) -> None:
    words = search_words(name).split()
    assert set(word_tokens(name)) <= set(words)
    assert set(segments(name)) <= set(words)
    assert all(word == word.casefold() for word in segments(name))
