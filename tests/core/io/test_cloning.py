"""Files that share their data, against what the file systems themselves say."""

import errno
import os
import random
import shutil
from pathlib import Path

import pytest

from modelcellar.io.cloning import (
    NO_CLONES,
    RANGE_BYTES,
    can_share,
    clone_file,
    share_data,
    swap_names,
)
from modelcellar.io.extents import data_key, extents_of
from tests.support.filesystems import MIB, Mounts

CLONING = ("xfs", "btrfs")


def filled(path: Path, size_bytes: int, seed: int = 1) -> Path:
    path.write_bytes(random.Random(seed).randbytes(size_bytes))
    return path


@pytest.mark.parametrize("kind", CLONING)
@pytest.mark.parametrize("size_bytes", [0, 1, 4097, 3 * MIB + 5])
def test_a_clone_is_a_file_of_its_own(kind: str, size_bytes: int, mounts: Mounts) -> None:
    folder = mounts.make(kind).path
    path = filled(folder / "a", size_bytes)
    os.utime(path, ns=(1_000_000_001, 1_000_000_002))
    data = path.read_bytes()
    clone_file(path, folder / "b")
    assert (folder / "b").read_bytes() == data
    assert (folder / "b").stat().st_mtime_ns == 1_000_000_002
    path.write_bytes(b"changed")
    assert (folder / "b").read_bytes() == data


@pytest.mark.parametrize("kind", CLONING)
def test_a_clone_has_the_key_of_its_original_until_one_changes(kind: str, mounts: Mounts) -> None:
    folder = mounts.make(kind).path
    path = filled(folder / "a", 8 * MIB)
    assert data_key(path) is None
    clone_file(path, folder / "b")
    shutil.copyfile(path, folder / "c")
    key = data_key(path)
    assert key is not None
    assert key == data_key(folder / "b")
    assert data_key(folder / "c") != data_key(path)
    with path.open("r+b") as file:
        file.seek(4 * MIB)
        file.write(b"x")
    assert data_key(path) is None


@pytest.mark.parametrize("kind", ["ext4", *CLONING])
def test_extents_cover_the_file_and_not_its_holes(kind: str, mounts: Mounts) -> None:
    folder = mounts.make(kind).path
    path = filled(folder / "a", MIB)
    with path.open("r+b") as file:
        file.truncate(9 * MIB)
        file.seek(8 * MIB)
        file.write(random.Random(2).randbytes(MIB))
    found = extents_of(path)
    assert found is not None
    assert sum(one.size_bytes for one in found) == 2 * MIB
    assert (found[0].start, found[-1].start) == (0, 8 * MIB)
    assert not any(one.is_shared for one in found)


def test_no_clone_and_nothing_left_behind(mounts: Mounts) -> None:
    folder = mounts.make("ext4").path
    path = filled(folder / "a", 100)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the errno is what counts
        clone_file(path, folder / "b")
    assert caught.value.errno in NO_CLONES
    assert not (folder / "b").exists()
    assert not can_share(path, filled(folder / "c", 100))


@pytest.mark.parametrize("kind", CLONING)
def test_a_clone_replaces_nothing(kind: str, mounts: Mounts) -> None:
    folder = mounts.make(kind).path
    filled(folder / "a", 10)
    filled(folder / "b", 20, seed=2)
    with pytest.raises(FileExistsError):
        clone_file(folder / "a", folder / "b")
    assert (folder / "b").stat().st_size == 20


@pytest.mark.parametrize("kind", CLONING)
def test_equal_data_is_shared_in_more_than_one_call(kind: str, mounts: Mounts) -> None:
    folder = mounts.make(kind).path
    size_bytes = 2 * RANGE_BYTES + 4099
    one, other = filled(folder / "a", size_bytes), filled(folder / "b", size_bytes)
    os.sync()
    assert can_share(one, other)
    assert share_data(one, other) == size_bytes
    assert data_key(one) == data_key(other) is not None
    assert other.read_bytes() == one.read_bytes()


@pytest.mark.parametrize("kind", CLONING)
@pytest.mark.parametrize("place", [0, RANGE_BYTES + 70_000, 2 * RANGE_BYTES + 4098])
def test_data_that_differs_stays_as_it_is(kind: str, place: int, mounts: Mounts) -> None:
    folder = mounts.make(kind).path
    size_bytes = 2 * RANGE_BYTES + 4099
    one, other = filled(folder / "a", size_bytes), filled(folder / "b", size_bytes)
    with other.open("r+b") as file:
        file.seek(place)
        file.write(bytes([one.read_bytes()[place] ^ 1]))
    before = one.read_bytes(), other.read_bytes()
    os.sync()
    assert share_data(one, other) <= place
    assert (one.read_bytes(), other.read_bytes()) == before


def test_names_are_swapped(tmp_path: Path) -> None:
    one, other = filled(tmp_path / "a", 1), filled(tmp_path / "b", 2)
    inodes = one.stat().st_ino, other.stat().st_ino
    swap_names(one, other)
    assert (other.stat().st_ino, one.stat().st_ino) == inodes
    with pytest.raises(FileNotFoundError) as caught:
        swap_names(one, tmp_path / "none")
    assert caught.value.errno == errno.ENOENT
    assert one.exists()
