"""A library with three models, for the doctor."""

from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.library import ModelLibrary
from tests.support.doctor import Doctor
from tests.support.models import write_diffusers_folder, write_gguf, write_safetensors


@pytest.fixture
def filled(settings: Settings, source_folder: Path) -> Path:
    """The folder of a library with a GGUF file, a safetensors file and a folder model."""
    write_gguf(source_folder / "one.gguf", seed=1)
    write_safetensors(source_folder / "two.safetensors", seed=2)
    write_diffusers_folder(source_folder / "pipe", seed=3)
    with ModelLibrary.create(settings.library, settings=settings) as library:
        library.import_paths([source_folder], lookup=False)
    return settings.library


@pytest.fixture
def doctor(filled: Path, settings: Settings) -> Doctor:
    """The doctor of that library, which is well."""
    found = Doctor(filled, settings)
    assert found.bad() == {}
    return found


@pytest.fixture
def id_of(filled: Path) -> Callable[[str], str]:
    """The id of the model whose id begins with a word."""

    def find(start: str) -> str:
        (path,) = (filled / "manifests").glob(f"{start}*.json")
        return path.stem

    return find
