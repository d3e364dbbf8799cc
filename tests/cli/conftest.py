"""A small collection of models, and a library that holds it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.model_files import LFS_POINTER, write_gguf, write_safetensors
from tests.support.command import CommandResult

GOOD = ("alpha-lora.safetensors", "beta.safetensors", "gamma-q4.gguf")
Cellar = Callable[..., CommandResult]


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Three good models, one git-LFS pointer, one text."""
    folder = tmp_path / "collection"
    folder.mkdir()
    write_safetensors(folder / "alpha-lora.safetensors", fill=1, size_bytes=20_000)
    write_safetensors(folder / "beta.safetensors", fill=2, size_bytes=10_000)
    write_gguf(folder / "gamma-q4.gguf")
    (folder / "pointer.safetensors").write_bytes(LFS_POINTER)
    (folder / "notes.txt").write_text("not a model\n")
    return folder


@pytest.fixture
def filled(cellar: Cellar, collection: Path) -> Path:
    """The default library with the three good models in it; its folder."""
    good = [collection / name for name in GOOD]
    report = cellar("import", "--json", *good).json()
    assert [result["status"] for result in report["results"]] == ["imported"] * 3
    (library,) = (
        setting["value"]
        for setting in cellar("config", "show", "--json").json()["settings"]
        if setting["name"] == "library"
    )
    return Path(library)
