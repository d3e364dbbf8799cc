"""``cellar dedupe``: the command around a search for equal files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import CommandResult

Cellar = Callable[..., CommandResult]


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """Two equal files and one of their size."""
    folder = tmp_path / "twins"
    folder.mkdir()
    for name, text in (("a.bin", b"one"), ("b.bin", b"one"), ("c.bin", b"two")):
        (folder / name).write_bytes(text * 30_000)
    os.utime(folder / "a.bin", (1, 1))
    return folder


def actions(document: dict[str, object]) -> list[tuple[str, str]]:
    plan = document["plan"]
    assert isinstance(plan, dict)
    return [
        (one["action"], Path(one["files"][0]["path"]).name)
        for group in plan["groups"]
        for one in group["actions"]
    ]


def test_plan_apply_and_undo_without_a_library(cellar: Cellar, twins: Path) -> None:
    plan = cellar("dedupe", "--json", "--link", "hardlink", twins).json()
    assert (actions(plan), plan["applied"]) == ([("link", "b.bin")], False)
    assert (twins / "b.bin").stat().st_nlink == 1
    done = cellar("dedupe", "--json", "--link", "hardlink", "--apply", twins).json()
    assert done["plan"]["reclaims_bytes"] == plan["plan"]["reclaims_bytes"] > 0
    assert (twins / "a.bin").samefile(twins / "b.bin")
    back = cellar("dedupe", "--undo", "--json").json()
    assert [one["path"] for one in back["back"]] == [str(twins / "b.bin")]
    assert not (twins / "a.bin").samefile(twins / "b.bin")
    assert cellar("dedupe", "--undo", check=False).exit_code != 0


def test_undo_of_a_library(cellar: Cellar, filled: Path, twins: Path) -> None:
    assert filled.is_dir()
    cellar("dedupe", "--link", "hardlink", "--apply", twins)
    told = cellar("undo")
    assert "took back: dedupe of 1 file" in told.stdout
    assert not (twins / "a.bin").samefile(twins / "b.bin")


def test_people_are_told_what_is_kept(cellar: Cellar, twins: Path) -> None:
    told = cellar("dedupe", "--link", "hardlink", twins)
    assert f"keep    {twins / 'a.bin'}" in told.stdout
    assert f"link    {twins / 'b.bin'}" in told.stdout
    assert "1 set of equal ones, would give back" in told.stdout
    assert "--apply" in told.stderr
    quiet = cellar("dedupe", "-q", "--link", "hardlink", twins)
    assert quiet.stdout == f"{twins / 'b.bin'}\n"


def test_small_files_can_be_passed_over(cellar: Cellar, twins: Path) -> None:
    document = cellar("dedupe", "--json", "--min-size", "1MB", twins).json()
    assert (document["files"], document["plan"]["groups"]) == (0, [])
    for name in ("x.json", "y.json"):
        (twins / name).write_text("{}")
    assert cellar("dedupe", "--json", "--link", "hardlink", twins).json()["files"] == 3
    assert cellar("dedupe", "--json", "--link", "reflink", twins).json()["files"] == 5


def test_what_is_not_there_is_told(cellar: Cellar, tmp_path: Path) -> None:
    done = cellar("dedupe", "--json", tmp_path / "none", check=False)
    assert done.exit_code == 3
    assert done.json()["errors"][0]["error"]["code"] == "not_found"


def test_folders_or_undo(cellar: Cellar, twins: Path) -> None:
    assert cellar("dedupe", check=False).exit_code == 2
    assert cellar("dedupe", "--undo", twins, check=False).exit_code == 2
