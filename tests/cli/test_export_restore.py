"""cellar export and cellar restore as people and scripts see them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import CommandResult

Cellar = Callable[..., CommandResult]


def test_from_one_machine_to_another(
    cellar: Cellar, filled: Path, collection: Path, tmp_path: Path
) -> None:
    cellar("edit", "beta", "--note", "mine", "--tag", "good")
    file, other = tmp_path / "set.json", tmp_path / "other"
    said = cellar("export", file)
    assert said.stdout == f"{file}: 3 models, 30.3 kB by their digests\n"
    assert "cellar enrich" in said.stderr
    assert cellar("export").stdout == file.read_text()
    assert cellar("export", "--json").stdout == file.read_text()
    cellar("init", other)
    env = {"MODELCELLAR_LIBRARY": str(other)}
    missing = cellar("restore", file, env=env, check=False)
    assert missing.exit_code == 3
    assert "\nmissing beta\n  from: nobody knows; look for the SHA-256\n" in missing.stdout
    assert "\n3 missing\n" in missing.stdout
    assert cellar("restore", file, "-q", env=env, check=False).stdout.count("\n") == 3
    dry = cellar("restore", file, "--from", collection, "--dry-run", env=env)
    assert "\n3 found\n" in dry.stdout
    assert cellar("list", "-q", env=env).stdout == ""
    done = cellar("restore", file, "--from", collection, env=env)
    assert (done.exit_code, "\n3 imported\n" in done.stdout) == (0, True)
    assert "brought: tags, note" in done.stdout or "brought: note, tags" in done.stdout
    assert "cellar undo" in done.stderr
    assert cellar("export", env=env).stdout == file.read_text()
    assert "\n3 same\n" in cellar("restore", file, env=env).stdout
    assert filled.exists()


def test_into_the_default_library_that_is_not_there_yet(
    cellar: Cellar, filled: Path, collection: Path, tmp_path: Path
) -> None:
    cellar("export", tmp_path / "set.json")
    filled.rename(tmp_path / "aside")
    done = cellar("restore", tmp_path / "set.json", "--from", collection)
    assert "Made a new library" in done.stderr
    assert cellar("list", "-q").stdout.count("\n") == 3


@pytest.mark.usefixtures("filled")
def test_nothing_but_a_set_is_written_over(
    cellar: Cellar, collection: Path, tmp_path: Path
) -> None:
    model = collection / "beta.safetensors"
    before = model.read_bytes()
    result = cellar("export", model, check=False)
    assert result.exit_code == 1
    assert "is no set of models" in result.stderr
    assert model.read_bytes() == before
    for _ in range(2):
        cellar("export", tmp_path / "set.json")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["set.json"]
    result = cellar("restore", model, check=False)
    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.usefixtures("filled")
def test_json_contract(cellar: Cellar, tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    found = cellar("export", file, "--json").json()
    assert found == {"path": str(file), "models": 3, "size_bytes": found["size_bytes"]}
    document = json.loads(file.read_bytes())
    assert (document["format"], document["kind"]) == (1, "modelcellar set")
    report = cellar("restore", file, "--json").json()
    kinds = {
        "content_digest": str, "name": str, "status": str, "model_id": str, "changed": list,
        "kept": list, "missing_files": list, "sources": list, "problem": str,
    }  # fmt: skip
    for model in report["models"]:
        assert {name: type(model[name]) for name in kinds} == kinds
    assert (report["entry"], report["dry_run"]) == (None, False)


def test_missing_files_in_json(cellar: Cellar, filled: Path, tmp_path: Path) -> None:
    cellar("export", tmp_path / "set.json")
    report = cellar(
        "restore", tmp_path / "set.json", "--json", "--library", tmp_path / "new", check=False
    )
    assert report.exit_code == 3
    for model in report.json()["models"]:
        (file,) = model["missing_files"]
        assert len(file["sha256"]) == 64
        assert (model["status"], model["model_id"]) == ("missing", None)
    assert filled.exists()
