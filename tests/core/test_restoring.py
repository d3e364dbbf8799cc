"""A set goes from one machine to another: written down, brought, and written down again."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelcellar.config import Settings
from modelcellar.errors import LibraryFormatError
from modelcellar.io import hashing
from modelcellar.library import ModelLibrary
from modelcellar.manifest import Fact
from modelcellar.model_set import ModelSet, decode_set, encode_set
from modelcellar.records import Confidence, EditChanges, Identity, ModelType
from modelcellar.reports import RestoreStatus
from tests.support.models import (
    write_diffusers_folder,
    write_gguf,
    write_hub_cache,
    write_picture,
    write_safetensors,
    write_transformers_folder,
)
from tests.support.trees import tree

DERIVED = frozenset({"catalog", ".lock", "journal"})
HUB = Fact("me", "huggingface", "2030-01-01T00:00:00Z", "the card", Confidence.CERTAIN)


@pytest.fixture
def source_files(source_folder: Path) -> Path:
    """Models of all shapes: files, with companions, folders of two kinds, in the Hub's cache."""
    write_gguf(source_folder / "one.gguf", seed=1)
    write_safetensors(source_folder / "two.safetensors", seed=2)
    write_picture(source_folder / "two.preview.png")
    (source_folder / "two.json").write_text('{"note": "beside"}')
    write_diffusers_folder(source_folder / "pipe", seed=3)
    write_transformers_folder(source_folder / "Some Model", seed=4)
    for number in (1, 2):
        write_gguf(source_folder / f"split-0000{number}-of-00002.gguf", seed=60 + number)
    write_hub_cache(source_folder / "hub", "me/cached", seed=5)
    return source_folder


@pytest.fixture
def library(settings: Settings, source_files: Path) -> Iterator[ModelLibrary]:
    """A library with these models, some of them edited, one of a known origin."""
    with ModelLibrary.create(settings.library, settings=settings) as made:
        made.import_paths([source_files], lookup=False)
        made.edit("one", EditChanges(name="Mine", note="a note", add_tags=("a", "b")))
        made.edit("pipe", EditChanges(model_type=ModelType.CHECKPOINT))
        identify(made, "two")
        yield made


def identify(library: ModelLibrary, text: str) -> None:
    """What a look-up would have found."""
    found = library._books.store.read_row(library.get(text).id).manifest
    identity = Identity("verified", "huggingface", "me/repo", "abc", "sub dir/t.safetensors", "the")
    page = "https://user:pass@huggingface.co/me/repo?token=SECRET&x=1"
    facts = {
        **found.facts,
        "author": HUB,
        "page": replace(HUB, value=page),
        "description": replace(
            HUB, value="see hf_abcdefghijklmnopqrstuvwxyz and https://x.y/?sig=S"
        ),
    }
    with library._books.change() as staging:
        library._books.rewrite(staging, [replace(found, identity=identity, facts=facts)])


@pytest.fixture
def second(settings: Settings, tmp_path: Path) -> Iterator[ModelLibrary]:
    """An empty library on "another machine"."""
    other = replace(settings, library=tmp_path / "second")
    with ModelLibrary.create(other.library, settings=other) as made:
        yield made


def sent(library: ModelLibrary) -> ModelSet:
    """The set as it comes out of a file."""
    return decode_set(encode_set(library.export()), "the file")


def statuses(report: Any) -> dict[str, str]:
    return {one.name: one.status.value for one in report.results}


def test_the_round_trip(library: ModelLibrary, second: ModelLibrary, source_files: Path) -> None:
    written = encode_set(library.export())
    second.import_paths([source_files], lookup=False)
    assert encode_set(second.export()) != written
    report = second.restore(decode_set(written, "x"))
    assert encode_set(second.export()) == written
    assert {one.name: set(one.changed) for one in report.results if one.changed} == {
        "Mine": {"name", "note", "tags"},
        "pipe": {"type"},
        "two": {"identity", "author", "page", "description"},
    }
    mine = second.get("Mine")
    assert (mine.note, mine.tags) == ("a note", ("a", "b"))
    assert second.search("tag:b").total == 1
    # Once more: nothing is new, and nothing is written.
    again = second.restore(decode_set(written, "x"))
    assert set(statuses(again).values()) == {"same"}
    assert again.entry is None


def test_the_round_trip_with_the_files_by_their_digests(
    library: ModelLibrary, second: ModelLibrary, source_files: Path
) -> None:
    written = encode_set(library.export())
    report = second.restore(decode_set(written, "x"), [source_files])
    assert set(statuses(report).values()) == {"imported"}
    assert encode_set(second.export()) == written
    assert second.verify().ok == library.totals()[0] == 6
    assert {model.id for model in second.list_models().models} == {
        model.id for model in library.list_models().models
    }


def test_files_under_other_names_in_other_folders(
    library: ModelLibrary, second: ModelLibrary, tmp_path: Path
) -> None:
    """What a pile of downloads looks like: each file is known by its bytes, and gets its name."""
    pile = tmp_path / "pile"
    for number, path in enumerate(sorted(library.path.glob("models/*/**/*"))):
        if path.is_file():
            place = pile / f"folder{number % 3}" / f"{number:04x}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    before = tree(pile)
    written = encode_set(library.export())
    report = second.restore(decode_set(written, "x"), [pile])
    assert set(statuses(report).values()) == {"imported"}
    assert encode_set(second.export()) == written
    assert tree(pile) == before
    assert not list(second.path.rglob("*restore*"))


def test_the_bytes_do_not_depend_on_time_or_place(
    library: ModelLibrary, tmp_path: Path, settings: Settings
) -> None:
    first = encode_set(library.export())
    text = first.decode()
    assert str(tmp_path) not in text
    assert library.library_id not in text
    assert library.get("Mine").added_at not in text
    library.rebuild()
    assert encode_set(library.export()) == first
    shutil.copytree(library.path, tmp_path / "elsewhere")
    other = replace(settings, library=tmp_path / "elsewhere")
    with ModelLibrary(other.library, settings=other) as copied:
        assert encode_set(copied.export()) == first


def test_no_secret_of_an_address_is_written_down(library: ModelLibrary) -> None:
    text = encode_set(library.export()).decode()
    for secret in ("SECRET", "user:pass", "hf_abc", "sig=S"):
        assert secret not in text
    assert "https://huggingface.co/me/repo?x=1" in text


def test_sources_say_where_to_get_a_file(library: ModelLibrary, second: ModelLibrary) -> None:
    report = second.restore(sent(library))
    by_name = {one.name: one for one in report.results}
    assert {one.status for one in report.results} == {RestoreStatus.MISSING}
    assert by_name["two"].sources == (
        "https://huggingface.co/me/repo/resolve/abc/sub%20dir/t.safetensors",
    )
    assert [file.path for file in by_name["two"].files] == ["two.safetensors"]
    assert len(by_name["pipe"].files) == 6
    assert by_name["Mine"].sources == ()
    assert second.totals()[0] == 0


def test_a_civitai_source_is_a_page(library: ModelLibrary, second: ModelLibrary) -> None:
    found = library._books.store.read_row(library.get("Mine").id).manifest
    identity = Identity("verified", "civitai", "123", "456", "x.safetensors", "e")
    with library._books.change() as staging:
        library._books.rewrite(staging, [replace(found, identity=identity)])
    by_name = {one.name: one for one in second.restore(sent(library)).results}
    assert by_name["Mine"].sources == ("https://civitai.com/models/123?modelVersionId=456",)


def test_what_is_missing_of_a_model_is_told_file_by_file(
    library: ModelLibrary, second: ModelLibrary, source_files: Path
) -> None:
    next(source_files.glob("pipe/unet/*.safetensors")).unlink()
    (source_files / "two.preview.png").unlink()  # a companion is not needed
    report = second.restore(sent(library), [source_files])
    assert statuses(report)["pipe"] == "missing"
    by_name = {one.name: one for one in report.results}
    assert [file.path for file in by_name["pipe"].files] == [
        "unet/diffusion_pytorch_model.safetensors"
    ]
    assert statuses(report)["two"] == "imported"
    assert second.totals()[0] == 5


def test_a_file_of_the_right_size_and_name_with_other_bytes_is_not_taken(
    library: ModelLibrary, second: ModelLibrary, tmp_path: Path
) -> None:
    write_gguf(tmp_path / "fake" / "one.gguf", seed=99)
    report = second.restore(sent(library), [tmp_path / "fake"])
    assert statuses(report)["Mine"] == "missing"
    assert second.totals()[0] == 0


def test_a_dry_run_says_the_same_and_writes_nothing(
    library: ModelLibrary, second: ModelLibrary, source_files: Path
) -> None:
    second.import_paths([source_files / "one.gguf"], lookup=False)
    before = tree(second.path, without=frozenset({"catalog", ".lock"}))
    report = second.restore(sent(library), [source_files], dry_run=True)
    assert statuses(report) == {
        "Mine": "changed",
        "two": "found",
        "pipe": "found",
        "Some Model": "found",
        "split": "found",
        "cached": "found",
    }
    assert tree(second.path, without=frozenset({"catalog", ".lock"})) == before


Change = Callable[[ModelLibrary], object]


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda library: library.edit("one", EditChanges(note="newer")), "newer"),
        (lambda library: library.edit("one", EditChanges(note="a note")), "a note"),
    ],
)
def test_what_was_changed_since_stays(
    library: ModelLibrary, second: ModelLibrary, source_files: Path, change: Change, note: str
) -> None:
    second.import_paths([source_files], lookup=False)
    change(second)
    report = second.restore(sent(library))
    (one,) = (one for one in report.results if one.name == "Mine")
    assert set(one.changed) == {"name", "tags"}
    assert one.kept == (("note",) if note == "newer" else ())
    assert second.get("Mine").note == note
    # And what the other machine says later wins here.
    library.edit("Mine", EditChanges(note="newest"))
    second.restore(sent(library))
    assert second.get("Mine").note == "newest"


def test_what_was_taken_back_since_stays_away(
    library: ModelLibrary, second: ModelLibrary, source_files: Path
) -> None:
    written = sent(library)
    second.import_paths([source_files], lookup=False)
    second.restore(written)
    second.edit("Mine", EditChanges(note=""))
    report = second.restore(written)
    (one,) = (one for one in report.results if one.name == "Mine")
    assert (one.changed, one.kept) == ((), ("note",))
    assert second.get("Mine").note == ""


def test_the_same_library_keeps_what_it_knows_better(library: ModelLibrary) -> None:
    written = sent(library)
    library.edit("Mine", EditChanges(name="Mine still", add_tags=("c",)))
    report = library.restore(written)
    (one,) = (one for one in report.results if one.kept)
    assert set(one.kept) == {"name", "tags"}
    assert library.get("Mine still").tags == ("a", "b", "c")


def test_undo(library: ModelLibrary, second: ModelLibrary, source_files: Path) -> None:
    second.import_paths([source_files], lookup=False)
    before = tree(second.path, without=DERIVED)
    report = second.restore(sent(library))
    assert report.entry is not None
    assert len(report.entry.model_ids) == 3
    assert second.undo().id == report.entry.id
    assert tree(second.path, without=DERIVED) == before
    assert second.search("tag:b").total == 0


def test_a_worse_origin_takes_no_better_ones_place(
    library: ModelLibrary, second: ModelLibrary, source_files: Path
) -> None:
    second.import_paths([source_files], lookup=False)
    written = sent(second)
    report = library.restore(written)
    assert set(statuses(report).values()) == {"same"}
    assert library.get("two").identity.status == "verified"


def test_a_newer_manifest_is_left_alone(
    library: ModelLibrary, second: ModelLibrary, source_files: Path
) -> None:
    second.import_paths([source_files], lookup=False)
    path = second.path / "manifests" / f"{second.get('one').id}.json"
    document = {**json.loads(path.read_bytes()), "format": 2}
    new = path.with_name(".new")
    new.write_text(json.dumps(document))
    new.rename(path)
    report = second.restore(sent(library))
    (one,) = (one for one in report.results if one.name == "Mine")
    assert (one.status, set(one.kept)) == (RestoreStatus.SAME, {"name", "note", "tags"})
    assert json.loads(path.read_bytes()) == document


def test_a_model_that_cannot_come_in_stops_no_other(
    library: ModelLibrary, second: ModelLibrary, source_files: Path
) -> None:
    written = json.loads(encode_set(library.export()))
    for model in written["models"]:
        if model["name"] == "one":
            # A file that the importer would never take, under the digest it has.
            path = source_files / "page.gguf"
            path.write_bytes(b"<!DOCTYPE html><html><body>sign in</body></html>")
            found = hashing.hash_file(path)
            model["content_digest"] = found.digests.sha256
            model["files"][0] |= {
                "sha256": found.digests.sha256,
                "blake3": found.digests.blake3,
                "size_bytes": found.size_bytes,
            }
    report = second.restore(decode_set(json.dumps(written).encode(), "x"), [source_files])
    assert statuses(report)["Mine"] == "failed"
    (one,) = (one for one in report.results if one.problem)
    assert one.status is RestoreStatus.FAILED
    assert second.totals()[0] == 5


def _break(document: Any, how: str) -> Any:
    model = document["models"][0]
    if how == "path":
        model["files"][0]["path"] = "../../evil"
    elif how == "digest":
        model["content_digest"] = "0" * 64
    elif how == "files":
        model["files"] = []
    elif how == "twice":
        document["models"].append(model)
    elif how == "format":
        document["format"] = 2
    elif how == "kind":
        document["kind"] = "other"
    elif how == "edit":
        model["edits"] = {
            "note": {"value": "x", "source": "file content", "at": "2030-01-01T00:00:00Z"}
        }
    elif how == "moment":
        model["edits"] = {"note": {"value": "x", "source": "user", "at": "zzz"}}
    elif how == "half":
        model["name"] = "\ud800"
    elif how == "apps":
        document["apps"] = {"installed": "all"}
    return document


@pytest.mark.parametrize(
    "how",
    ["path", "digest", "files", "twice", "format", "kind", "edit", "moment", "half", "apps"],
)
def test_sets_that_nobody_should_follow(library: ModelLibrary, how: str) -> None:
    document = _break(json.loads(encode_set(library.export())), how)
    with pytest.raises(LibraryFormatError) as caught:
        decode_set(json.dumps(document).encode(), "the file")
    assert "the file" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"kind": 1}', b"[" * 100_000])
def test_no_set_at_all(data: bytes) -> None:
    with pytest.raises(LibraryFormatError):
        decode_set(data, "the file")


def test_facts_that_claim_to_be_of_the_file_are_not_believed(
    library: ModelLibrary, second: ModelLibrary, source_files: Path
) -> None:
    second.import_paths([source_files], lookup=False)
    document = json.loads(encode_set(library.export()))
    for model in document["models"]:
        model["facts"]["family"] = {
            "value": "evil", "source": "file content", "at": "2030-01-01T00:00:00Z"
        }  # fmt: skip
    second.restore(decode_set(json.dumps(document).encode(), "x"))
    assert all(model.family != "evil" for model in second.list_models().models)
