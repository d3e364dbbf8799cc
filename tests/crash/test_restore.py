"""``kill -9`` while a set is brought: originals stay, and the same command finishes the work."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from modelcellar import ModelLibrary
from modelcellar.model_set import decode_set, encode_set
from modelcellar.records import EditChanges
from tests.support.filesystems import MIB
from tests.support.invariants import check_catalog, check_files, check_originals
from tests.support.places import Place, Places, imported, nothing
from tests.support.strace import CHANGING_CALLS, kill_at, require_strace, trace
from tests.support.worker import command, settings

CALLS = (*CHANGING_CALLS, "chmod")
POINTS = 60


def written_set(places: Places, file: Path) -> bytes:
    """The set of a library in which the user said things of two models."""
    place = places.new("first-machine")
    imported(place)
    with place.open() as library:
        library.edit("big", EditChanges(note="mine", add_tags=("a",)))
        library.edit("text", EditChanges(name="Text"))
        data = encode_set(library.export())
    file.write_bytes(data)
    return data


def check(place: Place, file: Path, data: bytes) -> None:
    check_originals(place.root, [place.batch])
    check_files(place.root)
    check_catalog(place.root)
    with ModelLibrary(place.root, settings=settings(place.root)) as library:
        wanted = decode_set(data, str(file))
        report = library.restore(wanted, [place.batch.folder])
        assert {one.status.value for one in report.results} <= {"imported", "changed", "same"}
        assert encode_set(library.export()) == data
        assert library.verify().ok == len(wanted.models)
        assert list((place.root / "staging").iterdir()) == []
    check_catalog(place.root)


def test_killed_at_calls(memory: Path) -> None:
    require_strace()
    places = Places(memory, nothing, big_bytes=MIB)
    file = memory / "set.json"
    data = written_set(places, file)

    def line(place: Place) -> list[str]:
        return command(place.root, "restore", file, place.batch.folder)

    counted = places.new("counted")
    run = trace(line(counted), calls=CALLS)
    assert run.exit_code == 0, run.stdout + run.stderr
    check(counted, file, data)
    every = [(call, nth) for call, n in sorted(run.calls.items()) for nth in range(1, n + 1)]
    step = max(1, len(every) // POINTS)

    def kill(point: tuple[str, int]) -> bool:
        call, nth = point
        place = places.new(f"{call}-{nth}")
        killed = kill_at(line(place), call, nth)
        check(place, file, data)
        places.drop(place)
        return killed.exit_code == -signal.SIGKILL

    points = every[::step]
    with ThreadPoolExecutor(2) as pool:
        tried = [pool.submit(kill, point) for point in points]
    wrong = [
        f"{point}: {type(error).__name__}: {error}"
        for point, future in zip(points, tried, strict=True)
        if (error := future.exception()) is not None
    ]
    assert not wrong, f"{len(wrong)} of {len(points)} points:\n" + "\n".join(wrong[:10])
    assert sum(future.result() for future in tried) >= len(points) * 0.9
