"""Whether this machine is quiet, and what machine it is."""

import hashlib
import os
import platform
import random
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import blake3

from benchmarks.contest import MAX_SENTINEL_CHANGE, MAX_STEAL, Quiet

MIB = 1 << 20
SENTINEL_BYTES = 64 * MIB


class Machine:
    """The sentinel work and the steal time of this machine."""

    def __init__(self, sentinel_bytes: int = SENTINEL_BYTES) -> None:
        self._data = random.Random(0).randbytes(MIB) * max(1, sentinel_bytes // MIB)
        self._last = _cpu_ticks()

    def sentinel_s(self) -> float:
        """Seconds of SHA-256 over a fixed buffer in memory."""
        began = time.perf_counter()
        hashlib.sha256(self._data).digest()
        return time.perf_counter() - began

    def steal(self) -> float:
        """The share of all processor time that the host took since the last call."""
        (steal_before, all_before), self._last = self._last, _cpu_ticks()
        steal, total = self._last
        return (steal - steal_before) / max(1, total - all_before)


def quiet_machine(*, smoke: bool) -> Quiet:
    """How rounds are judged; a smoke run keeps every round."""
    if smoke:
        return Quiet(lambda: 1.0, lambda: 0.0)
    machine = Machine()
    return Quiet(machine.sentinel_s, machine.steal, MAX_SENTINEL_CHANGE, MAX_STEAL)


def _cpu_ticks() -> tuple[int, int]:
    """Steal and all ticks since boot, from the first line of /proc/stat; zeros elsewhere."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0, 0
    ticks = [int(value) for value in fields[:8]]
    return ticks[7], sum(ticks)


def describe_machine() -> dict[str, str]:
    """What a reader needs to know about the machine behind the figures."""
    import modelcellar_hashing

    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "modelcellar-hashing": modelcellar_hashing.__version__,
        "SHA-256 back end": modelcellar_hashing.SHA256_BACKEND,
        **_opponents(),
    }


def _opponents() -> dict[str, str]:
    """The versions of the programs that take part, by their first word on it."""
    versions = {"Python's OpenSSL": ssl.OPENSSL_VERSION, "blake3 package": blake3.__version__}
    for name in ("cp", "openssl", "b3sum", "rhash", "rclone"):
        if shutil.which(name) is None:
            continue
        flag = "version" if name in {"openssl", "rclone"} else "--version"
        done = subprocess.run([name, flag], capture_output=True, text=True, check=False)
        versions[name] = (done.stdout.splitlines() or [""])[0]
    return versions


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
