"""Calls in daemon threads that are used again."""

import threading
import time

import pytest

from modelcellar.network import executor
from modelcellar.network.executor import DaemonExecutor


def test_a_thread_is_used_again_and_calls_never_wait_for_each_other() -> None:
    pool = DaemonExecutor()
    first = pool.submit(threading.get_ident).result()
    time.sleep(0.05)
    assert pool.submit(threading.get_ident).result() == first
    together = threading.Barrier(40)
    found = [pool.submit(together.wait, 20) for _ in range(40)]
    assert sorted(one.result() for one in found) == list(range(40))
    assert all(one.daemon for one in threading.enumerate() if one.ident == first)


def test_what_a_call_raises_is_handed_on_and_ends_no_thread() -> None:
    pool = DaemonExecutor()
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result()
    assert pool.submit(lambda: 7).result() == 7


def test_threads_without_work_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "IDLE_S", 0.02)
    pool = DaemonExecutor()
    before = threading.active_count()
    for _ in range(300):
        assert pool.submit(lambda: 1).result() == 1
        time.sleep(0.0001)
    together = threading.Barrier(8)
    for one in [pool.submit(together.wait, 20) for _ in range(8)]:
        one.result()
    ends_at = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < ends_at:
        time.sleep(0.01)
    assert threading.active_count() <= before
