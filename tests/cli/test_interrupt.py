"""Ctrl-C, and a reader that goes away."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.model_files import write_safetensors, write_sparse_safetensors
from tests.support.command import CommandResult, cellar_command

Cellar = Callable[..., CommandResult]
GIB = 1 << 30


def wait_for_staged_content(library: Path, process: subprocess.Popen[str]) -> None:
    """Until the import is in the middle of a file."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if any(library.glob("staging/*/content/**/big.safetensors")):
            return
        time.sleep(0.005)
    pytest.fail("the import did not get as far as copying")


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_in_an_import(cellar: Cellar, tmp_path: Path, as_json: bool) -> None:
    library = tmp_path / "library"
    cellar("init", library)
    sources = tmp_path / "sources"
    sources.mkdir()
    write_safetensors(sources / "a-small.safetensors")
    big = write_sparse_safetensors(sources / "big.safetensors", 8 * GIB)
    size_bytes = big.stat().st_size
    command = [*cellar_command(), "import", str(sources), "--library", str(library)]
    with subprocess.Popen(
        [*command, *(["--json"] if as_json else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MODELCELLAR_MIN_FREE_BYTES": "0"},
    ) as process:
        wait_for_staged_content(library, process)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
        answered_s = time.monotonic() - began
    assert process.returncode == 130
    assert answered_s < 5.0
    assert stdout == ""
    if as_json:
        assert json.loads(stderr.strip().splitlines()[-1])["error"]["code"] == "cancelled"
    assert "Run the same command again: what is already in is skipped." in stderr
    assert "Traceback" not in stderr
    assert big.stat().st_size == size_bytes
    names = [one["name"] for one in cellar("list", "--json", "--library", library).json()["models"]]
    assert names == ["a-small"]
    assert list((library / "staging").iterdir()) == []


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """Output that is written at the end, and output that is written at once."""
    return {**os.environ, "PYTHONUNBUFFERED": request.param}


@pytest.mark.parametrize("verb", ["list", "hash"])
def test_a_reader_that_goes_away(
    cellar: Cellar, tmp_path: Path, environment: dict[str, str], verb: str
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    files = [
        write_safetensors(folder / f"m{n}.safetensors", fill=n, size_bytes=9) for n in range(9)
    ]
    cellar("import", folder)
    arguments = [*map(str, files)] * 200 if verb == "hash" else []
    with subprocess.Popen(
        [*cellar_command(), verb, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        stderr = process.stderr.read()
    assert "Traceback" not in stderr
    assert "Broken pipe" not in stderr
    assert "Exception ignored" not in stderr
    assert process.returncode in {0, 1}


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("args", [["list"], ["list", "--json"], ["--help"]], ids=" ".join)
def test_a_full_output_device(environment: dict[str, str], args: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*cellar_command(), *args],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
    assert done.returncode == 8
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
