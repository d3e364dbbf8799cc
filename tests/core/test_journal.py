"""Journal entries as values and as documents."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from modelcellar.errors import LibraryFormatError
from modelcellar.journal import decode, encode, new_entry, timestamp
from modelcellar.records import JournalEntry

NOW = datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_timestamp_is_utc_with_a_z() -> None:
    assert timestamp(NOW) == "2030-01-02T03:04:05.000006Z"
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert timestamp(elsewhere) == timestamp(NOW)
    assert timestamp(NOW.replace(microsecond=0)) == "2030-01-02T03:04:05.000000Z"


def test_ids_sort_by_time_and_differ() -> None:
    moments = [NOW + timedelta(microseconds=step) for step in (0, 1, 999_994, 60_000_000)]
    ids = [new_entry("edit", moment).id for moment in moments]
    assert ids == sorted(ids)
    assert len({new_entry("edit", NOW).id for _ in range(100)}) == 100


def test_round_trip_keeps_names_that_are_not_utf8() -> None:
    entry = JournalEntry(
        "20300102T030405.000006Z-aabbccdd",
        "2030-01-02T03:04:05.000006Z",
        "import",
        ("a-aaaaaaaa", "模型-bbbbbbbb"),
        {"moved": {"a" * 64: [["x\udcff", "/home/me/x\udcff"]]}},
        undone_at="2030-01-02T03:04:06.000006Z",
    )
    assert decode(encode(entry), "x") == entry
    assert decode(encode(new_entry("edit", NOW)), "x").details == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 100_000,
        json.dumps({"format": "x"}).encode(),
        encode(new_entry("edit", NOW))[:-30],
        encode(new_entry("edit", NOW)).replace(b'"format": 1', b'"format": 2'),
        encode(new_entry("edit", NOW)).replace(b'"details": {}', b'"details": [1]'),
        encode(new_entry("edit", NOW)).replace(b'"model_ids": []', b'"model_ids": 5'),
        encode(new_entry("edit", NOW)).replace(b'"undone_at": null', b'"undone_at": []'),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_bytes_that_are_no_entry(data: bytes) -> None:
    with pytest.raises(LibraryFormatError, match=r"somewhere/x\.json") as error:
        decode(data, "somewhere/x.json")
    assert error.value.hint
