"""What a copy refuses, and that nothing is left where there cannot be one."""

import errno
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar_hashing import SourceChangedError, copy_with_hashing, hash_file
from tests.hashing_ext.conftest import (
    MIB,
    SETTLE_S,
    as_plain_user,
    copy_command,
    inject,
    names_in,
    sha256_of,
)
from tests.support.filesystems import Mounts
from tests.support.trees import open_to_all

publish_or_not = pytest.mark.parametrize("publish", [True, False], ids=["publish", "keep"])


@publish_or_not
def test_existing_target_is_left_alone(
    publish: bool, make_file: Callable[..., Path], target_folder: Path
) -> None:
    target = target_folder / "copy"
    target.write_text("mine")
    with pytest.raises(FileExistsError) as caught:
        copy_with_hashing(make_file(10), target, publish=publish)
    assert caught.value.filename == str(target)
    assert target.read_text() == "mine"
    assert names_in(target_folder) == ["copy"]


def test_existing_target_is_seen_before_anything_is_read(
    big_source: Path, target_folder: Path
) -> None:
    (target_folder / "copy").symlink_to("nowhere")
    begin_s = time.monotonic()
    with pytest.raises(FileExistsError):
        copy_with_hashing(big_source, target_folder / "copy")
    assert time.monotonic() - begin_s < 0.1


def test_target_that_appears_meanwhile_is_left_alone(big_source: Path, target_folder: Path) -> None:
    target = target_folder / "copy"

    def appear(done_bytes: int, total_bytes: int) -> None:
        if done_bytes == total_bytes:
            target.write_text("mine")

    with pytest.raises(FileExistsError) as caught:
        copy_with_hashing(big_source, target, progress=appear)
    assert caught.value.filename == str(target)
    assert target.read_text() == "mine"
    assert names_in(target_folder) == ["copy"]


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(b"new")
    new.replace(path)


DISTURBANCES = {
    "grown": grow,
    "truncated": lambda path: os.truncate(path, 1000),
    "touched": lambda path: os.utime(path, (1, 1)),
    "overwritten": overwrite,
    "replaced": replace,
}


@publish_or_not
@pytest.mark.parametrize("disturb", DISTURBANCES.values(), ids=DISTURBANCES)
def test_source_that_changes_while_read(
    disturb: Callable[[Path], None], publish: bool, big_source: Path, target_folder: Path
) -> None:
    time.sleep(SETTLE_S)
    disturbed = threading.Event()

    def once(done_bytes: int, total_bytes: int) -> None:
        if done_bytes < total_bytes and not disturbed.is_set():
            disturbed.set()
            disturb(big_source)

    with pytest.raises(SourceChangedError) as caught:
        copy_with_hashing(big_source, target_folder / "copy", publish=publish, progress=once)
    assert disturbed.is_set()
    assert caught.value.errno == errno.ESTALE
    assert caught.value.filename == str(big_source)
    assert names_in(target_folder) == []


def test_source_written_without_pause_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(3 * MIB))
    stop = threading.Event()

    def keep_writing() -> None:
        with source.open("r+b", buffering=0) as file:
            while not stop.wait(0.001):
                file.seek(0)
                file.write(os.urandom(16))

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        with pytest.raises(SourceChangedError):
            copy_with_hashing(source, tmp_path / "copy")
    finally:
        stop.set()
        writer.join()
    assert names_in(tmp_path) == ["source"]


def test_missing_source(tmp_path: Path, target_folder: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        copy_with_hashing(tmp_path / "nothing", target_folder / "copy")
    assert caught.value.filename == str(tmp_path / "nothing")
    assert names_in(target_folder) == []


def test_missing_target_folder(make_file: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        copy_with_hashing(make_file(10), tmp_path / "no" / "copy")
    assert caught.value.filename == str(tmp_path / "no")


@pytest.mark.parametrize("name", ["copy/", ".", "..", "/"])
def test_target_that_can_only_be_a_folder(
    name: str, make_file: Callable[..., Path], target_folder: Path
) -> None:
    with pytest.raises(IsADirectoryError):
        copy_with_hashing(make_file(10), os.path.join(target_folder, name))  # noqa: PTH118
    assert names_in(target_folder) == []


def test_folder_as_source(tmp_path: Path, target_folder: Path) -> None:
    with pytest.raises(IsADirectoryError):
        copy_with_hashing(tmp_path, target_folder / "copy")


def test_fifo_is_refused_and_not_waited_for(tmp_path: Path, target_folder: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="Not a regular file") as caught:
        copy_with_hashing(tmp_path / "fifo", target_folder / "copy")
    assert caught.value.errno == errno.EINVAL
    assert names_in(target_folder) == []


def test_device_is_refused() -> None:
    with pytest.raises(OSError, match="Not a regular file"):
        hash_file("/dev/zero")


def test_unreadable_source(make_file: Callable[..., Path]) -> None:
    source = make_file(10)
    source.chmod(0)
    open_to_all(source)
    done = as_plain_user(
        "try: modelcellar_hashing.hash_file(sys.argv[1])\n"
        "except PermissionError as error: print(error.errno, error.filename)",
        source,
    )
    assert done.stdout.split() == [str(errno.EACCES), str(source)], done.stderr


@publish_or_not
@pytest.mark.parametrize("size_bytes", [100 * 1024, 3 * MIB, 16 * MIB])
def test_full_disk(
    size_bytes: int, publish: bool, make_file: Callable[..., Path], mounts: Mounts
) -> None:
    folder = mounts.tmpfs(size_bytes // 2)
    with pytest.raises(OSError, match="copy") as caught:
        copy_with_hashing(make_file(size_bytes), folder / "copy", publish=publish)
    assert caught.value.errno == errno.ENOSPC
    assert names_in(folder) == []


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_full_disk_is_seen_early_where_space_can_be_reserved(
    kind: str, tmp_path: Path, mounts: Mounts
) -> None:
    folder = mounts.make(kind).path
    source = tmp_path / "source"
    with source.open("wb") as file:
        block = random.Random(1).randbytes(16 * MIB)
        for _ in range(25):
            file.write(block)
    with pytest.raises(OSError, match="copy") as caught:
        copy_with_hashing(source, folder / "copy")
    assert caught.value.errno == errno.ENOSPC
    assert "copy" not in names_in(folder)
    assert not [name for name in names_in(folder) if name.endswith(".partial")]


@pytest.mark.parametrize(
    ("call", "on", "code"),
    [
        ("read:error=EIO:when=3", "source", errno.EIO),
        ("pwrite64:error=EIO:when=2", "target/copy", errno.EIO),
        ("pwrite64:error=EDQUOT:when=2", "target/copy", errno.EDQUOT),
        ("ftruncate:error=EIO", "target/copy", errno.EIO),
        ("fallocate:error=ENOSPC", "target/copy", errno.ENOSPC),
        ("fsync:error=EIO:when=1", "target/copy", errno.EIO),
        ("utimensat:error=EPERM", "target/copy", errno.EPERM),
    ],
)
def test_failing_call(
    call: str,
    on: str,
    code: int,
    tmp_path: Path,
    make_file: Callable[..., Path],
    target_folder: Path,
) -> None:
    source = make_file(10 * MIB)
    if call.startswith("ftruncate"):
        source.write_bytes(b"")
        os.truncate(source, 10 * MIB)
    if call.startswith("fallocate") and reserves_no_space(target_folder):
        pytest.skip("space is reserved on ext4 and XFS only")
    # The interpreter reads files of its own as well.
    only = source if on == "source" else None
    printed = inject(copy_command(source, target_folder / "copy"), call, only=only)
    assert printed.split() == [str(code), str(tmp_path / on)]
    assert names_in(target_folder) == []


def reserves_no_space(folder: Path) -> bool:
    printed = subprocess.run(
        ["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True
    ).stdout
    return printed.strip() not in {"ext2/ext3", "xfs"}


def test_failing_rename(make_file: Callable[..., Path], target_folder: Path) -> None:
    command = copy_command(make_file(10), target_folder / "copy")
    assert inject(command, "renameat2:error=EIO").split()[0] == str(errno.EIO)
    assert names_in(target_folder) == []


def test_failed_sync_of_the_folder_leaves_a_complete_copy(
    make_file: Callable[..., Path], target_folder: Path
) -> None:
    source, copy = make_file(5 * MIB), target_folder / "copy"
    printed = inject(copy_command(source, copy), "fsync:error=EIO", only=target_folder)
    assert printed.split() == [str(errno.EIO), str(target_folder)]
    assert names_in(target_folder) == ["copy"]
    assert sha256_of(copy) == sha256_of(source)
