"""Many files in one call: digests as those of one, and no file answers for another."""

import errno
import hashlib
import itertools
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest

from modelcellar_hashing import (
    FileDigests,
    SourceChangedError,
    copy_many,
    copy_with_hashing,
    hash_many,
)
from tests.hashing_ext.conftest import MIB, inject, names_in, sha256_of
from tests.support.filesystems import Mounts
from tests.support.strace import require_strace

SIZES = (
    *(0, 1, 63, 64, 65, 1000, 16 << 10, (128 << 10) - 1, 128 << 10, (128 << 10) + 1),
    *(256 << 10, 1 << 20, (4 << 20) - 1, (4 << 20) + 5, 8 << 20, (8 << 20) + 4097, 20 * MIB + 1),
)
STREAMS = (0, 1, 2, 3, 7)


@pytest.fixture
def sources(make_file: Callable[..., Path]) -> list[Path]:
    """Files of every size at which something changes, in no order."""
    sizes = list(SIZES)
    random.Random(3).shuffle(sizes)
    return [make_file(size, f"source-{size}") for size in sizes]


def expected(path: Path) -> tuple[str, str, int]:
    data = path.read_bytes()
    return blake3.blake3(data).hexdigest(), hashlib.sha256(data).hexdigest(), len(data)


def digests(result: FileDigests | OSError) -> tuple[str, str, int]:
    assert isinstance(result, FileDigests), result
    return result.blake3, result.sha256, result.size_bytes


@pytest.mark.parametrize("how", [*({"streams": n} for n in STREAMS), {"alternate": True}], ids=str)
@pytest.mark.parametrize("publish", [True, False])
def test_copies_are_what_the_sources_are(
    how: dict[str, int], publish: bool, sources: list[Path], target_folder: Path
) -> None:
    jobs = [(source, target_folder / source.name) for source in sources]
    results = copy_many(jobs, **how, publish=publish)
    for (source, target), result in zip(jobs, results, strict=True):
        assert digests(result) == expected(source)
        assert target.read_bytes() == source.read_bytes()
        assert target.stat().st_mtime_ns == source.stat().st_mtime_ns
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(source.stat().st_mode)
        assert isinstance(result, FileDigests)
        assert not result.cloned
    assert names_in(target_folder) == sorted(source.name for source in sources)


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("from_disk", [True, False])
def test_hashes_are_those_of_the_oracles(
    streams: int, from_disk: bool, sources: list[Path]
) -> None:
    results = hash_many(sources, streams=streams, from_disk=from_disk)
    assert [digests(result) for result in results] == [expected(source) for source in sources]


@pytest.mark.parametrize("streams", [0, 1])
def test_ranges_of_each_file(streams: int, sources: list[Path], target_folder: Path) -> None:
    jobs = []
    for source in sources:
        size = source.stat().st_size
        jobs.append(
            (source, target_folder / source.name, [(0, size), (size // 3, size), (size, size)])
        )
    for (source, _, ranges), result in zip(jobs, copy_many(jobs, streams=streams), strict=True):
        assert isinstance(result, FileDigests)
        data = source.read_bytes()
        assert result.range_sha256 == [
            hashlib.sha256(data[start:end]).hexdigest() for start, end in ranges
        ]


def test_nothing_to_do() -> None:
    assert copy_many([]) == []
    assert hash_many([]) == []


@pytest.mark.parametrize("how", [{"streams": 0}, {"streams": 1}, {"alternate": True}], ids=str)
@pytest.mark.parametrize("publish", [True, False])
def test_one_that_fails_stops_no_other(
    how: dict[str, int],
    publish: bool,
    make_file: Callable[..., Path],
    target_folder: Path,
    tmp_path: Path,
) -> None:
    good = [make_file(size, f"good-{size}") for size in (10, 300_000, 9 * MIB)]
    (target_folder / "taken").write_text("mine")
    jobs = [
        (good[0], target_folder / "a"),
        (tmp_path / "missing", target_folder / "b"),
        (good[1], target_folder / "c"),
        (good[1], target_folder / "taken"),
        (tmp_path, target_folder / "d"),
        (good[2], tmp_path / "no-such-folder" / "e"),
        (good[2], target_folder / "f"),
        (good[0], target_folder / "g", [(5, 11)]),
    ]
    results = copy_many(jobs, **how, publish=publish)
    found = [one.errno if isinstance(one, OSError) else 0 for one in results]
    assert found == [
        *(0, errno.ENOENT, 0, errno.EEXIST, errno.EISDIR, errno.ENOENT, 0, errno.EINVAL)
    ]
    for (source, target, *_), result in zip(jobs, results, strict=True):
        if isinstance(result, OSError):
            wrong = target if result.errno == errno.EEXIST else source
            wrong = target.parent if "no-such-folder" in str(target) else wrong
            assert result.filename == str(wrong)
        else:
            assert digests(result) == expected(source)
    assert (target_folder / "taken").read_text() == "mine"
    assert names_in(target_folder) == ["a", "c", "f", "taken"]


def test_results_are_told_as_they_come(sources: list[Path], target_folder: Path) -> None:
    told: dict[int, FileDigests | OSError] = {}
    done = []
    results = copy_many(
        [(source, target_folder / source.name) for source in sources],
        on_done=told.__setitem__,
        progress=lambda *of: done.append(of),
    )
    assert [told[number] for number in range(len(sources))] == results
    total = sum(source.stat().st_size for source in sources)
    assert done[-1] == (total, total)
    assert all(before <= after for (before, _), (after, _) in itertools.pairwise(done))


@pytest.mark.parametrize("publish", [True, False])
def test_what_a_callback_raises_ends_the_call(
    publish: bool, big_source: Path, target_folder: Path
) -> None:
    def stop(_done: int, _total: int) -> None:
        raise KeyError("stop")

    jobs = [(big_source, target_folder / str(number)) for number in range(4)]
    with pytest.raises(KeyError):
        copy_many(jobs, publish=publish, progress=stop)
    assert names_in(target_folder) == []


def test_a_name_that_appears_meanwhile_is_left_alone(
    make_file: Callable[..., Path], target_folder: Path
) -> None:
    source = make_file(100)
    twice = [(source, target_folder / "one"), (source, target_folder / "one")]
    first, second = copy_many(twice)
    outcomes = sorted([type(first), type(second)], key=lambda kind: kind.__name__)
    assert outcomes == [FileDigests, FileExistsError]
    assert names_in(target_folder) == ["one"]


def test_more_files_than_may_be_open(tmp_path: Path, target_folder: Path) -> None:
    """Neither files nor folders stay open: each of these lies in a folder of its own."""
    script = (
        "import resource, sys; from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from modelcellar_hashing import copy_many\n"
        "source, target = map(Path, sys.argv[1:])\n"
        "jobs = [(source, target / str(n) / 'x') for n in range(300)]\n"
        "for _, path in jobs: path.parent.mkdir()\n"
        "print(sum(isinstance(one, OSError) for one in copy_many(jobs)))\n"
    )
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)))
    command = [sys.executable, "-c", script, str(source), str(target_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
    assert len(list(target_folder.glob("*/x"))) == 300


def test_a_source_that_changes_is_the_only_one_refused(
    big_source: Path, make_file: Callable[..., Path], target_folder: Path
) -> None:
    other = make_file(9 * MIB, "other")
    changed = False

    def change(done_bytes: int, _total: int) -> None:
        nonlocal changed
        if done_bytes and not changed:
            changed = True
            with big_source.open("r+b") as file:
                file.write(b"x")

    jobs = [(big_source, target_folder / "big"), (other, target_folder / "other")]
    big, small = copy_many(jobs, progress=change)
    assert isinstance(big, SourceChangedError)
    assert digests(small) == expected(other)
    assert names_in(target_folder) == ["other"]


def test_a_disk_that_fails_is_told_of_by_its_file(
    make_file: Callable[..., Path], target_folder: Path
) -> None:
    """Large files are written by threads of their own: their errors must not get lost."""
    sources = [make_file(size, f"s{size}") for size in (9 * MIB, 10 * MIB, 1000)]
    script = (
        "import sys; from modelcellar_hashing import copy_many\n"
        "folder, *sources = sys.argv[1:]\n"
        "jobs = [(s, f'{folder}/{n}') for n, s in enumerate(sources)]\n"
        "print([getattr(one, 'errno', 0) for one in copy_many(jobs, streams=3)])\n"
    )
    command = [sys.executable, "-c", script, target_folder, *sources]
    printed = inject(command, "pwrite64:error=EIO:when=3+")
    assert printed.strip().count(str(errno.EIO)) >= 2
    assert len(names_in(target_folder)) <= 1


CHILD = """
import os, sys
from modelcellar_hashing import copy_many
source, folder = sys.argv[1:]
try:
    jobs = [(source, f"{folder}/{n}") for n in range(6)]
    copy_many(jobs, progress=lambda *_: print("on", flush=True))
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_half_way_nothing_stands_under_a_final_name(
    number: signal.Signals, big_source: Path, target_folder: Path
) -> None:
    command = [sys.executable, "-c", CHILD, str(big_source), str(target_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "on\n"
        child.send_signal(number)
        rest = child.stdout.read()
    names = names_in(target_folder)
    if number == signal.SIGINT:
        assert rest.endswith("stopped\n")
        assert names == []
    else:
        assert all(name.startswith(".modelcellar-") for name in names)


CLONES = ("btrfs", "xfs")


@pytest.mark.parametrize("kind", CLONES)
def test_a_clone_has_the_bytes_and_writes_none(kind: str, mounts: Mounts) -> None:
    folder = mounts.make(kind).path
    sizes = (0, 5, 100_000, 20 * MIB + 3)
    sources = []
    for size in sizes:
        path = folder / f"source-{size}"
        path.write_bytes(random.Random(size).randbytes(size))
        sources.append(path)
    os.sync()
    before = os.statvfs(folder).f_bfree
    jobs = [(source, folder / f"copy-{source.name}") for source in sources]
    results = copy_many(jobs, reflink="auto")
    one = copy_with_hashing(sources[-1], folder / "single", reflink="always")
    for (source, target), result in zip(jobs, results, strict=True):
        assert isinstance(result, FileDigests)
        assert result.cloned
        assert digests(result) == expected(source)
        assert target.read_bytes() == source.read_bytes()
    assert one.cloned
    assert one.sha256 == sha256_of(sources[-1])
    os.sync()
    block_bytes = os.statvfs(folder).f_frsize
    assert (before - os.statvfs(folder).f_bfree) * block_bytes < 4 * MIB
    # The copy is its own: writing to the source changes nothing of it.
    sources[-1].write_bytes(b"other")
    assert hashlib.sha256((folder / "single").read_bytes()).hexdigest() == one.sha256


@pytest.mark.parametrize("kind", CLONES)
def test_never_means_never(kind: str, mounts: Mounts) -> None:
    folder = mounts.make(kind).path
    source = folder / "source"
    source.write_bytes(random.Random(1).randbytes(20 * MIB))
    os.sync()
    before = os.statvfs(folder).f_bfree
    assert not copy_with_hashing(source, folder / "copy", reflink="never").cloned
    os.sync()
    assert (before - os.statvfs(folder).f_bfree) * os.statvfs(folder).f_frsize >= 20 * MIB


def test_where_nothing_can_be_cloned(make_file: Callable[..., Path], mounts: Mounts) -> None:
    source, folder = make_file(9 * MIB), mounts.tmpfs(64 * MIB)
    assert not copy_with_hashing(source, folder / "auto", reflink="auto").cloned
    assert sha256_of(folder / "auto") == sha256_of(source)
    with pytest.raises(OSError, match="cannot be cloned") as caught:
        copy_with_hashing(source, folder / "always", reflink="always")
    assert caught.value.errno == errno.EOPNOTSUPP
    assert names_in(folder) == ["auto"]
    with pytest.raises(ValueError, match="'perhaps'"):
        copy_with_hashing(source, folder / "x", reflink="perhaps")  # type: ignore[arg-type]


def test_memory_does_not_grow_with_the_files(big_source: Path, target_folder: Path) -> None:
    script = (
        "import resource, sys; from modelcellar_hashing import copy_many\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "copy_many([(sys.argv[1], f'{sys.argv[2]}/{n}') for n in range(12)], publish=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    os.truncate(big_source, 64 * MIB)
    command = [sys.executable, "-c", script, str(big_source), str(target_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 <= 160 * MIB
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


TURNS = """
import sys; from modelcellar_hashing import copy_many
folder, *sources = sys.argv[1:]
results = copy_many(
    [(source, f"{folder}/{n}") for n, source in enumerate(sources)], publish=False, alternate=True
)
print([getattr(one, "errno", 0) for one in results])
"""


def test_on_one_spindle_reading_and_writing_take_turns(
    make_file: Callable[..., Path], target_folder: Path, tmp_path: Path
) -> None:
    """128 MiB at a time, which may be a part of a file or many files."""
    require_strace()
    sources = [make_file(size * MIB, f"s{size}") for size in (130, 1, 2, 70)]
    log = tmp_path / "log"
    trace = ["strace", "-f", "-qq", "-y", "-o", str(log), "-e", "trace=read,pwrite64"]
    command = [sys.executable, "-c", TURNS, str(target_folder), *map(str, sources)]
    subprocess.run([*trace, *command], check=True, capture_output=True)
    turns = []
    for line in log.read_text().splitlines():
        is_write = "pwrite64(" in line and str(target_folder) in line
        if is_write or ("read(" in line and f"<{tmp_path}/s" in line):
            turns += [is_write] if turns[-1:] != [is_write] else []
    assert len(turns) <= 2 * 2 + 1
    for source, target in zip(sources, sorted(target_folder.iterdir()), strict=True):
        assert target.read_bytes() == source.read_bytes()


def cached_share(path: Path) -> float:
    """How many of a file's MiBs can be read without waiting for the disk."""
    with path.open("rb") as file:
        size = path.stat().st_size
        found = 0
        for offset in range(0, size, MIB):
            try:
                found += bool(os.preadv(file.fileno(), [bytearray(1)], offset, os.RWF_NOWAIT))
            except BlockingIOError:
                continue
    return found / (size / MIB)


def drop_from_cache(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if cached_share(path) > 0.5:
            pytest.skip("this file system keeps everything in memory")
        # The look itself has made the kernel read ahead at each place that was not there.
        time.sleep(0.1)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("streams", [0, 1])
def test_what_was_cached_stays_and_what_we_read_goes(
    streams: int, make_file: Callable[..., Path]
) -> None:
    cold, warm = make_file(100 * MIB, "cold"), make_file(100 * MIB + 1, "warm")
    drop_from_cache(cold)
    warm.read_bytes()
    results = hash_many([cold, warm], streams=streams)
    assert cached_share(cold) < 0.2
    assert cached_share(warm) > 0.9
    assert [digests(result) for result in results] == [expected(cold), expected(warm)]


@pytest.mark.parametrize("streams", [0, 1])
def test_of_a_file_that_is_half_cached_that_half_stays(
    streams: int, make_file: Callable[..., Path]
) -> None:
    half, small = make_file(96 * MIB, "half"), make_file(8 * MIB, "small")
    drop_from_cache(half)
    drop_from_cache(small)
    with half.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        file.seek(64 * MIB)
        file.read()
    before = cached_share(half)
    assert 0.25 < before < 0.5
    results = hash_many([half, small], streams=streams)
    assert abs(cached_share(half) - before) < 0.1
    assert cached_share(small) < 0.3
    assert [digests(result) for result in results] == [expected(half), expected(small)]


MANY_FILES = """
import resource, sys
from pathlib import Path
import modelcellar_hashing as m
resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))
folder, target = map(Path, sys.argv[1:])
jobs = [(path, target / path.name, ()) for path in sorted(folder.glob('s0*'))]
results = m.copy_many(jobs, alternate=True, streams=1)
assert not [one for one in results if isinstance(one, OSError)], results[0]
"""


def test_many_small_files_on_one_spindle_need_few_descriptors(
    make_file: Callable[..., Path], target_folder: Path
) -> None:
    sources = [make_file(100 + number, f"s{number:04}") for number in range(500)]
    command = [sys.executable, "-c", MANY_FILES, str(sources[0].parent), str(target_folder)]
    subprocess.run(command, check=True)
    assert len(list(target_folder.iterdir())) == 500
