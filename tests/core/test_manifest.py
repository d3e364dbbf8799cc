"""The manifest as a value and as a document: what survives, what is refused, who wins."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modelcellar.edits import apply_edits
from modelcellar.errors import LibraryFormatError, UsageError
from modelcellar.manifest import (
    FORMAT,
    Fact,
    Manifest,
    decode,
    encode,
    is_writable,
    to_record,
)
from modelcellar.records import (
    Digests,
    EditChanges,
    FileFormat,
    FileRecord,
    Identity,
    ModelType,
    Security,
)

AT = "2030-01-02T03:04:05.000006Z"
LATER = "2030-02-02T03:04:05.000006Z"
ODD_NAME = "caf\udce9/\udcff\udcfe модель 模型.safetensors"


def digests(digit: str) -> Digests:
    return Digests(blake3=digit * 64, sha256=digit.replace("a", "b") * 64)


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        id="model-aaaaaaaa",
        content_digest="a" * 64,
        added_at=AT,
        files=(
            FileRecord("config.json", 12, digests("1")),
            FileRecord(ODD_NAME, 1 << 40, digests("a"), FileFormat.SAFETENSORS),
        ),
        facts={
            "name": Fact("Guessed", "file name", AT),
            "format": Fact("safetensors", "file content", AT),
            "summary": Fact("15 tensors", "file content", AT),
        },
        identity=Identity("candidate", "huggingface", "a/b", "c" * 40, "x", "name"),
        security=Security("no_pickle", ("one", "two")),
        verified_at=LATER,
    )


def document_of(manifest: Manifest) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(encode(manifest))
    return document


def rewritten(document: dict[str, Any]) -> dict[str, Any]:
    """What becomes of a document that is read, edited and written again."""
    found = decode(json.dumps(document).encode(), "x.json")
    return document_of(apply_edits(found, EditChanges(name="Mine"), at=LATER))


def test_round_trip(manifest: Manifest) -> None:
    data = encode(manifest)
    assert decode(data, "x") == manifest
    assert encode(decode(data, "x")) == data
    assert data.endswith(b"\n")
    assert "модель 模型".encode() in data


def test_names_that_are_not_utf8_come_back(manifest: Manifest) -> None:
    files = document_of(manifest)["files"]
    assert "path_hex" not in files[0]
    assert bytes.fromhex(files[1]["path_hex"]).startswith(b"caf\xe9/\xff\xfe")
    assert decode(encode(manifest), "x").files[1].path == ODD_NAME


def test_unknown_keys_survive_an_edit(manifest: Manifest) -> None:
    document = document_of(manifest)
    document["new_top"] = {"deep": [1, None, "x"]}
    document["identity"]["new_identity"] = 1
    document["security"]["new_security"] = [True]
    for number, file in enumerate(document["files"]):
        file["new_file"] = number
    after = rewritten(document)
    assert after["edits"]["name"]["value"] == "Mine"
    del after["edits"]["name"]
    assert after == document
    assert list(after) == list(document)


def test_unknown_keys_of_facts_and_edits_survive(manifest: Manifest) -> None:
    document = document_of(manifest)
    document["facts"]["family"] = {"value": "x", "source": "y", "at": AT, "confidence": 0.5}
    document["facts"]["unheard_of"] = {"value": {"a": [1]}, "source": "y", "at": AT}
    document["edits"]["note"] = {"value": "n", "source": "user", "at": AT, "who": "me"}
    after = rewritten(document)
    del after["edits"]["name"]
    assert after == document


def test_replaced_fact_loses_what_was_said_of_the_old_one(manifest: Manifest) -> None:
    document = document_of(manifest)
    document["edits"]["name"] = {"value": "Old", "source": "user", "at": AT, "why": "because"}
    assert rewritten(document)["edits"]["name"] == {"value": "Mine", "source": "user", "at": LATER}


def test_newer_format_is_readable_and_never_rewritten(manifest: Manifest) -> None:
    document = document_of(manifest)
    document["format"] = FORMAT + 1
    found = decode(json.dumps(document).encode(), "x.json")
    assert found == manifest
    assert not is_writable(found)
    with pytest.raises(LibraryFormatError, match="format 2, this version writes 1") as error:
        encode(found)
    assert error.value.hint
    with pytest.raises(LibraryFormatError):
        encode(replace(found, verified_at=None))
    assert is_writable(manifest)


def test_a_manifest_nested_too_deeply_is_an_error_and_no_crash(manifest: Manifest) -> None:
    deep: list[object] = []
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(LibraryFormatError, match="too deep"):
        encode(replace(manifest, raw={"of a newer version": deep}))


@pytest.mark.parametrize("number", ["1", None, 1.5, [], True])
def test_format_that_is_no_number_is_never_rewritten(manifest: Manifest, number: object) -> None:
    document = document_of(manifest) | {"format": number}
    with pytest.raises(LibraryFormatError):
        encode(decode(json.dumps(document).encode(), "x.json"))


def put(*path: str | int) -> Callable[[dict[str, Any], object], None]:
    def change(document: dict[str, Any], value: object) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


BAD_VALUES: list[tuple[Callable[[dict[str, Any], object], None], list[object]]] = [
    (put("id"), ["../evil-aaaaaaaa", "x", "", 5, None, "a/b-aaaaaaaa", "Model-aaaaaaaa"]),
    (put("content_digest"), ["a" * 63, "A" * 64, None, 5, "a" * 64 + "\n"]),
    (put("added_at"), [None, 5, "\ud800"]),
    (put("verified_at"), [5, {}, ["x"], "\ud800"]),
    (put("files"), [[], None, "x", {"path": "x"}, [5], ["x"], [None]]),
    (put("files", 0, "size_bytes"), [-1, 1.5, "1", None, True, 1 << 63]),
    (put("files", 0, "blake3"), ["", "x" * 64, None]),
    (put("files", 0, "sha256"), ["", "x" * 64, None]),
    (
        put("files", 0, "path"),
        ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "C:x", "a\0b", "a/", None, 5, "\ud800"],
    ),
    (put("files", 0, "path_hex"), ["2f657463", "2e2e2f78", "zz", 5, "00", ""]),
    (put("facts", "name"), [None, "x", 5, {"value": "x"}, {"value": 1, "source": 2, "at": "x"}]),
    (put("facts", "name", "value"), ["\ud800"]),
    (put("edits", "note"), [{"value": ["\udfff"], "source": "user", "at": AT}]),
    (put("identity", "provider"), [5, [], {}, "\ud800"]),
    (put("identity", "status"), [5, None]),
    (put("security", "verdict"), [5, None]),
    (put("security", "details"), [5, "\ud800"]),
]


@pytest.mark.parametrize(
    ("change", "value"), [(change, value) for change, values in BAD_VALUES for value in values]
)
def test_what_no_library_writes_is_refused(
    manifest: Manifest, change: Callable[[dict[str, Any], object], None], value: object
) -> None:
    document = document_of(manifest)
    change(document, value)
    with pytest.raises(LibraryFormatError, match=r"somewhere/x\.json"):
        decode(json.dumps(document).encode(), "somewhere/x.json")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"{}",
        b"[]",
        b"null",
        b"5",
        b'"x"',
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"id": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_bytes_that_are_no_manifest(data: bytes) -> None:
    with pytest.raises(LibraryFormatError) as error:
        decode(data, "x.json")
    assert error.value.hint


def test_two_files_of_one_path_are_refused(manifest: Manifest) -> None:
    document = document_of(manifest)
    document["files"][1] = {**document["files"][1], "path": "config.json", "path_hex": None}
    with pytest.raises(LibraryFormatError, match="one path"):
        decode(json.dumps(document).encode(), "x.json")


def test_missing_optional_parts_are_fine(manifest: Manifest) -> None:
    document = document_of(manifest)
    for key in ("facts", "edits", "identity", "security", "verified_at", "format"):
        del document[key]
    for file in document["files"]:
        del file["format"]
    found = decode(json.dumps(document).encode(), "x.json")
    record = to_record(found)
    assert record.name == manifest.id
    assert record.type is ModelType.UNKNOWN
    assert record.files[1].format is FileFormat.UNKNOWN
    assert record.verified_at is None


@pytest.mark.parametrize("value", ["unheard of", 5, ["x"], {}, None])
def test_unknown_words_of_a_newer_version_are_not_fatal(manifest: Manifest, value: object) -> None:
    document = document_of(manifest)
    document["files"][1]["format"] = value
    for name in ("type", "format", "name", "summary", "tags", "note", "base_model"):
        document["facts"][name] = {"value": value, "source": "x", "at": AT}
    record = to_record(decode(json.dumps(document).encode(), "x.json"))
    assert record.files[1].format is FileFormat.UNKNOWN
    assert record.type is ModelType.UNKNOWN
    assert all(isinstance(tag, str) for tag in record.tags)


def test_user_wins_over_facts_and_facts_stay(manifest: Manifest) -> None:
    changes = EditChanges(
        name=" Mine ", model_type=ModelType.LORA, base_model="SDXL", note="a\nb", add_tags=("x",)
    )
    found = apply_edits(manifest, changes, at=LATER)
    record = to_record(found)
    assert (record.name, record.type, record.base_model) == ("Mine", ModelType.LORA, "SDXL")
    assert (record.note, record.tags) == ("a\nb", ("x",))
    assert found.facts == manifest.facts
    assert {(fact.source, fact.at) for fact in found.edits.values()} == {("user", LATER)}


def test_empty_text_takes_an_edit_back(manifest: Manifest) -> None:
    edited = apply_edits(manifest, EditChanges(name="Mine", note="n"), at=AT)
    assert to_record(apply_edits(edited, EditChanges(name=""), at=LATER)).name == "Guessed"
    assert to_record(apply_edits(edited, EditChanges(name=" "), at=LATER)).note == "n"
    back = apply_edits(edited, EditChanges(name="", note=""), at=LATER)
    assert back.edits == {}


def test_no_changes_change_nothing(manifest: Manifest) -> None:
    edited = apply_edits(manifest, EditChanges(name="Mine", add_tags=("a",)), at=AT)
    assert apply_edits(edited, EditChanges(), at=LATER) == edited


def test_same_word_again_keeps_its_time(manifest: Manifest) -> None:
    changes = EditChanges(name="Mine", add_tags=("a",), model_type=ModelType.VAE)
    edited = apply_edits(manifest, changes, at=AT)
    assert apply_edits(edited, changes, at=LATER) == edited


def test_tags(manifest: Manifest) -> None:
    one = apply_edits(manifest, EditChanges(add_tags=("b", "a", "b", " c ", "", "  ")), at=AT)
    assert to_record(one).tags == ("b", "a", "c")
    two = apply_edits(one, EditChanges(add_tags=("a", "d"), remove_tags=("b", "zz")), at=LATER)
    assert to_record(two).tags == ("a", "c", "d")
    none = apply_edits(two, EditChanges(remove_tags=("a", "c", "d")), at=LATER)
    assert to_record(none).tags == ()
    assert none.edits == {}


def test_removed_tag_stays_removed_though_a_guess_has_it(manifest: Manifest) -> None:
    guessed = replace(manifest, facts={**manifest.facts, "tags": Fact(["g"], "header", AT)})
    assert to_record(guessed).tags == ("g",)
    removed = apply_edits(guessed, EditChanges(remove_tags=("g",)), at=LATER)
    assert to_record(removed).tags == ()
    assert to_record(decode(encode(removed), "x")).tags == ()


@pytest.mark.parametrize(
    "changes",
    [
        EditChanges(name="a\udcff"),
        EditChanges(note="\ud800"),
        EditChanges(base_model="\udfff"),
        EditChanges(add_tags=("ok", "\udc80")),
    ],
)
def test_text_that_no_file_can_hold(manifest: Manifest, changes: EditChanges) -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        apply_edits(manifest, changes, at=LATER)
