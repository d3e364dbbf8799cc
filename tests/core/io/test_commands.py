"""Asking programs: real ones, that answer, fail, hang or are not there."""

import sys
import time

import pytest

from modelcellar.io.commands import output_of


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_what_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    said = output_of(python("import os; print(os.environ['LC_ALL'], os.environ['PATH'])"))
    assert said is not None
    language, path = said.decode().split(maxsplit=1)
    assert language == "C"
    assert path.strip().endswith(":/usr/sbin:/sbin")


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "print('half'); raise SystemExit(2)"])
def test_one_that_fails(code: str) -> None:
    assert output_of(python(code)) is None


def test_one_that_is_not_there() -> None:
    assert output_of(("modelcellar-no-such-program",)) is None


def test_one_that_hangs_is_left() -> None:
    begin = time.monotonic()
    assert output_of(python("import time; time.sleep(60)"), limit_s=0.2) is None
    assert time.monotonic() - begin < 30
