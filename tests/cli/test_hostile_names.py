"""Names made to attack a terminal, to break lines, or that are not UTF-8."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.model_files import write_safetensors
from tests.cli.terminal import run_in_terminal
from tests.support.command import CommandResult, cellar_command

Cellar = Callable[..., CommandResult]

ESCAPES = "\x1b]0;owned\x07\x1b[2J"
HOSTILE = {
    "escape": ESCAPES,
    "newline": "two\nlines",
    "return": "over\rwritten",
    "c1": "\x9b31m",
    "bidi": "\u202egpj",
    "not-utf-8": os.fsdecode(b"latin-\xe9"),
}


def control_characters(text: str) -> set[str]:
    """What would act on a terminal, apart from the ends of lines."""
    return {c for c in text if not c.isprintable()} - {"\n"}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of good model files with hostile names."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for number, name in enumerate(HOSTILE.values()):
        write_safetensors(folder / f"{name}.safetensors", fill=number + 1)
    return folder


def test_no_command_prints_control_characters(cellar: Cellar, hostile: Path) -> None:
    files = sorted(hostile.iterdir())
    missing = [path.with_suffix(".missing") for path in files]
    commands: list[list[str | Path]] = [
        ["import", "--dry-run", *files],
        ["import", *files, *missing],
        ["list"],
        ["search", "latin"],
        ["inspect", *files, *missing],
        ["hash", *missing],
        *(["show", name] for name in HOSTILE.values()),
        *(["list", f"--{name}"] for name in HOSTILE.values()),
        *([name] for name in HOSTILE.values()),
    ]
    for args in commands:
        result = cellar(*args, check=False)
        assert result.stdout + result.stderr, args
        assert not control_characters(result.stdout + result.stderr), args
        assert "unexpected error" not in result.stderr, args


def test_json_is_utf_8_and_tells_the_bytes(cellar: Cellar, hostile: Path) -> None:
    files = sorted(hostile.iterdir())
    for args in (["import", *files], ["list"], ["inspect", *files], ["hash", *files]):
        result = cellar(*args, "--json", check=False)
        assert not control_characters(result.stdout)
        assert result.stdout.isascii()
        json.dumps(result.json(), ensure_ascii=False).encode("utf-8", "strict")
    shown = {
        bytes.fromhex(file["path_hex"]) if "path_hex" in file else file["path"].encode()
        for file in cellar("hash", *files, "--json").json()["files"]
    }
    assert shown == {os.fsencode(path) for path in files}
    (imported,) = cellar("list", "--json").json()["models"]
    assert imported["files"][0]["path"] == "latin-\\xe9.safetensors"
    assert imported["files"][0]["path_hex"] == b"latin-\xe9.safetensors".hex()


def test_hash_is_readable_on_a_terminal_and_exact_in_a_pipe(hostile: Path) -> None:
    files = sorted(map(str, hostile.iterdir()))
    shown = run_in_terminal("hash", *files).text
    assert shown.count("SHA256 (") == len(files)
    assert not control_characters(shown)
    piped = subprocess.run(
        [*cellar_command(), "hash", *files], stdout=subprocess.PIPE, check=True
    ).stdout
    checked = subprocess.run(
        ["sha256sum", "--check"], input=piped, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked
    assert checked.stdout.count(b": OK\n") == len(files)


def test_a_setting_that_is_not_utf_8(cellar: Cellar, tmp_path: Path) -> None:
    library = tmp_path / HOSTILE["not-utf-8"]
    settings = cellar("config", "show", "--library", library, "--json").json()["settings"]
    assert settings[0]["value"] == f"{tmp_path}/latin-\\xe9"
    assert "latin-\\xe9" in cellar("config", "show", "--library", library).stdout


@pytest.mark.usefixtures("filled")
def test_edits_print_no_control_characters(cellar: Cellar) -> None:
    (beta,) = cellar("search", "-q", "beta").stdout.split()
    cellar("edit", beta, "--note", f"first {ESCAPES}\nsecond", "--name", f"new {ESCAPES}")
    for args in (
        ["show", beta],
        ["list"],
        ["edit", beta, "--note", ESCAPES],
        ["remove", beta],
        ["undo"],
    ):
        result = cellar(*args)
        assert not control_characters(result.stdout + result.stderr), args
        if args[0] != "undo":
            assert "owned" in result.stdout, args
