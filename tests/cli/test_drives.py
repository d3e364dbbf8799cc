"""``cellar drives`` as people see it, on the file systems of this machine and on made ones."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.terminal import run_in_terminal
from tests.support.command import CommandResult, cellar_command
from tests.support.filesystems import Mounts
from tests.support.strace import require_strace

Cellar = Callable[..., CommandResult]


def drives(cellar: Cellar, *args: str | Path, **more: Any) -> list[dict[str, Any]]:
    """What ``cellar drives`` says as data."""
    found: list[dict[str, Any]] = cellar("drives", *args, "--json", **more).json()["drives"]
    return found


def hard(findings: list[dict[str, Any]]) -> set[str]:
    """Codes of the findings that are more than a note."""
    return {found["code"] for found in findings if found["level"] != "note"}


def test_without_a_path(cellar: Cellar, home: Path, tmp_path: Path) -> None:
    library, here = drives(cellar, cwd=tmp_path)
    assert library["path"] == str(home / "data" / "modelcellar" / "library")
    assert here["path"] == str(tmp_path)
    # It is not there yet, and this command does not make it.
    assert "missing" in hard(library["findings"])
    assert "missing" not in hard(here["findings"])
    assert not (home / "data").exists()
    library, _ = drives(cellar, "--library", tmp_path / "other", cwd=tmp_path)
    assert library["path"] == str(tmp_path / "other")


def test_memory(cellar: Cellar, mounts: Mounts) -> None:
    (drive,) = drives(cellar, mounts.tmpfs(1 << 20))
    assert (drive["kind"], drive["confidence"], drive["devices"]) == ("ssd", "certain", [])
    assert drive["file_system"] == "tmpfs"
    assert hard(drive["findings"]) == set()


def test_lines_of_one_path(cellar: Cellar, mounts: Mounts) -> None:
    text = cellar("drives", mounts.tmpfs(1 << 20)).stdout
    assert "kind        ssd (certain)\n" in text
    assert "why         memory (tmpfs)\n" in text
    assert "at once     " in text


def test_table_of_several_with_the_reason(cellar: Cellar, mounts: Mounts) -> None:
    memory = mounts.tmpfs(1 << 20)
    disk = mounts.make("ext4").path
    lines = cellar("drives", memory, disk).stdout.splitlines()
    assert lines[0].split()[:2] == ["PATH", "KIND"]
    assert lines[1].split()[:3] == [str(memory), "ssd", "certain"]
    assert lines[1].endswith("memory (tmpfs)")
    assert lines[2].endswith("under a loop device")


def test_quiet(cellar: Cellar, mounts: Mounts) -> None:
    memory = mounts.tmpfs(1 << 20)
    assert cellar("drives", "-q", memory, memory).stdout == "ssd\nssd\n"


def test_one_that_cannot_be_reached_stops_no_other(cellar: Cellar, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    result = cellar("drives", missing, tmp_path, "--json", check=False)
    assert result.exit_code == 3
    assert [drive["path"] for drive in result.json()["drives"]] == [str(tmp_path)]
    (failed,) = result.json()["errors"]
    assert (failed["path"], failed["error"]["code"]) == (str(missing), "not_found")
    assert result.json_error()["code"] == "not_found"
    result = cellar("drives", missing, check=False)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(missing) in result.stderr


def test_the_users_word(cellar: Cellar, tmp_path: Path) -> None:
    env = {"MODELCELLAR_DRIVE": f"{tmp_path}=ssd;{tmp_path}/deep=hdd"}
    (tmp_path / "deep").mkdir()
    above, deep = drives(cellar, tmp_path, tmp_path / "deep", env=env)
    assert (above["kind"], above["confidence"]) == ("ssd", "certain")
    assert (deep["kind"], deep["concurrency"]) == ("hdd", 1)
    assert deep["reason"] == f"you said so ({tmp_path}/deep=hdd)"
    settings = cellar("config", "show", "--json", env=env).json()["settings"]
    (setting,) = (one for one in settings if one["name"] == "drive")
    assert setting == {
        "name": "drive",
        "value": env["MODELCELLAR_DRIVE"],
        "origin": "environment MODELCELLAR_DRIVE",
    }


@pytest.mark.parametrize("word", ["/mnt", "/mnt=tape", "=ssd"])
def test_a_word_that_is_not_understood(cellar: Cellar, word: str) -> None:
    result = cellar("drives", "--json", env={"MODELCELLAR_DRIVE": word}, check=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "MODELCELLAR_DRIVE" in result.json_error()["message"]
    assert "=hdd" in result.json_error()["hint"]


def test_the_users_word_for_a_device(cellar: Cellar, tmp_path: Path) -> None:
    (drive,) = drives(cellar, tmp_path)
    if not drive["devices"]:
        pytest.skip("no device can be seen here")
    env = {"MODELCELLAR_DRIVE": ";".join(f"{name}=hdd" for name in drive["devices"])}
    (told,) = drives(cellar, tmp_path, env=env)
    assert (told["kind"], told["confidence"]) == ("hdd", "certain")


def test_problems_of_a_place(cellar: Cellar, mounts: Mounts) -> None:
    (drive,) = drives(cellar, mounts.make("fuseblk-ro").path)
    assert hard(drive["findings"]) == {"read_only", "ntfs_unclean"}
    text = cellar("drives", drive["path"]).stdout
    assert "error       it is mounted read-only\n" in text
    assert "            Mount it for writing.\n" in text
    text = cellar("drives", drive["path"], "/").stdout
    assert f"error {drive['path']}\n  why:  it is mounted read-only\n" in text


def test_a_file_is_looked_at_as_a_source(cellar: Cellar, mounts: Mounts) -> None:
    volume = mounts.make("ext4")
    path = volume.path / "model"
    path.write_bytes(os.urandom(100))
    (drive,) = drives(cellar, path)
    assert drive["path"] == str(path)
    assert hard(drive["findings"]) == set()


def test_a_drive_that_tells_nothing_is_measured(cellar: Cellar, tmp_path: Path) -> None:
    (before,) = drives(cellar, tmp_path)
    if before["confidence"] != "guess" or not before["devices"]:
        pytest.skip("the drive of this machine tells what it is")
    with (tmp_path / "model").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    (after,) = drives(cellar, tmp_path)
    assert "ms" in after["reason"] or "cannot be measured" in after["reason"]
    assert after["devices"] == before["devices"]


def test_a_slow_disk_is_known_by_its_seeks(cellar: Cellar, tmp_path: Path) -> None:
    require_strace()
    (before,) = drives(cellar, tmp_path)
    if before["confidence"] != "guess" or not before["devices"]:
        pytest.skip("the drive of this machine tells what it is")
    file = tmp_path / "model"
    file.write_bytes(os.urandom(64 << 20))
    os.sync()
    slow = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=pread64", "-P", str(file)]
    slow += ["-e", "inject=pread64:delay_enter=5000", "--"]
    command = [*slow, *cellar_command(), "drives", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (drive,) = json.loads(done.stdout)["drives"]
    if "cannot be measured" in drive["reason"]:
        pytest.skip("no direct reads on the file system of this machine")
    assert (drive["kind"], drive["confidence"], drive["concurrency"]) == ("hdd", "likely", 1)


def test_names_that_are_hostile(cellar: Cellar, tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[31m\n\udcff"
    folder.mkdir()
    result = cellar("drives", folder)
    assert "\x1b" not in result.stdout
    (drive,) = drives(cellar, folder)
    assert drive["path_hex"] == os.fsencode(folder).hex()


def test_in_a_terminal(mounts: Mounts, tmp_path: Path) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    shown = run_in_terminal("drives", long, mounts.tmpfs(1 << 20), columns=80)
    assert shown.exit_code == 0
    heading, first, second = click.unstyle(shown.text).splitlines()[:3]
    assert max(map(len, (heading, first, second))) <= 80
    assert "\u2026" in first
    assert second.endswith("memory (tmpfs)")


def test_a_finding_about_all_paths_is_told_once(cellar: Cellar, mounts: Mounts) -> None:
    one, other = mounts.make("fuseblk-ro").path, mounts.make("fuseblk-ro").path
    text = cellar("drives", one, other).stdout
    assert f"error {one}, {other}\n" in text
    assert text.count("mounted read-only\n") == 1


def test_dry_run_of_an_import_warns_of_the_library(
    cellar: Cellar, mounts: Mounts, collection: Path
) -> None:
    # Mounted from a file, ntfs-3g shows as plain FUSE, which may hide a network.
    library = mounts.make("ntfs").path / "library"
    model = collection / "beta.safetensors"
    env = {"MODELCELLAR_MIN_FREE_BYTES": "0"}
    result = cellar("import", model, "--dry-run", "--library", library, env=env)
    assert "warning: the library's place: on a network file system or behind FUSE" in result.stderr
    assert not library.exists()
    result = cellar("import", model, "--dry-run", "--library", library, "--json", env=env)
    assert result.stderr == ""
    assert "library's place" not in cellar("import", model, "--dry-run").stderr
