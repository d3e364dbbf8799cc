"""A library in a folder of its own, with settings that fit small disks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.library import ModelLibrary


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Nothing need stay free on the disk, and nobody waits long for a lock."""
    return Settings(library=tmp_path / "library", min_free_bytes=0, lock_timeout_s=5.0)


@pytest.fixture
def library(settings: Settings) -> Iterator[ModelLibrary]:
    """An empty library."""
    with ModelLibrary.create(settings.library, settings=settings) as made:
        yield made


@pytest.fixture
def source_folder(tmp_path: Path) -> Path:
    """An empty folder for files to import."""
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder
