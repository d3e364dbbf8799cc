"""What the fault tests share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.filesystems import MIB


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a killed process leaves the same there as on a disk,
    and nothing waits for one."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shutil.disk_usage(shared).free < 1024 * MIB:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared, prefix="modelcellar-") as folder:
        yield Path(folder)
