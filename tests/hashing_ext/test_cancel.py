"""A copy can be watched and stopped, and never stands in the way of other threads."""

import json
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from modelcellar_hashing import copy_with_hashing, hash_file, publish
from tests.hashing_ext.conftest import MIB, inject, names_in, wait_for

PROMISED_S = 0.2

# Signals itself from a second process, so that the time of the signal is known in this one.
CHILD = """
import json, os, signal, sys, time
import modelcellar_hashing as native
folder, function, after_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
read_end, write_end = os.pipe()
parent = os.getpid()
if os.fork() == 0:
    os.read(read_end, 1)
    time.sleep(after_s)
    sent = time.monotonic()
    os.kill(parent, signal.SIGINT)
    with open(folder + "/sent", "w") as file:
        file.write(str(sent))
    os._exit(0)
os.write(write_end, b"x")
arguments = {"copy": (folder + "/target/copy",), "hash": ()}[function]
call = {"copy": native.copy_with_hashing, "hash": native.hash_file}[function]
try:
    call(folder + "/source", *arguments)
except KeyboardInterrupt:
    answered = time.monotonic()
    left = os.listdir(folder + "/target")
    os.wait()
    with open(folder + "/sent") as file:
        print(json.dumps([answered - float(file.read()), left]))
else:
    print(json.dumps("not interrupted"))
"""


def interrupted_command(folder: Path, function: str, after_s: float) -> list[str]:
    return [sys.executable, "-c", CHILD, str(folder), function, str(after_s)]


def interrupt(folder: Path, function: str, after_s: float) -> tuple[float, list[str]]:
    """Seconds from SIGINT to KeyboardInterrupt, and what was left in the target folder."""
    command = interrupted_command(folder, function, after_s)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    latency_s, left = json.loads(done.stdout)
    return latency_s, left


@pytest.mark.parametrize("function", ["copy", "hash"])
@pytest.mark.usefixtures("big_source", "target_folder")
def test_control_c_is_answered_in_time(function: str, tmp_path: Path) -> None:
    latencies_s = []
    for attempt in range(5):
        latency_s, left = interrupt(tmp_path, function, 0.1 + attempt * 0.037)
        latencies_s.append(latency_s)
        assert left == []
    assert statistics.median(latencies_s) <= PROMISED_S
    assert names_in(tmp_path / "target") == []


def test_control_c_during_a_copy_of_real_data(
    make_file: Callable[..., Path], tmp_path: Path, target_folder: Path
) -> None:
    make_file(512 * MIB)
    latency_s, left = interrupt(tmp_path, "copy", 0.15)
    assert left == []
    assert latency_s <= PROMISED_S * 2
    assert names_in(target_folder) == []


@pytest.mark.parametrize(
    "stuck",
    ["read:delay_enter=3000000:when=20", "fsync:delay_enter=3000000"],
    ids=["source", "sync"],
)
def test_control_c_while_a_system_call_hangs(
    stuck: str, tmp_path: Path, make_file: Callable[..., Path], target_folder: Path
) -> None:
    """A dead network mount: the worker cannot be stopped, so it is left behind, without a file."""
    source = make_file(64 * MIB)
    only = source if stuck.startswith("read") else None
    command = interrupted_command(tmp_path, "copy", 1.0)
    latency_s, left = json.loads(inject(command, stuck, only=only))
    assert left == []
    # Tracing slows everything down; the hanging call would have taken 3 s.
    assert latency_s <= PROMISED_S * 2
    assert names_in(target_folder) == []


def test_progress(big_source: Path, target_folder: Path) -> None:
    calls: list[tuple[float, int, int]] = []

    def progress(done_bytes: int, total_bytes: int) -> None:
        calls.append((time.monotonic(), done_bytes, total_bytes))

    begin_s = time.monotonic()
    digests = copy_with_hashing(
        big_source, target_folder / "copy", publish=False, progress=progress
    )
    seconds = time.monotonic() - begin_s
    size_bytes = big_source.stat().st_size
    assert calls[-1][1:] == (size_bytes, size_bytes)
    assert {total for _, _, total in calls} == {size_bytes}
    done = [done for _, done, _ in calls]
    assert done == sorted(done)
    assert 3 <= len(calls) <= seconds * 10 + 1
    # All but the last, which comes when the copy is complete.
    gaps_s = [after[0] - before[0] for before, after in pairwise(calls[:-1])]
    assert min(gaps_s) >= 0.099
    assert 0 < digests.seconds <= seconds


@pytest.mark.parametrize("size_bytes", [0, 10, 2 * MIB])
def test_small_files_are_reported_once(
    size_bytes: int, make_file: Callable[..., Path], target_folder: Path
) -> None:
    calls: list[tuple[int, int]] = []
    source = make_file(size_bytes)
    copy_with_hashing(
        source, target_folder / "copy", publish=False, progress=lambda *c: calls.append(c)
    )
    hash_file(source, progress=lambda *c: calls.append(c))
    assert calls == [(size_bytes, size_bytes)] * 2


def test_no_progress_after_the_call(big_source: Path, target_folder: Path) -> None:
    calls: list[int] = []

    def stop(done_bytes: int, _total_bytes: int) -> None:
        calls.append(done_bytes)
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        copy_with_hashing(big_source, target_folder / "copy", progress=stop)
    time.sleep(0.3)
    assert len(calls) == 1


@pytest.mark.parametrize("at_end", [False, True], ids=["half-way", "at the end"])
@pytest.mark.parametrize("publishing", [True, False], ids=["publish", "keep"])
def test_what_progress_raises_stops_the_copy(
    publishing: bool, at_end: bool, big_source: Path, target_folder: Path
) -> None:
    def stop(done_bytes: int, total_bytes: int) -> None:
        if not at_end or done_bytes == total_bytes:
            raise LookupError("stop")

    begin_s = time.monotonic()
    with pytest.raises(LookupError, match="stop"):
        copy_with_hashing(big_source, target_folder / "copy", publish=publishing, progress=stop)
    if not at_end:
        assert time.monotonic() - begin_s < 0.1 + PROMISED_S * 2
    assert names_in(target_folder) == []


def test_small_file_stopped_by_progress(
    make_file: Callable[..., Path], target_folder: Path
) -> None:
    def stop(_done_bytes: int, _total_bytes: int) -> None:
        raise LookupError("stop")

    with pytest.raises(LookupError):
        copy_with_hashing(make_file(10), target_folder / "copy", publish=False, progress=stop)
    assert names_in(target_folder) == []


def test_other_threads_run_during_a_copy(big_source: Path) -> None:
    stop = threading.Event()
    ticks_s: list[float] = []

    def tick() -> None:
        while not stop.wait(0.01):
            ticks_s.append(time.monotonic())

    ticker = threading.Thread(target=tick)
    ticker.start()
    wait_for(lambda: bool(ticks_s))
    begin_s = time.monotonic()
    hash_file(big_source)
    end_s = time.monotonic()
    stop.set()
    ticker.join()
    during = sum(begin_s < at < end_s for at in ticks_s)
    assert during >= (end_s - begin_s) * 20


def test_interrupt_from_another_thread_of_work(big_source: Path, target_folder: Path) -> None:
    """Signals reach the main thread only; a copy elsewhere is stopped by its progress callback."""
    stopped = threading.Event()
    raised: list[BaseException] = []

    def check(_done_bytes: int, _total_bytes: int) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt

    def work() -> None:
        try:
            copy_with_hashing(big_source, target_folder / "copy", progress=check)
        except KeyboardInterrupt as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: bool(names_in(target_folder)))
    begin_s = time.monotonic()
    stopped.set()
    thread.join()
    assert time.monotonic() - begin_s <= PROMISED_S * 2
    assert len(raised) == 1
    assert names_in(target_folder) == []


def test_signal_handler_that_does_not_raise(big_source: Path) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _frame: seen.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        hash_file(big_source)
        assert len(seen) >= 3, "handlers wait for the end of the call"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_publish_is_not_torn_by_a_signal(tmp_path: Path) -> None:
    (tmp_path / "staged").write_text("content")
    steps: list[str] = []

    def signal_first(step: str) -> None:
        if not steps:
            signal.raise_signal(signal.SIGUSR1)
        steps.append(step)

    class SignalledError(Exception):
        pass

    def handle(_number: int, _frame: object) -> None:
        raise SignalledError

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pytest.raises(SignalledError):
            publish([(tmp_path / "staged", tmp_path / "final")], on_step=signal_first)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert names_in(tmp_path) == ["staged"]
