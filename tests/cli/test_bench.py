"""``cellar bench``: what it measures, and that it leaves nothing behind."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import CommandResult, cellar_command

Cellar = Callable[..., CommandResult]


def test_for_people(cellar: Cellar, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("stays")
    text = cellar("bench", tmp_path, "--size", "8MiB").stdout
    for words in ("read from the disk", "as cellar does", "SHA-256", "The slowest part", "/s"):
        assert words in text
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_figures_agree(cellar: Cellar, tmp_path: Path) -> None:
    found = cellar("bench", tmp_path, "--size", "8MiB", "--json").json()
    for case in found["cases"]:
        assert case["size_bytes"] == 8 << 20
        assert min(case["rounds"]) <= case["seconds"] <= max(case["rounds"])
        assert case["bytes_per_second"] == pytest.approx(case["size_bytes"] / case["seconds"])
    limits = [case for case in found["cases"] if case["name"] == found["bottleneck"]]
    assert len(limits) == 1
    seconds = cellar("bench", tmp_path, "--size", "8MiB", "-q").stdout.split()
    assert len(seconds) == len(found["cases"])
    assert all(float(one) > 0 for one in seconds)


def test_more_than_there_is_room_for(cellar: Cellar, tmp_path: Path) -> None:
    found = cellar("bench", tmp_path, "--size", "900TiB", check=False)
    assert found.exit_code == 8
    assert "are free" in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_such_folder(cellar: Cellar, tmp_path: Path) -> None:
    found = cellar("bench", tmp_path / "nowhere", check=False)
    assert found.exit_code == 1
    assert "nowhere" in found.stderr


@pytest.mark.parametrize("size", ["0", "5", "1023KiB"])
def test_sizes_that_measure_nothing(cellar: Cellar, tmp_path: Path, size: str) -> None:
    found = cellar("bench", tmp_path, "--size", size, check=False)
    assert found.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    command = [*cellar_command(), "bench", str(tmp_path), "--size", "512MiB"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not list(tmp_path.glob(".modelcellar-bench-*/source-1")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
