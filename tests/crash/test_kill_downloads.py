"""``kill -9`` at every call of a download that changes the disk, at random moments, and power cuts.

After each the library is whole, and the same download brings the right bytes without fetching what
had come.
"""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from tests.crash.test_kill import Point, check_all, spread
from tests.support.download_worker import Order
from tests.support.fake_hub import FakeHub, FakeRepo
from tests.support.filesystems import Mounts
from tests.support.invariants import check_catalog, check_files, files_below, sha256
from tests.support.models import safetensors_bytes
from tests.support.models import sha256 as bytes_sha256
from tests.support.strace import CHANGING_CALLS, kill_at, require_strace, trace
from tests.support.worker import command, settings

MIB = 1 << 20
CALLS = (*CHANGING_CALLS, "chmod", "flock", "openat")
NAMING_CALLS = (
    "fdatasync", "fsync", "link", "linkat", "rename", "renameat", "renameat2", "syncfs", "unlink",
    "unlinkat",
)  # fmt: skip
POINTS = 30
POWER_POINTS = 16
TIMED_KILLS = 12
BIG = safetensors_bytes(seed=1, size_bytes=3 * MIB + 400)
FILES = {
    "README.md": b"# Toy\n",
    "config.json": b'{"model_type": "llama"}',
    "model-00001-of-00002.safetensors": BIG,
    "model-00002-of-00002.safetensors": safetensors_bytes(seed=2, size_bytes=300_000),
    "tokenizer.json": b'{"version": "1.0"}' + b" " * 300_000,
}
SIZE = sum(map(len, FILES.values()))
RATE = 60e6
"""Bytes a second of a connection, so that little is on its way to who is killed."""
IN_MEMORY_BYTES = MIB
"""What one interruption may cost."""


@dataclass(frozen=True, slots=True)
class Site:
    """A library of its own, with the state of a user of its own."""

    folder: Path
    hub_url: str
    connections: int = 2

    @property
    def root(self) -> Path:
        """The library's folder."""
        return self.folder / "library"

    @property
    def order(self) -> Order:
        """The download."""
        state = str(self.folder / "state")
        return Order(
            str(self.root), state, self.hub_url, connections=self.connections, silence_s=5.0
        )

    def create(self) -> None:
        """Make the library."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ModelLibrary.create(self.root, settings=settings(self.root)).close()

    def finish(self, prefix: Sequence[str] = ()) -> None:
        """Download to the end, and look at what is there then."""
        command_line = [*prefix, *self.order.command]
        done = subprocess.run(
            command_line, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.published() == {path: bytes_sha256(data) for path, data in FILES.items()}
        assert list((self.root / "staging").iterdir()) == [], "something was left"
        check_files(self.root)
        check_catalog(self.root)

    def published(self) -> dict[str, str]:
        """The files of all models: path and SHA-256."""
        return {
            path.relative_to(folder).as_posix(): sha256(path)
            for folder in (self.root / "models").iterdir()
            for path in files_below(folder)
        }

    def check_killed(self) -> None:
        """Whole, whatever is in: all files or none of them, and the catalog says the same."""
        published = check_files(self.root)
        assert len(published) <= 1
        check_catalog(self.root)


@pytest.fixture
def hub(fake_hub: FakeHub) -> FakeHub:
    fake_hub.add(FakeRepo("acme/toy", FILES))
    return fake_hub


@pytest.fixture
def site(hub: FakeHub, memory: Path) -> Callable[[str], Site]:
    """Makes a site of that name."""

    def make(name: str) -> Site:
        made = Site(memory / name, hub.hub_url)
        made.create()
        return made

    return make


def play(hub: FakeHub, site: Site, kill: Callable[[Site], int]) -> bool:
    """Kill one download, and bring it to its end; whether the kill came."""
    hub.clock.advance(300)
    code = kill(site)
    site.check_killed()
    site.finish()
    shutil.rmtree(site.folder, onerror=_make_writable)
    return code == -signal.SIGKILL


def _make_writable(function: Callable[[str], object], path: str, _: object) -> None:
    Path(path).parent.chmod(0o755)
    function(path)


@pytest.mark.slow
def test_killed_at_calls(hub: FakeHub, site: Callable[[str], Site]) -> None:
    require_strace()
    start = trace(command(site("started").root, "list"), calls=CALLS)
    counted = trace(site("counted").order.command, calls=CALLS)
    assert counted.exit_code == 0, counted.stdout + counted.stderr
    points = spread(counted.calls, start.calls.get("openat", 0), POINTS)
    assert {"pwrite64", "fdatasync", "renameat2", "fallocate"} <= set(counted.calls)
    hub.log.clear()

    def kill(point: Point) -> bool:
        call, nth = point
        place = site(f"{call}-{nth}")
        return play(hub, place, lambda at: kill_at(at.order.command, call, nth).exit_code)

    came = check_all(kill, points)
    # Threads do not make exactly the same calls each time.
    assert came >= len(points) * 0.8
    sent = hub.log.bytes_sent("cdn")
    in_lfs = sum(len(data) for path, data in FILES.items() if path.endswith(".safetensors"))
    # What was on its way to the one that was killed is not kept; the rest is.
    assert sent <= len(points) * (in_lfs * 1.05 + IN_MEMORY_BYTES)


@pytest.mark.slow
def test_killed_at_random_moments(hub: FakeHub, site: Callable[[str], Site]) -> None:
    """Each several times in a row: what was fetched before is used by the next."""
    hub.settings.rate_bytes_per_s = RATE
    moments = random.Random(4)
    first = site("whole")
    began = time.monotonic()
    first.finish()
    whole_s = time.monotonic() - began
    killed = 0
    for number in range(TIMED_KILLS):
        place = site(f"timed-{number}")
        hub.clock.advance(300)
        hub.log.clear()
        kills = moments.randint(1, 4)
        for _ in range(kills):
            with subprocess.Popen(place.order.command, stdout=subprocess.DEVNULL) as process:
                time.sleep(moments.uniform(whole_s * 0.3, whole_s * 1.05))
                process.kill()
            killed += process.returncode == -signal.SIGKILL
            place.check_killed()
        place.finish()
        sent = hub.log.bytes_sent("cdn")
        assert sent <= SIZE * 1.05 + kills * IN_MEMORY_BYTES, f"{sent:,} after {kills} kills"
    assert killed > TIMED_KILLS


def test_two_processes_share_one_download(hub: FakeHub, site: Callable[[str], Site]) -> None:
    """Both end well, and nothing is fetched twice; also when the first one is killed."""
    hub.settings.rate_bytes_per_s = 4e6
    for is_killed in (False, True):
        place = site(f"shared-{is_killed}")
        hub.log.clear()
        with (
            subprocess.Popen(place.order.command, stdout=subprocess.PIPE, text=True) as first,
            subprocess.Popen(place.order.command, stdout=subprocess.PIPE, text=True) as second,
        ):
            if is_killed:
                time.sleep(0.9)
                first.kill()
            out = first.communicate(timeout=60)[0], second.communicate(timeout=60)[0]
        assert second.returncode == 0, out
        assert is_killed or first.returncode == 0, out
        assert hub.log.bytes_sent("cdn") <= SIZE * 1.05 + is_killed * IN_MEMORY_BYTES
        place.finish()


@pytest.mark.parametrize("after_s", [0.2, 0.6, 1.1])
def test_power_cut(after_s: float, hub: FakeHub, mounts: Mounts, tmp_path: Path) -> None:
    """What the disk had not been told to keep is gone; the record of what has come knows that."""
    volume = mounts.make("ext4")
    place = Site(volume.path / "site", hub.hub_url)
    place.create()
    hub.settings.rate_bytes_per_s = 3e6
    process = subprocess.Popen(place.order.command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not hub.log.of("cdn"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(after_s)
    # Standing still, since an image that is copied while it changes is not one of any moment.
    process.send_signal(signal.SIGSTOP)
    snapshot = volume.snapshot("cut")
    process.kill()
    process.wait()
    mounts.mount(volume, snapshot)
    hub.settings.rate_bytes_per_s = None
    place.check_killed()
    place.finish(after_another_boot(tmp_path))


@pytest.mark.slow
def test_power_cut_at_calls(hub: FakeHub, mounts: Mounts, tmp_path: Path) -> None:
    """The power goes at a call that gives a name, takes one away, or makes something durable."""
    require_strace()
    volume = mounts.make("ext4")
    first = Site(volume.path / "counted", hub.hub_url)
    first.create()
    counted = trace(first.order.command, calls=NAMING_CALLS)
    assert counted.exit_code == 0, counted.stdout + counted.stderr
    points = spread(counted.calls, 0, POWER_POINTS)
    came = 0
    for call, nth in points:
        place = Site(volume.path / f"{call}-{nth}", hub.hub_url)
        place.create()
        hub.clock.advance(300)
        killed = kill_at(place.order.command, call, nth)
        came += killed.exit_code == -signal.SIGKILL
        mounts.power_cut(volume)
        try:
            place.check_killed()
            place.finish(after_another_boot(tmp_path))
        except Exception as error:
            raise AssertionError(f"power cut at {call} {nth}") from error
        shutil.rmtree(place.folder, onerror=_make_writable)
    assert came >= len(points) * 0.8


def after_another_boot(folder: Path) -> list[str]:
    """What stands before a command so that it sees the name of another boot of the machine."""
    name = folder / "boot_id"
    name.write_text("11111111-2222-4333-8444-555555555555\n")
    script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(name)]
