"""The table of exit codes, each reached by a real situation."""

import os
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

from tests.cli.model_files import LFS_POINTER, write_safetensors
from tests.support.command import CommandResult
from tests.support.filesystems import Mounts

Cellar = Callable[..., CommandResult]


def damage(cellar: Cellar, model: str) -> None:
    """Change one byte of a model's file in the library."""
    location = Path(cellar("show", model, "--json").json()["model"]["files"][0]["location"])
    location.chmod(0o644)
    with location.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")


def test_0_done_also_for_duplicates(cellar: Cellar, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "one.safetensors")
    assert cellar("import", path).exit_code == 0
    again = cellar("import", path, "--json")
    assert [result["status"] for result in again.json()["results"]] == ["duplicate"]


def test_0_for_a_folder_without_models(cellar: Cellar, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "Found nothing to import." in cellar("import", folder).stdout


@pytest.mark.parametrize("name", ["missing.gguf", "pointer.safetensors"])
def test_1_nothing_imported(cellar: Cellar, tmp_path: Path, name: str) -> None:
    (tmp_path / "pointer.safetensors").write_bytes(LFS_POINTER)
    assert cellar("import", tmp_path / name, check=False).exit_code == 1


def test_1_nothing_hashed_or_inspected(cellar: Cellar, tmp_path: Path) -> None:
    for verb in ("hash", "inspect"):
        result = cellar(verb, tmp_path / "missing", check=False)
        assert result.exit_code == 1
        assert "missing" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["nonsense"],
        ["list", "--sort", "colour"],
        ["list", "--limit", "0"],
        ["import"],
        ["search"],
        ["hash"],
        ["edit", "model"],
        ["verify", "--max-duration", "soon"],
        ["verify", "--max-duration", "0s"],
        ["completion", "powershell"],
        ["init", "here", "--library", "there"],
    ],
)
def test_2_usage(cellar: Cellar, args: list[str]) -> None:
    result = cellar(*args, check=False)
    assert result.exit_code == 2
    assert result.stderr
    assert result.stdout == ""


def test_2_ambiguous_model(cellar: Cellar, tmp_path: Path) -> None:
    for number in (1, 2):
        path = write_safetensors(tmp_path / f"twin-{number}.safetensors", fill=number)
        cellar("import", path)
    result = cellar("show", "twin", check=False)
    assert result.exit_code == 2
    assert "Give the whole id" in result.stderr


def test_2_init_in_a_folder_with_other_things(cellar: Cellar, collection: Path) -> None:
    assert cellar("init", collection, check=False).exit_code == 2
    assert not (collection / "library.json").exists()


def test_3_partly_done(cellar: Cellar, collection: Path) -> None:
    assert cellar("import", collection, check=False).exit_code == 3
    for verb in ("hash", "inspect"):
        result = cellar(verb, collection / "beta.safetensors", "missing", "--json", check=False)
        assert result.exit_code == 3
        assert len(result.json()["files"]) == 1
        assert [one["path"] for one in result.json()["errors"]] == ["missing"]
        assert result.json_error()["code"] == "not_found"


def test_5_not_found(cellar: Cellar, filled: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    cellar("init", empty)
    for args in (
        ["show", "nothing-like-it"],
        ["remove", "nothing-like-it"],
        ["edit", "nothing-like-it", "--name", "x"],
        ["verify", "nothing-like-it"],
        ["undo", "--library", str(empty)],
        ["list", "--library", str(tmp_path / "no-library")],
    ):
        assert cellar(*args, check=False).exit_code == 5, args
    assert filled.is_dir()


def test_5_did_you_mean(cellar: Cellar, filled: Path) -> None:
    result = cellar("show", "alfa-lora", check=False)
    assert "alpha-lora" in result.stderr
    assert filled.is_dir()


def test_5_remove_of_several_removes_none(cellar: Cellar, filled: Path) -> None:
    assert cellar("remove", "beta", "nothing-like-it", check=False).exit_code == 5
    assert cellar("list", "--json").json()["total"] == 3
    assert filled.is_dir()


def test_6_verification_failed(cellar: Cellar, filled: Path) -> None:
    damage(cellar, "beta")
    result = cellar("verify", "--json", check=False)
    assert result.exit_code == 6
    assert [one["path"] for one in result.json()["damaged"]] == ["beta.safetensors"]
    assert cellar("verify", "alpha-lora").exit_code == 0
    assert filled.is_dir()


def test_6_digest_differs(cellar: Cellar, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "one.safetensors")
    sums = tmp_path / "sums"
    sums.write_text(cellar("hash", path).stdout)
    assert cellar("hash", "--check", sums).exit_code == 0
    write_safetensors(path, fill=9)
    assert cellar("hash", "--check", sums, check=False).exit_code == 6


def test_7_library_busy(cellar: Cellar, filled: Path) -> None:
    with filelock.FileLock(filled / ".lock"):
        env = {"MODELCELLAR_LOCK_TIMEOUT_S": "0.2"}
        result = cellar("remove", "beta", "--json", env=env, check=False)
    assert result.exit_code == 7
    assert result.json_error()["code"] == "library_busy"
    assert cellar("list", "--json").json()["total"] == 3


def test_8_no_space(cellar: Cellar, collection: Path) -> None:
    env = {"MODELCELLAR_MIN_FREE_BYTES": "900000 TiB"}
    path = collection / "beta.safetensors"
    result = cellar("import", path, "--json", env=env, check=False)
    assert result.exit_code == 8
    assert result.json()["results"][0]["error"]["code"] == "no_space"
    pointer = collection / "pointer.safetensors"
    mixed = cellar("import", path, pointer, env=env, check=False)
    assert mixed.exit_code == 1, "space was not the only reason"


def test_8_full_disk(cellar: Cellar, collection: Path, mounts: Mounts) -> None:
    disk = mounts.tmpfs(2 << 20)
    library = disk / "library"
    env = {"MODELCELLAR_LIBRARY": str(library), "MODELCELLAR_MIN_FREE_BYTES": "0"}
    big = write_safetensors(collection / "big.safetensors", size_bytes=4 << 20)
    result = cellar("import", big, "--json", env=env, check=False)
    assert result.exit_code == 8, result.stderr
