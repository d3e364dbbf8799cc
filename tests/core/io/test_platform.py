"""Links on real file systems: every kind, and what it must never do."""

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar.io.platform import create_link, write_new
from modelcellar.link_records import LinkKind, MadeLink
from tests.support.filesystems import Mounts
from tests.support.pairs import CONTENT, Pair, names, pair_in
from tests.support.trees import stamps

HERE = (LinkKind.HARDLINK, LinkKind.SYMLINK, LinkKind.COPY)
"""What every file system of a test folder can do."""


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return pair_in(tmp_path / "library", tmp_path / "app")


@pytest.fixture(params=["btrfs", "xfs"])
def sharing_pair(mounts: Mounts, request: pytest.FixtureRequest) -> Pair:
    """On a file system whose files can share their data."""
    place = mounts.make(request.param).path
    return pair_in(place / "library", place / "app")


def is_shared(one: Path, other: Path) -> bool:
    """Whether two files have their first data at one place of the disk, as the kernel says."""
    for path in (one, other):
        subprocess.run(["sync", str(path)], check=True)
    shown = [
        subprocess.run(["filefrag", "-v", path], check=True, capture_output=True, text=True).stdout
        for path in (one, other)
    ]
    first = [text.split("\n")[3].split(":")[2] for text in shown]
    return first[0] == first[1]


@pytest.mark.parametrize("kind", HERE)
def test_the_content_is_there(pair: Pair, kind: LinkKind) -> None:
    made = create_link(pair.source, pair.app / "x.gguf", kind)
    found = (pair.app / "x.gguf").lstat()
    assert (pair.app / "x.gguf").read_bytes() == CONTENT
    assert names(pair.app) == ["x.gguf"]
    assert made == MadeLink(kind, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def test_a_hard_link_is_the_file_itself(pair: Pair) -> None:
    create_link(pair.source, pair.app / "x", LinkKind.HARDLINK)
    assert (pair.app / "x").samefile(pair.source)
    assert not (pair.app / "x").is_symlink()


def test_a_copy_is_a_file_of_its_own_that_the_application_may_write(pair: Pair) -> None:
    create_link(pair.source, pair.app / "x", LinkKind.COPY)
    assert not (pair.app / "x").samefile(pair.source)
    assert (pair.app / "x").stat().st_mode & stat.S_IWUSR
    assert (pair.app / "x").stat().st_mtime_ns == 10**18
    (pair.app / "x").write_bytes(b"changed")
    assert pair.source.read_bytes() == CONTENT


def test_a_reflink_shares_the_data_until_it_is_written(sharing_pair: Pair) -> None:
    target = sharing_pair.app / "x"
    create_link(sharing_pair.source, target, LinkKind.REFLINK)
    assert target.read_bytes() == CONTENT
    assert not target.samefile(sharing_pair.source)
    assert is_shared(target, sharing_pair.source)
    assert target.stat().st_mode & stat.S_IWUSR
    assert target.stat().st_mtime_ns == 10**18
    with target.open("r+b") as file:
        file.write(b"changed")
    assert sharing_pair.source.read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_a_reflink_that_is_impossible_is_no_copy(mounts: Mounts, kind: str) -> None:
    place = mounts.tmpfs(8 << 20) if kind == "tmpfs" else mounts.make(kind).path
    pair = pair_in(place / "library", place / "app")
    with pytest.raises(OSError, match=os.strerror(errno.EOPNOTSUPP)) as caught:
        create_link(pair.source, pair.app / "x", LinkKind.REFLINK)
    assert caught.value.errno == errno.EOPNOTSUPP
    assert names(pair.app) == []


@pytest.mark.parametrize("kind", [LinkKind.HARDLINK, LinkKind.REFLINK])
def test_no_shared_bytes_across_file_systems(mounts: Mounts, kind: LinkKind) -> None:
    pair = pair_in(mounts.make("btrfs").path / "library", mounts.tmpfs(8 << 20) / "app")
    with pytest.raises(OSError, match=r".") as caught:
        create_link(pair.source, pair.app / "x", kind)
    assert caught.value.errno in (errno.EXDEV, errno.EOPNOTSUPP)
    assert names(pair.app) == []


class TestWhatIsThereStays:
    """Nothing that exists is replaced, followed or written through."""

    @pytest.fixture(params=["file", "folder", "link", "dangling", "loop", "fifo", "to_source"])
    def taken(self, pair: Pair, request: pytest.FixtureRequest) -> Path:
        target = pair.app / "x.gguf"
        other = pair.app / "other"
        if request.param == "file":
            target.write_bytes(b"precious")
        elif request.param == "folder":
            target.mkdir()
        elif request.param == "link":
            other.write_bytes(b"precious")
            target.symlink_to(other)
        elif request.param == "dangling":
            target.symlink_to(other)
        elif request.param == "loop":
            target.symlink_to(target)
        elif request.param == "fifo":
            os.mkfifo(target)
        else:
            target.symlink_to(pair.source)
        return target

    @pytest.mark.parametrize("kind", HERE)
    def test_links(self, pair: Pair, taken: Path, kind: LinkKind) -> None:
        self._stays(pair, lambda: create_link(pair.source, taken, kind))

    def test_what_we_write(self, pair: Pair, taken: Path) -> None:
        self._stays(pair, lambda: write_new(taken, b"ours"))

    @pytest.mark.parametrize("what", ["file", "dangling"])
    def test_reflinks(self, sharing_pair: Pair, what: str) -> None:
        target = sharing_pair.app / "x"
        if what == "file":
            target.write_bytes(b"precious")
        else:
            target.symlink_to(sharing_pair.app / "other")
        self._stays(
            sharing_pair, lambda: create_link(sharing_pair.source, target, LinkKind.REFLINK)
        )

    def _stays(self, pair: Pair, act: Callable[[], object]) -> None:
        before = stamps(pair.app)
        # A folder changes its times when a staged file comes and goes in it; nothing else may.
        before.pop(b".")
        with pytest.raises(FileExistsError):
            act()
        after = stamps(pair.app)
        after.pop(b".")
        assert after == before
        assert pair.source.read_bytes() == CONTENT


def test_a_deleted_file_of_the_library_does_not_come_back_through_its_link(pair: Pair) -> None:
    """The fallback of an earlier tool copied through the dangling link into the library."""
    create_link(pair.source, pair.app / "x", LinkKind.SYMLINK)
    pair.source.parent.chmod(0o755)
    pair.source.rename(pair.library / "elsewhere")
    for kind in HERE:
        with pytest.raises(FileExistsError):
            create_link(pair.library / "elsewhere", pair.app / "x", kind)
    assert not pair.source.exists()


@pytest.mark.parametrize("kind", HERE)
@pytest.mark.parametrize("what", ["nothing", "folder", "link"])
def test_only_a_file_can_be_linked(pair: Pair, kind: LinkKind, what: str) -> None:
    """A link to a folder, or to what a link leads to, is how libraries were lost."""
    source = pair.library / "staging" / "x"
    if what == "folder":
        source.mkdir()
    elif what == "link":
        source.symlink_to(pair.source)
    with pytest.raises(OSError, match=r"not a regular file|No such file"):
        create_link(source, pair.app / "x", kind)
    assert names(pair.app) == []


def test_generated_is_no_link(pair: Pair) -> None:
    with pytest.raises(ValueError, match="generated"):
        create_link(pair.source, pair.app / "x", LinkKind.GENERATED)


def test_what_we_write_is_there_whole(pair: Pair) -> None:
    made = write_new(pair.app / "manifest", b"{}")
    assert (pair.app / "manifest").read_bytes() == b"{}"
    assert names(pair.app) == ["manifest"]
    assert (made.kind, made.size_bytes) == (LinkKind.GENERATED, 2)


class TestWhatSymlinksSay:
    def test_relative_inside_a_common_folder(self, pair: Pair, tmp_path: Path) -> None:
        (pair.app / "a").mkdir()
        create_link(pair.source, pair.app / "a" / "x", LinkKind.SYMLINK)
        said = (pair.app / "a" / "x").readlink()
        assert str(said) == "../../library/models/m-12345678/file.gguf"
        moved = tmp_path / "moved"
        moved.mkdir()
        pair.library.rename(moved / "library")
        pair.app.rename(moved / "app")
        assert (moved / "app" / "a" / "x").read_bytes() == CONTENT

    def test_from_where_the_folder_really_is(self, pair: Pair, tmp_path: Path) -> None:
        """``..`` is taken from the end of a linked folder, not from its name."""
        deep = tmp_path / "one" / "two" / "three"
        deep.mkdir(parents=True)
        (pair.app / "models").symlink_to(deep)
        create_link(pair.source, pair.app / "models" / "x", LinkKind.SYMLINK)
        assert (pair.app / "models" / "x").read_bytes() == CONTENT

    def test_absolute_across_file_systems(self, mounts: Mounts) -> None:
        pair = pair_in(mounts.tmpfs(8 << 20) / "library", mounts.tmpfs(8 << 20) / "app")
        create_link(pair.source, pair.app / "x", LinkKind.SYMLINK)
        assert (pair.app / "x").readlink() == pair.source

    def test_absolute_where_only_the_root_is_common(self, tmp_path: Path) -> None:
        """One of the two can move without the other then."""
        others = (Path("/var/tmp"), Path("/dev/shm"))
        other = next((one for one in others if os.access(one, os.W_OK)), None)
        if other is None or len({Path(one).stat().st_dev for one in (other, tmp_path, "/")}) > 1:
            pytest.skip("needs two folders for anybody on the file system of /")
        pair = pair_in(tmp_path / "library", tmp_path / "app")
        target = other / f"modelcellar-{os.getpid()}-{tmp_path.name}"
        try:
            create_link(pair.source, target, LinkKind.SYMLINK)
            assert target.readlink() == pair.source
        finally:
            target.unlink(missing_ok=True)

    def test_names_that_are_no_text(self, pair: Pair) -> None:
        target = pair.app / os.fsdecode(b"caf\xe9.gguf")
        create_link(pair.source, target, LinkKind.SYMLINK)
        assert target.read_bytes() == CONTENT
