"""Progress without a terminal: one line a minute, and nothing where it is not wanted."""

from collections.abc import Iterator

import pytest

from modelcellar.reports import Progress
from modelcellar_cli.options import Options
from modelcellar_cli.progress import ProgressTalk

MB = 1_000_000


def talk(options: Options, seconds: list[float]) -> None:
    """Report 1 MB a second at the given times; the clock starts at zero."""
    now = 0.0
    talker = ProgressTalk(options, clock=lambda: now)
    with talker as progress:
        for now in seconds:
            progress(Progress("copy", int(now), 300, int(now) * MB, 300 * MB, "name"))


def test_one_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    talk(Options(), [float(second) for second in range(181)])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "copy: 60/300, 60 MB of 300 MB, 1 MB/s, about 240 s left",
        "copy: 120/300, 120 MB of 300 MB, 1 MB/s, about 180 s left",
        "copy: 180/300, 180 MB of 300 MB, 1 MB/s, about 120 s left",
    ]


def test_work_of_unknown_size(capsys: pytest.CaptureFixture[str]) -> None:
    times: Iterator[float] = iter([0.0, 61.0, 61.0])
    with ProgressTalk(Options(), clock=lambda: next(times)) as progress:
        progress(Progress("verify", 1, 3, 61 * MB, 0))
    assert capsys.readouterr().err == "verify: 1/3, 61 MB, 1 MB/s\n"


@pytest.mark.parametrize("options", [Options(quiet=True), Options(json=True)])
def test_silence(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    talk(options, [61.0, 122.0])
    assert capsys.readouterr() == ("", "")
