"""Full disks, and a file system without a rename that refuses to replace."""

import errno
import random
from pathlib import Path

import pytest

import modelcellar_hashing
from tests.support.filesystems import MIB, Mounts

SIZE_BYTES = 2 * MIB
ROOMS_BYTES = random.Random(20).sample(range(4096, SIZE_BYTES + MIB), 20)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(random.Random(0).randbytes(SIZE_BYTES))
    return path


@pytest.mark.parametrize("room_bytes", ROOMS_BYTES)
def test_copy_to_a_disk_that_gets_full(room_bytes: int, source: Path, mounts: Mounts) -> None:
    folder = mounts.tmpfs(room_bytes)
    if room_bytes >= SIZE_BYTES:
        modelcellar_hashing.copy_with_hashing(source, folder / "final")
        assert (folder / "final").read_bytes() == source.read_bytes()
    else:
        with pytest.raises(OSError, match="final") as caught:
            modelcellar_hashing.copy_with_hashing(source, folder / "final")
        assert caught.value.errno == errno.ENOSPC
        assert list(folder.iterdir()) == []


def test_ntfs_publishes_without_replacing(source: Path, mounts: Mounts) -> None:
    folder = mounts.make("ntfs").path
    copied = modelcellar_hashing.copy_with_hashing(source, folder / "final")
    assert copied.size_bytes == SIZE_BYTES
    assert [path.name for path in folder.iterdir()] == ["final"]

    (folder / "staged").write_bytes(b"other")
    assert modelcellar_hashing.publish([(folder / "staged", folder / "final")]) == [False]

    assert (folder / "staged").read_bytes() == b"other"
    assert (folder / "final").read_bytes() == source.read_bytes()


def test_ntfs_publishes_folders(mounts: Mounts) -> None:
    folder = mounts.make("ntfs").path
    (folder / "staged" / "sub").mkdir(parents=True)
    (folder / "staged" / "sub" / "weights").write_bytes(b"weights")

    assert modelcellar_hashing.publish([(folder / "staged", folder / "models" / "final")]) == [True]

    assert (folder / "models" / "final" / "sub" / "weights").read_bytes() == b"weights"
    assert not (folder / "staged").exists()
