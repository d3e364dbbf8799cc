"""Open circuits in a file: written whole, read with distrust."""

import json
import stat
import threading
from pathlib import Path

import pytest

from modelcellar.network.circuit_breaker import Circuit, CircuitState
from modelcellar.network.shared_file import SharedFile
from modelcellar.network.state import CircuitStore

HUB = "https://hub.example"
NOW = 1010.0
OPEN = Circuit(CircuitState.OPEN, 1000.0, 1030.0, 1, "it broke")


def at(folder: Path, now: float = NOW) -> CircuitStore:
    return CircuitStore(folder, wall=lambda: now)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    at(tmp_path / "new" / "folder").save(HUB, OPEN)
    store = at(tmp_path / "new" / "folder")
    assert store.load() == {HUB: OPEN}
    mode = (tmp_path / "new" / "folder" / "circuits.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_other_origins_are_left_as_they_are(tmp_path: Path) -> None:
    first, second = at(tmp_path), at(tmp_path)
    first.save(HUB, OPEN)
    second.save(f"{HUB}:8443", OPEN)
    first.save(HUB, Circuit())
    assert set(second.load()) == {f"{HUB}:8443"}


def test_many_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    def save(number: int) -> None:
        at(tmp_path).save(f"https://host{number}.example", OPEN)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(at(tmp_path).load()) == 8
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    entry = {"since": 1, "until": 2, "trips": 1, "cause": "x"}
    circuits = {f"https://host{number}.example": entry for number in range(1000)}
    (tmp_path / "circuits.json").write_text(json.dumps({"format": 1, "circuits": circuits}))
    store = at(tmp_path)
    store.save(HUB, Circuit(CircuitState.OPEN, 1.0, 2.0, 1, "long " * 1000))
    loaded = store.load()
    assert len(loaded) == 256
    assert len(loaded[HUB].cause) == 200


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {},
        {"since": 1, "until": 2, "trips": 1},
        {"since": "1", "until": 2, "trips": 1, "cause": ""},
        {"since": 1, "until": float("inf"), "trips": 1, "cause": ""},
        {"since": 1, "until": 1e300, "trips": 1, "cause": ""},
        {"since": -1, "until": 2, "trips": 1, "cause": ""},
        {"since": 1, "until": 2, "trips": True, "cause": ""},
        {"since": 1, "until": 2, "trips": 10**9, "cause": ""},
        {"since": 1, "until": 2, "trips": 1, "cause": 5},
    ],
)
def test_an_entry_that_is_not_understood_is_left_out(tmp_path: Path, entry: object) -> None:
    good = {"since": 1000, "until": 1030, "trips": 1, "cause": "it broke"}
    circuits = {"https://bad.example": entry, HUB: good, "not an origin": good, f"{HUB}/x": good}
    (tmp_path / "circuits.json").write_text(json.dumps({"format": 1, "circuits": circuits}))
    assert at(tmp_path).load() == {HUB: OPEN}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 9, "circuits": {}}', '{"circuits": 5}', "[" * 99_999]
)
def test_a_foreign_file_is_ignored_and_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "circuits.json").write_text(text)
    store = at(tmp_path)
    assert store.load() == {}
    store.save(HUB, OPEN)
    assert store.load() == {HUB: OPEN}


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "circuits.json").write_text(" " * 300_000 + "{}")
    assert at(tmp_path).load() == {}


def test_no_folder_means_nowhere() -> None:
    store = CircuitStore(None)
    store.save(HUB, OPEN)
    assert store.load() == {}


def test_a_disk_that_fails_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "circuits.json").mkdir()
    store = at(tmp_path)
    store.save(HUB, OPEN)
    assert store.load() == {}
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"circuits.json", "circuits.json.lock"}


def test_a_lock_that_another_holds_is_not_waited_for_long(tmp_path: Path) -> None:
    import filelock

    file = SharedFile(tmp_path / "x.json")
    with filelock.FileLock(f"{file.path}.lock"):
        SharedFile(tmp_path / "x.json").update(lambda _: {"a": 1})
    assert file.read() == {}


def test_changes_are_seen_by_the_time_of_the_file(tmp_path: Path) -> None:
    mine, other = SharedFile(tmp_path / "x.json"), SharedFile(tmp_path / "x.json")
    assert mine.read_if_changed() is None
    other.update(lambda _: {"a": 1})
    assert mine.read_if_changed() == {"a": 1}
    assert mine.read_if_changed() is None
    mine.update(lambda document: document | {"b": 2})
    assert mine.read_if_changed() is None
    assert other.read_if_changed() == {"a": 1, "b": 2}


def test_what_ended_long_ago_is_forgotten(tmp_path: Path) -> None:
    at(tmp_path).save(HUB, OPEN)
    assert at(tmp_path, NOW + 3600).load() == {HUB: OPEN}
    assert at(tmp_path, NOW + 3700).load() == {}
    at(tmp_path, NOW + 3700).save("https://other.example", Circuit())
    assert at(tmp_path).load() == {}
