"""Programs that download, each run by the clock as a process from its start to its end."""

import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.contest import Entry, Sample

__all__ = ["CALL", "CELLAR", "CURL", "HF", "Downloads", "Job"]

CELLAR = "cellar download"
CALL = "ModelLibrary.download"
CURL = "curl"
CURL_SYNC = "curl, then sync"
HF = "hf download (xet off)"
POLL_S = 0.02
LONGEST_S = 600.0


class WrongResultError(Exception):
    """A program did not bring what it was asked for, so its time means nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be downloaded: a repository of ``folder``, from ``hub_url``, to below ``target``.

    ``path`` is the file of it that is, for programs that do not know what a repository is.
    """

    repo_id: str
    folder: Path
    hub_url: str
    target: Path
    path: str = ""

    @property
    def url(self) -> str:
        """The address of the file."""
        return f"{self.hub_url}/{self.repo_id}/resolve/main/{self.path}"

    @property
    def size_bytes(self) -> int:
        """Bytes of the file, or of all of them."""
        if self.path:
            return (self.folder / self.path).stat().st_size
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


class Downloads:
    """Makes entries of a contest for one job. ``connections`` is how many at once, 0 for whatever
    a program thinks best."""

    def __init__(self, job: Job, *, connections: int = 0) -> None:
        self._job = job
        self._connections = connections

    def curl(self) -> Entry:
        """One stream into a file."""
        job = self._job
        out = job.target / "out"
        return self._entry(CURL, lambda: [["curl", "-sL", "-o", str(out), job.url]], self._joined)

    def curl_and_sync(self) -> Entry:
        """The same, and the file is on the disk at the end, as ours is."""
        out = self._job.target / "out"
        script = 'curl -sL -o "$0" "$1" && sync "$0"'
        command = ["sh", "-c", script, str(out), self._job.url]
        return self._entry(CURL_SYNC, lambda: [command], self._joined)

    def curl_in_parts(self) -> Entry:
        """As many streams as connections, each a part of the file into a file of its own."""
        return self._entry(
            f"curl, {self._connections} parts at once", self._part_commands, self._joined
        )

    def hf(self) -> Entry:
        """The Hub's own program, into its cache."""
        job = self._job
        command = [_script("hf"), "download", *self._wanted]
        environment = {
            "HF_ENDPOINT": job.hub_url,
            "HF_HOME": str(job.target / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return self._entry(HF, lambda: [command], self._in_cache, environment)

    def cellar(self) -> Entry:
        """Ours, into a new library."""
        command = [_script("cellar"), "download", *self._wanted]
        command += ["--connections", str(self._connections), "--quiet"]
        return self._entry(
            CELLAR, lambda: self._with_library(command), self._in_library, self._environment
        )

    def call(self) -> Entry:
        """Ours without the start of an interpreter: from the call to its return."""
        script = str(Path(__file__).with_name("download_call.py"))
        told = self._job.target / "seconds"
        command = [sys.executable, "-P", script, str(told), str(self._connections), *self._wanted]
        entry = self._entry(
            CALL, lambda: self._with_library(command), self._in_library, self._environment
        )
        return Entry(
            CALL, lambda: replace(entry.run(), seconds=float(told.read_text(encoding="ascii")))
        )

    # --- inside ---

    @property
    def _wanted(self) -> list[str]:
        return [self._job.repo_id, *([self._job.path] if self._job.path else [])]

    @property
    def _environment(self) -> dict[str, str]:
        job = self._job
        return {
            "HF_ENDPOINT": job.hub_url,
            "HF_HOME": str(job.target / "no-cache"),
            "XDG_STATE_HOME": str(job.target / "state"),
            "XDG_CACHE_HOME": str(job.target / "cache"),
            "MODELCELLAR_LIBRARY": str(job.target / "library"),
            "MODELCELLAR_MIN_FREE_BYTES": "0",
        }

    def _with_library(self, command: list[str]) -> list[list[str]]:
        """The command, once there is an empty library for it."""
        init = [_script("cellar"), "init", str(self._job.target / "library")]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
        return [command]

    def _entry(
        self,
        name: str,
        commands: Callable[[], Sequence[Sequence[str]]],
        found: Callable[[], list[Path]],
        environment: dict[str, str] | None = None,
    ) -> Entry:
        def run() -> Sample:
            remove(self._job.target)
            self._job.target.mkdir(parents=True)
            prepared = commands()
            os.sync()
            sample = measured(prepared, {**os.environ, **(environment or {})})
            self._check(name, found())
            return sample

        return Entry(name, run)

    def _check(self, name: str, found: list[Path]) -> None:
        size_bytes = sum(path.stat().st_size for path in found)
        if size_bytes != self._job.size_bytes:
            raise WrongResultError(f"{name}: {size_bytes:,} of {self._job.size_bytes:,} bytes")

    def _part_commands(self) -> list[list[str]]:
        job, count = self._job, self._connections
        size = job.size_bytes
        borders = [size * number // count for number in range(count + 1)]
        return [
            ["curl", "-sL", "-o", str(job.target / f"out{start}"), "-r", f"{start}-{end - 1}",
             job.url]
            for start, end in itertools.pairwise(borders)
        ]  # fmt: skip

    def _joined(self) -> list[Path]:
        return sorted(self._job.target.glob("out*"))

    def _in_cache(self) -> list[Path]:
        return [path for path in self._job.target.glob("hf/hub/**/snapshots/*/**/*")
                if path.is_file()]  # fmt: skip

    def _in_library(self) -> list[Path]:
        return [path for path in self._job.target.glob("library/models/*/**/*") if path.is_file()]


def measured(commands: Sequence[Sequence[str]], environment: dict[str, str]) -> Sample:
    """Run programs at the same time, to the end of the last of them."""
    before = os.times()
    began = time.perf_counter()
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    peaks = dict.fromkeys((one.pid for one in running), 0)
    while any(one.poll() is None for one in running):
        for one in running:
            peaks[one.pid] = max(peaks[one.pid], _peak_bytes(one.pid))
        if time.perf_counter() - began > LONGEST_S:
            for one in running:
                one.kill()
        _wait_for_any(running, POLL_S)
    seconds = time.perf_counter() - began
    after = os.times()
    for one in running:
        if one.returncode != 0:
            raise WrongResultError(f"{one.args!r:.300} ended with {one.returncode}")
    cpu_s = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return Sample(seconds, cpu_s, 0, 0, 0, 0, sum(peaks.values()))


def _wait_for_any(running: Sequence["subprocess.Popen[bytes]"], seconds: float) -> None:
    """Sleep, but not longer than the programs run."""
    left = [one for one in running if one.returncode is None]
    if left:
        try:
            left[0].wait(seconds)
        except subprocess.TimeoutExpired:
            return


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has had so far, as long as it lives."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _script(name: str) -> str:
    path = Path(sysconfig.get_path("scripts"), name)
    return str(path) if path.exists() else str(Path(sys.executable).with_name(name))


def remove(folder: Path) -> None:
    """Remove what was downloaded; content of a library is write-protected."""
    for place, _, _ in os.walk(folder):
        Path(place).chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
