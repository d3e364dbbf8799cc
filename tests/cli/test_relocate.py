"""cellar relocate as people and scripts see it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import CommandResult

Cellar = Callable[..., CommandResult]


def test_renamed_and_told_where_the_setting_is(
    cellar: Cellar, filled: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    dry = cellar("relocate", new, "--dry-run")
    assert dry.stdout == f"would be renamed: {filled} -> {new}, 3 models, 30.3 kB\n"
    result = cellar("relocate", new)
    assert result.stdout == f"renamed: {filled} -> {new}, 3 models, 30.3 kB\n"
    assert f'write library = "{new}" into the config file' in result.stderr
    assert "cellar sync" not in result.stderr  # there are no links
    assert cellar("list", "--library", new, "-q").stdout.count("\n") == 3
    assert not filled.exists()


def test_copied_kept_and_deleted(cellar: Cellar, filled: Path, tmp_path: Path) -> None:
    new, env = tmp_path / "new", {"MODELCELLAR_LIBRARY": str(filled)}
    result = cellar("relocate", new, "--copy", env=env)
    assert "30.3 kB copied and checked, 0 B there already" in result.stdout
    assert "named by environment MODELCELLAR_LIBRARY" in result.stderr
    assert f"kept, and marked as moved: {filled}" in result.stderr
    # Every command says where it went, also those that would make a new library.
    for args in (["list"], ["status"], ["import", "."], ["init", filled], ["doctor"]):
        said = cellar(*args, env=env, check=False)
        assert said.exit_code in (1, 5)
        assert f"was moved to {new}" in said.stdout + said.stderr
    asked = cellar("relocate", new, "--delete-old", env=env, check=False)
    assert (asked.exit_code, filled.exists()) == (2, True)
    found = cellar("relocate", new, "--delete-old", "--yes", "--json", env=env).json()
    assert (found["how"], found["old_is_kept"]) == ("moved before", False)
    assert not filled.exists()


def test_damage_keeps_it_here_with_exit_code_6(
    cellar: Cellar, filled: Path, tmp_path: Path
) -> None:
    path = next(filled.glob("models/beta*/*"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    result = cellar("relocate", tmp_path / "new", "--copy", check=False)
    assert result.exit_code == 6
    assert result.stdout.startswith("not yet copied: ")
    assert f"damaged: {path.parent.name}/{path.name}: " in result.stdout
    assert "--with-damaged" in result.stderr
    found = cellar("relocate", tmp_path / "new", "--copy", "--with-damaged", "--json").json()
    assert found["switched"]
    assert [one["path"] for one in found["damaged"]] == [path.name]
    assert cellar("-q", "list", "--library", tmp_path / "new").stdout.count("\n") == 3


def test_what_is_left_behind_is_told_and_not_deleted(
    cellar: Cellar, filled: Path, tmp_path: Path
) -> None:
    (filled / "mine.txt").write_text("mine")
    result = cellar("relocate", tmp_path / "new", "--copy", "--delete-old", "--yes", check=False)
    assert result.exit_code == 3
    assert "not of the library, stays: mine.txt" in result.stdout
    assert (filled / "mine.txt").exists()
    assert (filled / "models").exists()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system, where there is one."""
    folder = Path("/dev/shm") / f"modelcellar-{tmp_path.name}"
    if not folder.parent.is_dir() or folder.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs another file system at /dev/shm")
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.usefixtures("filled")
def test_json_contract(cellar: Cellar, elsewhere: Path) -> None:
    found = cellar("relocate", elsewhere / "new", "--json").json()
    assert found["how"] == "copied"
    kinds = {
        "old": str, "new": str, "models": int, "size_bytes": int, "copied_bytes": int,
        "kept_bytes": int, "damaged": list, "left": list, "switched": bool, "old_is_kept": bool,
        "old_is_marked": bool, "has_links": bool, "setting": dict, "seconds": float,
        "dry_run": bool,
    }  # fmt: skip
    assert {name: type(found[name]) for name in kinds} == kinds
    assert found["setting"] == {"value": found["old"], "origin": "default"}


@pytest.mark.usefixtures("filled")
def test_refusals(cellar: Cellar, tmp_path: Path, collection: Path) -> None:
    result = cellar("relocate", collection, check=False)
    assert result.exit_code == 2
    assert "is not empty" in result.stderr
    assert (
        cellar("relocate", tmp_path / "x", "--library", tmp_path / "y", check=False).exit_code == 5
    )
