"""The ledger: what is put in comes out, in spite of odd names, numbers and files."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.errors import LibraryFormatError
from modelcellar.link_records import App, Change, Link, LinkKind
from modelcellar.links.ledger import Ledger

ODD = os.fsdecode(b"models/loras/caf\xe9 \xff.safetensors")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    made = Ledger(tmp_path / "state" / "links")
    yield made
    made.close()


def link(target: Path, **changes: object) -> Link:
    """A link of which everything is made up."""
    made = Link(
        target=target,
        app="comfyui",
        model_id="one-12345678",
        path="one.safetensors",
        kind=LinkKind.SYMLINK,
        source="models/one-12345678/one.safetensors",
        sha256="ab" * 32,
        size_bytes=5,
        device=1,
        inode=2,
        mtime_ns=3,
        made_at="2030-01-01T00:00:00.000000Z",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_names_that_are_not_utf8_and_numbers_of_64_bits(ledger: Ledger, tmp_path: Path) -> None:
    whole = link(tmp_path / ODD, path=ODD, source=f"models/x/{ODD}", device=2**64 - 1, inode=2**63)
    ledger.made([whole])
    assert ledger.links() == [whole]
    ledger.gone([whole.target])
    assert ledger.links() == []


def test_links_of_one_application_or_model(ledger: Ledger, tmp_path: Path) -> None:
    one, two = link(tmp_path / "a"), link(tmp_path / "b", app="forge")
    three = link(tmp_path / "c", model_id="two-12345678")
    ledger.made([three, one, two])
    assert ledger.links("comfyui") == [one, three]
    assert ledger.links(model_id="one-12345678") == [one, two]
    assert ledger.links("forge", "two-12345678") == []


def test_an_intent_becomes_a_link_and_leaves_what_was_there(ledger: Ledger, tmp_path: Path) -> None:
    old = link(tmp_path / "a")
    new = replace(old, kind=LinkKind.HARDLINK, inode=9)
    ledger.made([old])
    ledger.intend([new], gone=[(old, b"text")], entry_id="e")
    assert ledger.links() == [old]
    assert ledger.intents() == [new]
    ledger.made([new])
    assert ledger.links() == [new]
    assert ledger.intents() == []
    assert ledger.changes("e") == [Change(False, old, b"text"), Change(True, new)]
    assert ledger.changes("f") == []
    ledger.forget_changes("e")
    assert ledger.changes("e") == []


def test_nothing_came_of_an_intent(ledger: Ledger, tmp_path: Path) -> None:
    old = link(tmp_path / "a")
    ledger.made([old])
    ledger.intend([replace(old, inode=9)])
    ledger.gone([old.target], intents_only=True)
    assert ledger.links() == [old]
    assert ledger.intents() == []


def test_folders_come_outermost_first_and_are_of_who_made_them(
    ledger: Ledger, tmp_path: Path
) -> None:
    inner, outer = tmp_path / "a" / "b", tmp_path / "a"
    ledger.intend([], folders=[(inner, "comfyui"), (outer, "comfyui"), (tmp_path / "c", "forge")])
    ledger.intend([], folders=[(outer, "forge")])
    assert ledger.made_folders("comfyui") == [outer, inner]
    assert ledger.made_folders("forge") == [tmp_path / "c"]
    ledger.forget_folders([inner])
    assert ledger.made_folders("comfyui") == [outer]


def test_entries_of_other_machines_are_not_known(ledger: Ledger) -> None:
    ledger.note_entry("e")
    assert ledger.knows_entry("e")
    assert not ledger.knows_entry("f")
    ledger.forget_changes("e")
    assert not ledger.knows_entry("e")


def test_applications_are_kept_by_name(ledger: Ledger, tmp_path: Path) -> None:
    first = App("forge", "forge", tmp_path / os.fsdecode(b"caf\xe9"), only="type:lora")
    second = App("a", "comfyui", tmp_path, LinkKind.COPY, folders={"vae": ""}, added_at="now")
    ledger.add_app(first)
    ledger.add_app(second)
    assert ledger.apps() == (second, first)
    changed = replace(first, link=LinkKind.HARDLINK)
    ledger.add_app(changed)
    assert ledger.apps() == (second, changed)
    ledger.remove_app("a")
    assert ledger.apps() == (changed,)
    assert [path.name for path in ledger.folder.iterdir() if "json" in path.name] == ["apps.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2, "apps": []}', '{"format": 1, "apps": [{"name": 3}]}']
)
def test_a_list_of_applications_that_is_none(ledger: Ledger, text: str) -> None:
    (ledger.folder / "apps.json").write_text(text)
    with pytest.raises(LibraryFormatError, match=r"apps\.json"):
        ledger.apps()


def test_what_is_written_outlives_the_process_that_wrote_it(tmp_path: Path) -> None:
    one = link(tmp_path / "a")
    first = Ledger(tmp_path / "state")
    first.intend([one])
    second = Ledger(tmp_path / "state")
    assert second.intents() == [one]
    second.made([one])
    assert first.links() == [one]
    first.close()
    second.close()
