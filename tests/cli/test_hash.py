"""``cellar hash`` against sha256sum and b3sum, and its checking of their lists."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar.records import Digests
from modelcellar_cli.checksums import Listed, parse_list, tag_lines
from tests.cli.model_files import write_safetensors
from tests.support.command import CommandResult

Cellar = Callable[..., CommandResult]
A, B = "a" * 64, "b" * 64
BOTH = Digests(blake3=A, sha256=B)
NAMES = ["plain.bin", "with space.bin", "back\\slash", "line\nbreak", "re\rturn", "ünï", "(x) = y"]


def oracle(tool: str, *args: str, folder: Path) -> str:
    """What the other tool prints."""
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")
    done = subprocess.run([tool, *args], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of several sizes whose names are a challenge."""
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(bytes([number]) * (number * 70_001))
    return tmp_path


def test_digests_and_lines_are_those_of_the_other_tools(cellar: Cellar, folder: Path) -> None:
    lines = cellar("hash", *NAMES, cwd=folder).stdout.split("\n")
    sha256 = [line for line in lines if line.lstrip("\\").startswith("SHA256 ")]
    assert sha256 == oracle("sha256sum", "--tag", *NAMES, folder=folder).split("\n")[:-1]
    blake3 = [line.rpartition(" = ")[2] for line in lines if line.lstrip("\\").startswith("BLAKE3")]
    assert blake3 == oracle("b3sum", "--no-names", *NAMES, folder=folder).split()
    quiet = cellar("hash", "-q", *NAMES, cwd=folder).stdout.split()
    assert quiet == [line.rpartition(" = ")[2] for line in sha256]


def test_sha256sum_checks_our_list(cellar: Cellar, folder: Path) -> None:
    (folder / "list").write_text(cellar("hash", *NAMES, cwd=folder).stdout, newline="")
    checked = oracle("sha256sum", "--check", "list", folder=folder)
    assert checked.count(": OK\n") == len(NAMES)


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("sha256sum", []),
        ("sha256sum", ["--binary"]),
        ("sha256sum", ["--tag"]),
        ("b3sum", []),
    ],
)
def test_we_check_their_lists(cellar: Cellar, folder: Path, tool: str, args: list[str]) -> None:
    # b3sum 1.2 does not escape a carriage return, GNU coreutils since 9.0 does.
    names = [name for name in NAMES if tool != "b3sum" or "\r" not in name]
    (folder / "list").write_text(oracle(tool, *args, *names, folder=folder), newline="")
    result = cellar("hash", "--check", "list", cwd=folder)
    assert result.stdout.count(": OK\n") == len(names)
    assert result.stderr == f"{len(names)} as listed\n"
    (folder / "plain.bin").write_bytes(b"changed")
    worse = cellar("hash", "--check", "list", cwd=folder, check=False)
    assert worse.exit_code == 6
    assert "plain.bin: FAILED\n" in worse.stdout
    assert f"{len(names) - 1} as listed, 1 NOT as listed" in worse.stderr
    quiet = cellar("hash", "--check", "list", "-q", cwd=folder, check=False)
    assert (quiet.stdout, quiet.stderr) == ("plain.bin: FAILED\n", "")


def test_we_check_our_json(cellar: Cellar, folder: Path) -> None:
    document = cellar("hash", "--json", *NAMES, cwd=folder).stdout
    result = cellar("hash", "--check", "-", "--json", cwd=folder, stdin=document)
    assert {file["status"] for file in result.json()["files"]} == {"ok"}
    assert len(result.json()["files"]) == len(NAMES)


def test_a_list_with_missing_files(cellar: Cellar, folder: Path) -> None:
    (folder / "list").write_text(f"{A}  gone\nnonsense\n# a comment\n\n")
    result = cellar("hash", "--check", "list", cwd=folder, check=False)
    assert result.exit_code == 1
    assert result.stdout == "gone: FAILED open or read\n"
    assert "1 could not be read, 1 lines not understood" in result.stderr
    digest = cellar("hash", "-q", "plain.bin", cwd=folder).stdout.strip()
    (folder / "list").write_text(f"{A}  gone\n{digest}  plain.bin\n")
    partly = cellar("hash", "--check", "list", "--json", cwd=folder, check=False)
    assert partly.exit_code == 3
    assert [file["status"] for file in partly.json()["files"]] == ["unreadable", "ok"]


def test_only_the_given_files_are_checked(cellar: Cellar, folder: Path) -> None:
    digest = cellar("hash", "-q", "plain.bin", cwd=folder).stdout.strip()
    (folder / "list").write_text(f"{digest}  ./plain.bin\n{A}  ünï\n")
    assert cellar("hash", "plain.bin", "--check", "list", cwd=folder).stdout == "./plain.bin: OK\n"
    result = cellar("hash", "plain.bin", "(x) = y", "--check", "list", cwd=folder, check=False)
    assert result.exit_code == 3
    assert "(x) = y: not in the list\n" in result.stdout


def test_a_list_that_is_none(cellar: Cellar, folder: Path) -> None:
    (folder / "list").write_text("just text\n")
    result = cellar("hash", "--check", "list", cwd=folder, check=False)
    assert result.exit_code == 1
    assert "no line of it is a checksum" in result.stderr


def test_a_folder_is_not_hashed_and_stops_nothing(cellar: Cellar, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "one.safetensors")
    result = cellar("hash", tmp_path, path, check=False)
    assert result.exit_code == 3
    assert result.stdout.count("one.safetensors") == 2
    assert str(tmp_path) in result.stderr


def test_lines_with_escaped_names() -> None:
    assert list(tag_lines("a", BOTH)) == [f"BLAKE3 (a) = {A}", f"SHA256 (a) = {B}"]
    first, _ = tag_lines("a\nb\\c\r", BOTH)
    assert first == f"\\BLAKE3 (a\\nb\\\\c\\r) = {A}"
    listed, not_understood = parse_list("\n".join(tag_lines("a\nb\\c\r", BOTH)).encode())
    assert not_understood == 0
    assert listed == (Listed("a\nb\\c\r", (("BLAKE3", A), ("SHA256", B))),)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (f"{A}  x", True),
        (f"{B} *x", True),
        (f"{B.upper()}  x", True),
        (f"SHA256 (x) = {B}", True),
        (f"SHA256 (x) = {A}", False),
        (f"BLAKE3 (x) = {A}\nSHA256 (x) = {A}", False),
        (f"{'c' * 64}  x", False),
        (f"\ufeff{A}  x\r\n", True),
        (json.dumps({"files": [{"path": "x", "blake3": A, "sha256": B}]}), True),
        (json.dumps({"files": [{"path": "x", "blake3": B, "sha256": A}]}), False),
        (json.dumps({"files": [{"path": "?", "path_hex": "78", "blake3": A, "sha256": B}]}), True),
    ],
)
def test_what_a_list_asks_for(text: str, fits: bool) -> None:
    (listed,), not_understood = parse_list(text.encode())
    assert listed.path == "x"
    assert not_understood == 0
    assert listed.fits(BOTH) is fits


@pytest.mark.parametrize(
    "text",
    [
        "abc  x",
        f"{A} x",
        f"{A}  ",
        f"MD5 (x) = {A[:32]}",
        f"SHA256 (x) = {A[:63]}",
        f"\\{A}  bad\\escape",
        f"{A}  nul\0byte",
        f"\\{A}  ends in \\",
        "{",
        '{"files": 3}',
        '{"files": [3]}',
        '{"files": [{"path": "x", "blake3": 3}]}',
        '{"files": [{"path_hex": "zz", "blake3": "", "sha256": ""}]}',
        "[" * 100_000,
        '{"files":' + "[" * 100_000,
    ],
)
def test_what_is_no_line_of_a_list(text: str) -> None:
    listed, not_understood = parse_list(text.encode())
    assert listed == ()
    assert not_understood >= 1
