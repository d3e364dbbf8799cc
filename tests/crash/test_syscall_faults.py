"""The disk says no: one system call fails, once or from then on, at every place where it is made.

The command must say so, keep what it had, and be able to finish once the disk is well again.
"""

import json
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.filesystems import MIB
from tests.support.invariants import check_catalog, check_files, check_library, check_originals
from tests.support.places import Begin, Place, Places, imported, nothing, removed
from tests.support.strace import require_strace, trace

AT_ONCE = 2
BIG_BYTES = 9 * MIB
POINTS = 10
"""For each call: how many of its places are tried, evenly spread."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A call that fails, with what; ``must_fail``: nothing may go on as if it had worked."""

    call: str
    error: str
    must_fail: bool = True


# SQLite syncs its files with fdatasync and writes them with pwrite64. When the catalog cannot
# follow, the manifests are in place all the same and the next run reads them.
FAULTS = [
    Fault("fsync", "EIO"),
    Fault("fdatasync", "EIO", must_fail=False),
    Fault("syncfs", "EIO"),
    Fault("renameat2", "EACCES"),
    Fault("renameat2", "EIO"),
    Fault("rename", "EIO", must_fail=False),
    Fault("mkdir", "ENOSPC", must_fail=False),
    Fault("pwrite64", "ENOSPC", must_fail=False),
    Fault("pwrite64", "EIO", must_fail=False),
    Fault("write", "ENOSPC", must_fail=False),
    Fault("utimensat", "EIO"),
]


def run(place: Place, action: str, fault: Fault, when: str) -> tuple[bool, dict[str, Any]]:
    """Whether the fault happened, and what the command said about it."""
    inject = f"{fault.call}:error={fault.error}:when={when}"
    done = trace(place.command(action), calls=[fault.call], inject=inject)
    assert done.exit_code in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    told = json.loads(done.stdout) if done.stdout else {"error": "not even that could be said"}
    return done.calls.get(fault.call, 0) >= int(when.removesuffix("+")), told


def failed(told: dict[str, Any]) -> bool:
    """Whether the command said that something went wrong."""
    if "error" in told:
        return True
    results = told["done"] if isinstance(told["done"], list) else []
    return any(status == "failed" for _, status, _ in results if status)


def check_told(place: Place, told: dict[str, Any]) -> None:
    """What is said to be in the library is in the library."""
    published = check_files(place.root).values()
    for source, status, _ in told.get("done", []):
        if status in {"imported", "duplicate"}:
            digests = {
                digest for path, digest in place.batch.files.items() if path.is_relative_to(source)
            }
            assert frozenset(digests) in published, f"{source} is not in"


def fail_import(places: Places, fault: Fault, when: str) -> None:
    place = places.new(f"{fault.call}-{fault.error}-{when}")
    happened, told = run(place, "import", fault, when)
    if happened and fault.must_fail:
        assert failed(told), told
    check_originals(place.root, [place.batch])
    check_told(place, told)
    check_library(place.root, [place.batch])
    places.drop(place)


def fail_other(places: Places, action: str, fault: Fault, when: str) -> None:
    place = places.new(f"{action}-{fault.call}-{when}")
    happened, told = run(place, action, fault, when)
    if happened and fault.must_fail:
        assert failed(told), told
    place.check_kept()
    check_files(place.root)
    check_catalog(place.root)
    check_library(place.root, [place.batch])
    places.drop(place)


def places_of(count: int) -> list[int]:
    """Which of ``count`` calls to fail."""
    step = max(1.0, count / POINTS)
    return sorted({1 + int(number * step) for number in range(int(count / step))})


def check_all(tries: Iterable[tuple[str, Callable[[], None]]]) -> None:
    """Try all, and report everything that went wrong at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tried = [(name, pool.submit(work)) for name, work in tries]
    errors = ((name, future.exception()) for name, future in tried)
    wrong = [f"{name}: {type(e).__name__}: {e}" for name, e in errors if e is not None]
    assert not wrong, f"{len(wrong)} of {len(tried)}:\n" + "\n".join(wrong[:10])


def count_calls(place: Place, action: str, call: str) -> int:
    """How often the action makes the call when all is well."""
    done = trace(place.command(action), calls=[call])
    assert done.exit_code == 0, done.stderr
    # The last write is the command's own answer.
    return done.calls.get(call, 0) - (call == "write")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.call}-{fault.error}")
def test_import_with_a_failing_disk(fault: Fault, memory: Path) -> None:
    require_strace()
    places = Places(memory, nothing, big_bytes=BIG_BYTES)
    count = count_calls(places.new("counted"), "import", fault.call)
    assert count > 0, "nothing was tested"
    forever = "" if fault.call == "write" else "+"
    whens = [f"{nth}{more}" for nth in places_of(count) for more in sorted({"", forever})]
    check_all((when, partial(fail_import, places, fault, when)) for when in whens)


BEGINNINGS: dict[str, tuple[str, Begin]] = {
    "remove": ("remove", imported),
    "undo a removal": ("undo", removed),
    "undo an import": ("undo", imported),
    "edit": ("edit", imported),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_other_changes_with_a_failing_disk(name: str, memory: Path) -> None:
    require_strace()
    action, begin = BEGINNINGS[name]
    places = Places(memory, begin, big_bytes=4096)
    tries = []
    for fault in (Fault("fsync", "EIO"), Fault("renameat2", "EACCES"), Fault("rename", "EIO")):
        count = count_calls(places.new(f"counted-{fault.call}"), action, fault.call)
        for when in (f"{nth}{more}" for nth in places_of(count) for more in ("", "+")):
            work = partial(fail_other, places, action, fault, when)
            tries.append((f"{fault.call} {when}", work))
    check_all(tries)


def fail_read(places: Places, source: Path, when: str) -> None:
    place = places.new(f"read-{when}-{source.name}")
    done = traced_by_path(place.command("import"), source, f"read:error=EIO:when={when}")
    told = {Path(name).name: (status, code) for name, status, code in done["done"]}
    assert told.pop(source.name) == ("failed", "read_error")
    assert {status for status, _ in told.values()} <= {"imported", "duplicate", "refused"}
    check_library(place.root, [place.batch])
    places.drop(place)


def traced_by_path(command: Sequence[str], path: Path, inject: str) -> dict[str, Any]:
    """What a command says whose calls on one file fail."""
    options = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=read", "-P", str(path)]
    done = subprocess.run(
        ["strace", *options, "-e", f"inject={inject}", "--", *command],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("name", ["big", "small-1"])
def test_original_that_cannot_be_read(name: str, memory: Path) -> None:
    require_strace()
    places = Places(memory, nothing, big_bytes=BIG_BYTES)
    source = places.new("first-look").batch.folder / f"{name}.safetensors"
    # The first read looks at the header, the others copy.
    whens = ["1", "2", "1+", "2+", *(["3", "7", "7+"] if name == "big" else [])]
    check_all((when, partial(fail_read, places, source, when)) for when in whens)
