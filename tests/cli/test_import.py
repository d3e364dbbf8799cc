"""``cellar import`` as people see it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import GOOD
from tests.cli.model_files import write_safetensors
from tests.cli.terminal import run_in_terminal
from tests.support.command import CommandResult

Cellar = Callable[..., CommandResult]


def tree(folder: Path) -> list[str]:
    """Every path below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_default_library_is_made(cellar: Cellar, collection: Path, home: Path) -> None:
    result = cellar("import", collection / GOOD[0])
    library = home / "data" / "modelcellar" / "library"
    assert f"Made a new library: {library}" in result.stderr
    assert (library / "library.json").is_file()
    assert "Made a new library" not in cellar("import", collection / GOOD[1]).stderr


def test_a_new_folder_given_by_name_is_made_but_another_is_not_taken(
    cellar: Cellar, collection: Path, tmp_path: Path
) -> None:
    cellar("import", collection / GOOD[0], "--library", tmp_path / "new")
    assert (tmp_path / "new" / "library.json").is_file()
    result = cellar("import", collection / GOOD[0], "--library", collection, check=False)
    assert result.exit_code == 5
    assert "is not a library" in result.stderr
    assert not (collection / "library.json").exists()


def test_the_report_for_people(cellar: Cellar, collection: Path) -> None:
    result = cellar("import", collection, check=False)
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["SOURCE", "WHAT", "IT", "IS", "SIZE", "STATUS", "MODEL"]
    (row,) = (line for line in lines if line.startswith("alpha-lora.safetensors"))
    assert re.search(r"safetensors, 1 tensor.* 20\.1 kB +imported +alpha-lora-[0-9a-f]{8}$", row)
    start = lines.index(f"refused {collection / 'pointer.safetensors'}")
    assert lines[start + 1].startswith("  why:  ")
    assert "LFS" in lines[start + 1]
    assert lines[start + 2].startswith("  next: ")
    assert "3 imported, 1 refused, 1 other file left alone" in lines
    assert re.fullmatch(r"\S+ kB read, \S+ kB written, \S+ s, \S+ \wB/s", lines[-1])
    assert "cellar undo" in result.stderr
    assert "cellar search" in result.stderr
    again = cellar("import", collection, check=False)
    assert "3 duplicates, 1 refused, 1 other file left alone" in again.stdout
    assert "duplicate" in again.stdout
    assert "cellar undo" not in again.stderr


def test_dry_run_changes_nothing(cellar: Cellar, collection: Path, home: Path) -> None:
    before = tree(home)
    result = cellar("import", "--dry-run", collection, check=False)
    assert tree(home) == before
    assert result.exit_code == 3
    assert result.stdout.count("would import") == 3 + 1
    assert "would import 3, refused 1" in result.stdout
    assert "A new library would be made" in result.stderr
    assert cellar("import", "--dry-run", collection / GOOD[0], "--json").json()["dry_run"] is True
    cellar("import", collection / GOOD[0])
    (library,) = home.rglob("library.json")
    manifests = tree(library.parent / "manifests")
    dry = cellar("import", "--dry-run", collection / GOOD[0], collection / GOOD[1]).stdout
    assert "would import 1, 1 duplicate" in dry
    assert tree(library.parent / "manifests") == manifests


def test_quiet_prints_ids_of_what_came_in(cellar: Cellar, collection: Path) -> None:
    result = cellar("import", "-q", collection, check=False)
    ids = result.stdout.split()
    assert len(ids) == 3
    assert result.stderr == ""
    assert ids == [result["id"] for result in cellar("list", "--json").json()["models"]]
    assert cellar("import", "-q", collection, check=False).stdout == ""


def test_name_and_type(cellar: Cellar, collection: Path) -> None:
    path = collection / GOOD[0]
    model = cellar("import", path, "--name", "My One", "--type", "lora", "--json").json()["models"]
    assert [(one["name"], one["type"]) for one in model] == [("My One", "lora")]


def test_as_one(cellar: Cellar, collection: Path) -> None:
    (collection / "pointer.safetensors").unlink()
    report = cellar("import", collection, "--as-one", "--json").json()
    (model,) = report["models"]
    assert {file["path"] for file in model["files"]} == {*GOOD, "notes.txt"}


def test_copy_keeps_and_move_takes_the_original(cellar: Cellar, collection: Path) -> None:
    kept, moved = collection / GOOD[0], collection / GOOD[1]
    content = moved.read_bytes()
    cellar("import", kept)
    cellar("import", moved, "--mode", "move")
    assert kept.is_file()
    assert not moved.exists()
    place = Path(cellar("show", "beta", "--json").json()["model"]["files"][0]["location"])
    assert place.read_bytes() == content
    cellar("undo")
    assert moved.read_bytes() == content


def test_a_move_that_leaves_the_original_is_partly_done(cellar: Cellar, collection: Path) -> None:
    link = collection / "link.safetensors"
    link.symlink_to(collection / GOOD[0])
    result = cellar("import", link, "--mode", "move", "--json", check=False)
    assert result.json()["results"][0]["status"] == "imported"
    assert result.json()["results"][0]["error"]["code"] == "original_kept"
    assert result.exit_code == 3
    assert link.is_symlink()


def test_progress_on_a_terminal(collection: Path) -> None:
    result = run_in_terminal("import", collection)
    assert result.exit_code == 3
    assert 0 < result.text.index("looking") < result.text.index("SOURCE")
    assert " MB" in result.text or " kB" in result.text
    assert "\x1b[32mimported" in result.text


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_no_progress_for_machines(collection: Path, option: str) -> None:
    result = run_in_terminal("import", collection / GOOD[0], option)
    assert "looking" not in result.text
    assert "\x1b" not in result.text


def test_no_progress_without_a_terminal(cellar: Cellar, collection: Path) -> None:
    result = cellar("import", collection, check=False)
    assert "looking" not in result.stderr
    assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_when_asked(collection: Path, env: dict[str, str]) -> None:
    result = run_in_terminal("list", env=env)
    assert result.exit_code == 5
    imported = run_in_terminal("import", collection, env=env).text
    assert "imported" in imported
    assert not re.search(r"\x1b\[[0-9;]*m", imported.split("SOURCE", 1)[1])
    assert "\x1b" not in run_in_terminal("list", env=env).text


def test_an_interrupted_import_goes_on(cellar: Cellar, tmp_path: Path) -> None:
    for number in range(3):
        write_safetensors(tmp_path / f"model-{number}.safetensors", fill=number + 1)
    cellar("import", tmp_path / "model-0.safetensors")
    statuses = [r["status"] for r in cellar("import", tmp_path, "--json").json()["results"]]
    assert statuses == ["duplicate", "imported", "imported"]
