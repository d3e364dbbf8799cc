"""The fault tools themselves: they hit the call they name, and only that one."""

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.filesystems import JOURNALLING, MIB, Mounts
from tests.support.strace import fail_at, kill_at, trace

THREE_RENAMES = """
import os, sys
folder = sys.argv[1]
for number in range(3):
    try:
        os.rename(f"{folder}/a{number}", f"{folder}/b{number}")
    except OSError as error:
        print(number, error.errno)
"""


@pytest.fixture
def renames(tmp_path: Path) -> list[str]:
    """A command that renames a0, a1 and a2 to b0, b1 and b2."""
    for number in range(3):
        (tmp_path / f"a{number}").touch()
    return [sys.executable, "-c", THREE_RENAMES, str(tmp_path)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_trace_counts_calls(renames: list[str], tmp_path: Path) -> None:
    run = trace(renames)
    assert run.exit_code == 0, run.stderr
    assert run.calls["rename"] == 3
    assert names(tmp_path) == ["b0", "b1", "b2"]


def test_trace_counts_the_busiest_thread() -> None:
    threads = (
        "import os, sys, threading\n"
        "file = os.open(sys.executable, os.O_RDONLY)\n"
        "for count in (2, 5):\n"
        "    work = lambda: [os.fsync(file) for _ in range(count)]\n"
        "    thread = threading.Thread(target=work); thread.start(); thread.join()\n"
    )
    command = [sys.executable, "-c", threads]
    assert trace(command, calls=["fsync"]).calls == {"fsync": 5}
    assert kill_at(command, "fsync", 5).exit_code == -signal.SIGKILL
    assert kill_at(command, "fsync", 6).calls == {"fsync": 5}


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_before_the_nth_call(nth: int, renames: list[str], tmp_path: Path) -> None:
    run = kill_at(renames, "rename", nth)
    assert run.exit_code == -signal.SIGKILL
    expected = [f"a{n}" for n in range(nth - 1, 3)] + [f"b{n}" for n in range(nth - 1)]
    assert names(tmp_path) == expected


def test_failed_at_the_nth_call(renames: list[str], tmp_path: Path) -> None:
    run = fail_at(renames, "rename", 2, "EIO")
    assert run.exit_code == 0
    assert run.stdout.split() == ["1", str(errno.EIO)]
    assert names(tmp_path) == ["a1", "b0", "b2"]


def test_small_file_system_gets_full(mounts: Mounts) -> None:
    folder = mounts.tmpfs(2 * MIB)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the errno below is the check
        (folder / "big").write_bytes(bytes(3 * MIB))
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("kind", JOURNALLING)
def test_power_can_be_cut_again_and_again(kind: str, mounts: Mounts) -> None:
    volume = mounts.make(kind)
    for number in range(3):
        with (volume.path / f"kept{number}").open("wb") as kept:
            kept.write(b"kept")
            os.fsync(kept.fileno())
        (volume.path / f"lost{number}").write_bytes(b"lost")
        mounts.power_cut(volume)
    left = {name for name in names(volume.path) if name != "lost+found"}
    assert left == {"kept0", "kept1", "kept2"}


@pytest.mark.usefixtures("mounts")
def test_everything_is_unmounted_afterwards(tmp_path: Path) -> None:
    with Mounts(tmp_path / "inner") as inner:
        places = [inner.tmpfs(MIB), inner.make("ext4").path]
        mounted = Path("/proc/self/mounts").read_text()
        assert all(f" {place} " in mounted for place in places)
    assert str(tmp_path / "inner") not in Path("/proc/self/mounts").read_text()
