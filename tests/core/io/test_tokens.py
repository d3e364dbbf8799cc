"""Who may use a drive when."""

import inspect
import sys
import threading
import time
from fractions import Fraction
from types import FrameType
from typing import Any

import pytest

from modelcellar.io.tokens import Tokens

ALL = Fraction(1)
HALF = Fraction(1, 2)


def start(
    tokens: Tokens, shares: dict[str, Fraction], line: list[str], name: str
) -> threading.Thread:
    """Asks for ``shares``, notes when they came, and gives them back at once."""

    def run() -> None:
        with tokens.hold(shares):
            line.append(name)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def waiting(tokens: Tokens) -> int:
    return sum(not ticket.is_served for ticket in tokens._line)


def wait_for_waiting(tokens: Tokens, count: int) -> None:
    end = time.monotonic() + 10
    while waiting(tokens) < count:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_parts_of_a_drive_are_had_together_until_all_is_taken() -> None:
    tokens = Tokens()
    line: list[str] = []
    with tokens.hold({"sda": HALF}), tokens.hold({"sda": HALF}):
        third = start(tokens, {"sda": HALF}, line, "third")
        wait_for_waiting(tokens, 1)
        start(tokens, {"sdb": ALL}, line, "other drive").join(10)
        assert line == ["other drive"]
    third.join(10)
    assert line == ["other drive", "third"]


def test_who_waits_longest_goes_first() -> None:
    tokens = Tokens()
    line: list[str] = []
    with tokens.hold({"sda": HALF}):
        large = start(tokens, {"sda": ALL, "sdb": ALL}, line, "large")
        wait_for_waiting(tokens, 1)
        # There is room for it, but it would keep the large one waiting, perhaps for ever.
        small = start(tokens, {"sda": HALF}, line, "small")
        wait_for_waiting(tokens, 2)
        beside = start(tokens, {"sdb": ALL}, line, "beside")
        wait_for_waiting(tokens, 3)
        start(tokens, {"sdc": ALL}, line, "elsewhere").join(10)
        assert line == ["elsewhere"]
    for thread in (large, small, beside):
        thread.join(10)
    assert line[1] == "large"
    assert sorted(line[2:]) == ["beside", "small"]


def test_who_gives_up_waiting_leaves_the_line() -> None:
    tokens = Tokens()

    def give_up() -> None:
        raise LookupError

    with tokens.hold({"sda": ALL}):
        with pytest.raises(LookupError), tokens.hold({"sda": ALL}, check=give_up):
            pytest.fail("was let in")
        assert not waiting(tokens)
    with tokens.hold({"sda": ALL}):
        pass


def test_what_was_held_is_given_back_by_a_job_that_fails() -> None:
    tokens = Tokens()
    with pytest.raises(LookupError), tokens.hold({"sda": ALL}):
        raise LookupError
    with tokens.hold({"sda": ALL}):
        pass


def lines_before_leaving() -> list[int]:
    source, first = inspect.getsourcelines(inspect.unwrap(Tokens.hold))
    doc = next(n for n, text in enumerate(source) if "ticket =" in text)
    end = next(n for n, text in enumerate(source) if text.strip() == "finally:")
    return [first + n for n in range(doc, end)]


def test_ctrl_c_at_any_statement_leaves_nothing_taken() -> None:
    interrupted = 0
    for line in lines_before_leaving():
        tokens = Tokens()

        def at_line(frame: FrameType, event: str, _arg: object) -> Any:
            if event == "line" and frame.f_lineno == line:  # noqa: B023
                raise KeyboardInterrupt
            return at_line if frame.f_code.co_name == "hold" else None

        before = sys.gettrace()
        sys.settrace(at_line)
        try:
            with tokens.hold({"sda": ALL}):
                sys.settrace(before)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(before)
        assert not tokens._line, f"line {line}"
    assert interrupted > 4


def test_a_drive_is_never_shared_out_twice() -> None:
    tokens = Tokens()
    inside: list[int] = [0, 0]
    most = [0, 0]
    lock = threading.Lock()

    def run(number: int) -> None:
        names = [at for at in (0, 1) if number >> at & 1] or [0, 1]
        for _ in range(50):
            with tokens.hold({str(at): ALL for at in names}):
                with lock:
                    for at in names:
                        inside[at] += 1
                        most[at] = max(most[at], inside[at])
                with lock:
                    for at in names:
                        inside[at] -= 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert most == [1, 1]
