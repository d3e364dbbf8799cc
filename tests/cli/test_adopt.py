"""``cellar adopt``: the command around an adoption."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.cli.model_files import write_safetensors
from tests.support import models
from tests.support.command import CommandResult
from tests.support.trees import tree

Cellar = Callable[..., CommandResult]


def test_adopt_finish_and_undo(cellar: Cellar, collection: Path) -> None:
    done = cellar("adopt", "--json", collection, check=False)
    document = done.json()
    assert done.exit_code == 3  # the pointer is refused
    actions = {Path(one["source"]).name: one["action"] for one in document["plan"]["actions"]}
    assert actions.pop("pointer.safetensors") == "refused"
    assert set(actions.values()) == {"adopt"}
    assert len(actions) == len(document["models"]) == 3
    assert all(not model["is_read"] for model in document["models"])
    assert {file["sha256"] for model in document["models"] for file in model["files"]} == {None}
    status = cellar("status", "--json").json()["library"]
    assert (status["models"], status["unread_models"]) == (3, 3)
    assert "cellar adopt --finish" in cellar("status").stdout
    assert "not read yet" in cellar("show", "beta").stdout
    read = cellar("adopt", "--finish", "--json").json()
    assert len(read["first_read"]) == 3
    assert "read for the first time" not in cellar("adopt", "--finish").stdout
    entry = cellar("undo", "--json").json()["entry"]
    assert entry["command"] == "adopt"
    assert cellar("list", "--json").json()["total"] == 0


def test_a_dry_run_makes_no_library(cellar: Cellar, collection: Path) -> None:
    done = cellar("adopt", "--dry-run", collection, check=False)
    assert "would adopt 3 models" in done.stdout
    assert cellar("list", check=False).exit_code == 5


def test_folders_or_finish(cellar: Cellar, collection: Path) -> None:
    assert cellar("adopt", check=False).exit_code == 2
    assert cellar("adopt", "--finish", collection, check=False).exit_code == 2


def test_twins_are_told_of(cellar: Cellar, tmp_path: Path) -> None:
    folder = tmp_path / "twins"
    folder.mkdir()
    write_safetensors(folder / "a.safetensors", fill=1, size_bytes=100_000)
    (folder / "b.safetensors").write_bytes((folder / "a.safetensors").read_bytes())
    ids = cellar("adopt", "-q", folder).stdout.split()
    assert len(ids) == 2
    told = cellar("verify")
    assert f"note {ids[0]} has the same content as {ids[1]}" in told.stdout
    assert "2 adopted models read for the first time" in told.stdout


def test_what_was_written_into_before_it_was_read_is_adopted_anew(
    cellar: Cellar, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    path = write_safetensors(tmp_path / "a" / "a.safetensors", fill=1, size_bytes=100_000)
    [old] = cellar("adopt", "-q", "--link", "hardlink", path.parent).stdout.split()
    write_safetensors(path, fill=2, size_bytes=200_000)  # in place
    told = cellar("adopt", "--finish", check=False)
    assert told.exit_code == 6
    said = told.stdout + told.stderr
    assert "cellar remove MODEL" in said
    assert "mends the model" not in said
    cellar("remove", old)
    cellar("adopt", path.parent)
    assert "1 model checked, 1 ok" in cellar("adopt", "--finish").stdout


def test_names_that_are_not_utf8(cellar: Cellar, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    path = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.safetensors"))
    write_safetensors(path, fill=1, size_bytes=100)
    assert cellar("adopt", "--json", folder).json()["plan"]["actions"][0]["action"] == "adopt"
    cellar("undo")
    assert path.stat().st_nlink == 1


def test_links_of_an_adopted_model_come_and_go_with_it(cellar: Cellar, tmp_path: Path) -> None:
    """Before anybody has read it, and over its first reading."""
    collection = tmp_path / "collection"
    collection.mkdir()
    models.write_safetensors(collection / "one.safetensors", seed=1)
    models.write_safetensors(collection / "two.safetensors", seed=2)
    before = tree(collection)
    app = tmp_path / "models"
    app.mkdir()
    cellar("adopt", collection)
    cellar("app", "add", "vllm", app, "--preset", "folder")
    cellar("sync")
    assert {path.name for path in app.rglob("*.safetensors")} == {
        "one.safetensors",
        "two.safetensors",
    }
    cellar("adopt", "--finish")
    [plan] = cellar("plan", "--json").json()["apps"]
    assert {action["action"] for action in plan["actions"]} == {"keep"}
    assert {link["health"] for link in cellar("links", "--json").json()["links"]} == {"ok"}
    cellar("remove", "one")
    assert {path.name for path in app.rglob("*.safetensors")} == {"two.safetensors"}
    for _ in ("remove", "sync", "app add", "adopt"):
        cellar("undo")
    assert list(app.iterdir()) == []
    assert tree(collection) == before
    assert cellar("list", "--json").json()["total"] == 0


def test_an_unread_model_is_in_no_set(cellar: Cellar, tmp_path: Path) -> None:
    """It has no digest by which another machine could know it."""
    collection = tmp_path / "collection"
    collection.mkdir()
    models.write_safetensors(collection / "one.safetensors", seed=1)
    models.write_safetensors(tmp_path / "two.safetensors", seed=2)
    cellar("import", "--no-lookup", tmp_path / "two.safetensors")
    cellar("adopt", collection)
    told = cellar("export", tmp_path / "set.json")
    assert "Without 1 model that nobody has read yet" in told.stderr
    assert [model["name"] for model in cellar("export").json()["models"]] == ["two"]
    cellar("adopt", "--finish")
    assert len(cellar("export").json()["models"]) == 2
