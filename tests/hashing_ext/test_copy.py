"""What a copy is: the same bytes, times, permissions and holes, on every file system."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar_hashing import copy_with_hashing, hash_file
from tests.hashing_ext.conftest import (
    MIB,
    SETTLE_S,
    as_plain_user,
    copy_command,
    inject,
    names_in,
    permissions_of,
    sha256_of,
)
from tests.support.filesystems import Mounts
from tests.support.trees import open_to_all

SIZES_BYTES = [0, 1, 4095, MIB, 4 * MIB - 1, 4 * MIB, 8 * MIB + 4096, 33 * MIB + 5]
publish_or_not = pytest.mark.parametrize("publish", [True, False], ids=["publish", "keep"])


@publish_or_not
@pytest.mark.parametrize("size_bytes", SIZES_BYTES)
def test_copy_is_the_same(
    size_bytes: int, publish: bool, make_file: Callable[..., Path], target_folder: Path
) -> None:
    source = make_file(size_bytes)
    digests = copy_with_hashing(source, target_folder / "copy", publish=publish)
    assert names_in(target_folder) == ["copy"]
    assert (target_folder / "copy").read_bytes() == source.read_bytes()
    assert digests.sha256 == sha256_of(target_folder / "copy")
    assert 0 < digests.seconds < 60


@publish_or_not
@pytest.mark.parametrize(
    ("mode", "umask", "expected"),
    [
        (0o644, 0o022, 0o644),
        (0o666, 0o027, 0o640),
        (0o6755, 0o022, 0o755),
        (0o444, 0o022, 0o444),
        (0o400, 0o777, 0o000),
    ],
    ids=oct,
)
def test_mode_and_time_are_kept(
    mode: int,
    umask: int,
    expected: int,
    publish: bool,
    make_file: Callable[..., Path],
    target_folder: Path,
) -> None:
    source = make_file(100)
    os.utime(source, ns=(1, 1_234_567_890_123_456_789))
    source.chmod(mode)
    copy = target_folder / "copy"
    before = os.umask(umask)
    try:
        copy_with_hashing(source, copy, publish=publish)
    finally:
        os.umask(before)
    assert permissions_of(copy) == expected
    assert copy.stat().st_mtime_ns == 1_234_567_890_123_456_789


@publish_or_not
@pytest.mark.parametrize("size_bytes", [MIB, 64 * MIB + 777])
def test_holes_stay_holes(size_bytes: int, publish: bool, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    data_at = [0, size_bytes // 2, size_bytes - 10]
    with source.open("wb") as file:
        for offset in data_at:
            file.seek(offset)
            file.write(b"0123456789")
    copy_with_hashing(source, copy, publish=publish)
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_blocks * 512 <= len(data_at) * 64 * 1024


def test_file_that_ends_in_a_hole(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    with source.open("wb") as file:
        file.truncate(20 * MIB)
    copy_with_hashing(source, copy)
    assert copy.stat().st_size == 20 * MIB
    assert copy.stat().st_blocks == 0


def test_zeros_that_are_not_holes_are_written(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(9 * MIB))
    os.sync()
    copy_with_hashing(source, copy)
    assert copy.stat().st_blocks * 512 >= 9 * MIB


def test_symbolic_link_is_followed(make_file: Callable[..., Path], target_folder: Path) -> None:
    source = make_file(10)
    link = target_folder / "link"
    link.symlink_to(source)
    copy_with_hashing(link, target_folder / "copy")
    assert not (target_folder / "copy").is_symlink()
    assert (target_folder / "copy").read_bytes() == source.read_bytes()


def test_source_of_another_owner(make_file: Callable[..., Path]) -> None:
    """Only the owner may ask that a read leaves no trace; others read all the same."""
    source = make_file(10)
    open_to_all(source)
    source.chmod(0o644)
    script = "print(modelcellar_hashing.hash_file(sys.argv[1]).size_bytes)"
    assert as_plain_user(script, source).stdout.strip() == "10"


@pytest.mark.parametrize("name", [b"\xff\xfe", "ä 模型\n".encode()])
def test_any_name(name: bytes, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/dir-" + name
    os.mkdir(folder)  # noqa: PTH102
    source, copy = folder + b"/" + name, folder + b"/copy-" + name
    with open(source, "wb") as file:  # noqa: PTH123
        file.write(b"data")
    assert copy_with_hashing(source, copy).size_bytes == 4
    assert sorted(os.listdir(folder)) == sorted([name, b"copy-" + name])  # noqa: PTH208
    with pytest.raises(FileExistsError) as caught:
        copy_with_hashing(os.fsdecode(source), os.fsdecode(copy))
    assert os.fsencode(caught.value.filename) == copy


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "ntfs"])
def test_every_file_system(kind: str, make_file: Callable[..., Path], mounts: Mounts) -> None:
    folder = mounts.make(kind).path
    for size_bytes in (0, 5000, 9 * MIB, 10 * MIB + 777):
        source = make_file(size_bytes)
        copy = folder / f"copy-{size_bytes}"
        digests = copy_with_hashing(source, copy)
        assert digests.sha256 == sha256_of(copy) == sha256_of(source)


@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP"])
def test_direct_writes_and_reserved_space_can_be_done_without(
    error: str, make_file: Callable[..., Path], target_folder: Path
) -> None:
    source, copy = make_file(10 * MIB), target_folder / "copy"
    # The first write is refused once, as by a device whose sectors are larger than ours.
    refused_write = "pwrite64:error=EINVAL:when=1"
    assert inject(copy_command(source, copy), f"fallocate:error={error}", refused_write) == ""
    assert sha256_of(copy) == sha256_of(source)


def test_copies_in_parallel(make_file: Callable[..., Path], target_folder: Path) -> None:
    sources = [make_file(5 * MIB + i, f"source-{i}") for i in range(8)]
    results: dict[int, str] = {}

    def copy(i: int) -> None:
        results[i] = copy_with_hashing(sources[i], target_folder / str(i)).sha256

    threads = [threading.Thread(target=copy, args=(i,)) for i in range(len(sources))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[i] for i in range(8)] == [sha256_of(source) for source in sources]


def test_fresh_source_is_given_time_to_settle(make_file: Callable[..., Path]) -> None:
    """Two writes within one tick of the clock carry the same time and could not be told apart."""
    source = make_file(100)
    assert 0.005 < hash_file(source).seconds < 1
    time.sleep(SETTLE_S)
    assert min(hash_file(source).seconds for _ in range(5)) < 0.005
