"""Runs one contender in a process of its own and measures it: ``python -m benchmarks.worker``.

A request of JSON comes on standard input, the answer goes to standard output. What is measured
begins after the interpreter has started and everything is imported, and ends when the work is done.
Programs count from their start to their end; the kernel adds what they used to this process when
they are waited for.
"""

import gc
import json
import os
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks import calls, no_sync


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Do the steps of ``request`` one after the other and say what they took and found."""
    jobs = [(src, dst) for src, dst in request["jobs"]]
    if not request["durable"]:
        no_sync.switch_fsync_off()
    # Modules and the memory of first use are not part of the work.
    if any(step.get("call") == "cellar_library" for step in request["steps"]):
        import modelcellar.importer  # noqa: F401
    gc.collect()
    gc.freeze()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
    memory = _resident_bytes("VmRSS")
    before = _counters()
    found: list[str] = []
    began = time.perf_counter()
    for step in request["steps"]:
        found += _take(step, jobs, request["folder"])
    seconds = time.perf_counter() - began
    after = _counters()
    spent = {name: after[name] - before[name] for name in before}
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    peak = max(_resident_bytes("VmHWM") - memory, children)
    return {**spent, "seconds": seconds, "peak_memory_bytes": peak, "found": found}


def _take(step: dict[str, Any], jobs: list[calls.Job], folder: str) -> list[str]:
    """One step: a function, or programs that all run at the same time."""
    if "call" in step:
        digests = calls.CALLS[step["call"]](jobs, **step.get("options", {}))
        return [" ".join(pair) for pair in digests]
    environment = {**os.environ, **step.get("environment", {})}
    with ExitStack() as stack:
        running = []
        for command in step["commands"]:
            # Files in memory: a pipe that nobody empties yet would stop a program half-way.
            out = stack.enter_context(os.fdopen(os.memfd_create("output"), "w+b"))
            talk = stack.enter_context(os.fdopen(os.memfd_create("talk"), "w+b"))
            process = subprocess.Popen(
                command, stdout=out, stderr=talk, cwd=folder, env=environment
            )
            running.append((process, out, talk))
        for process, _, talk in running:
            if process.wait() != 0:
                raise RuntimeError(f"{process.args!r:.200}: {_text(talk)[-2000:]}")
        return [_text(out) for _, out, _ in running]


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _counters() -> dict[str, float]:
    """Processor seconds and bytes so far, of this process and of all it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    moved = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    return {
        "cpu_s": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "read_call_bytes": moved["rchar"],
        "write_call_bytes": moved["wchar"],
        "disk_read_bytes": moved["read_bytes"],
        "disk_write_bytes": moved["write_bytes"],
    }


def _resident_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name} in /proc/self/status")


def main() -> None:
    """Answer the one request on standard input."""
    json.dump(run(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
