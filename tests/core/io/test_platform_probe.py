"""What a probe says that two folders can do, on real file systems."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from modelcellar.io.platform import create_link, what_works, write_new
from modelcellar.link_records import LinkKind
from tests.support.filesystems import Mounts
from tests.support.pairs import CONTENT, Pair, names, pair_in
from tests.support.trees import stamps, tree

ALWAYS = {LinkKind.SYMLINK, LinkKind.COPY, LinkKind.GENERATED}
LINKS = (LinkKind.HARDLINK, LinkKind.SYMLINK, LinkKind.REFLINK, LinkKind.COPY)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return pair_in(tmp_path / "library", tmp_path / "app")


def works(pair: Pair) -> frozenset[LinkKind]:
    return what_works(pair.library / "staging", pair.app)


class TestProbe:
    def test_one_file_system(self, pair: Pair) -> None:
        assert works(pair) >= ALWAYS | {LinkKind.HARDLINK}

    @pytest.mark.parametrize(
        ("kind", "more"),
        [
            ("ext4", {LinkKind.HARDLINK}),
            ("xfs", {LinkKind.HARDLINK, LinkKind.REFLINK}),
            ("btrfs", {LinkKind.HARDLINK, LinkKind.REFLINK}),
            ("tmpfs", {LinkKind.HARDLINK}),
        ],
    )
    def test_kinds_of_file_systems(self, mounts: Mounts, kind: str, more: set[LinkKind]) -> None:
        place = mounts.tmpfs(8 << 20) if kind == "tmpfs" else mounts.make(kind).path
        assert works(pair_in(place / "library", place / "app")) == ALWAYS | more

    def test_across_file_systems(self, mounts: Mounts) -> None:
        pair = pair_in(mounts.make("btrfs").path / "library", mounts.tmpfs(8 << 20) / "app")
        assert works(pair) == ALWAYS

    def test_subvolumes_share_data_but_no_inodes(self, mounts: Mounts) -> None:
        """One btrfs, two devices to the eye: never to be guessed by name."""
        place = mounts.make("btrfs").path
        for name in ("one", "two"):
            subprocess.run(
                ["btrfs", "subvolume", "create", place / name], check=True, capture_output=True
            )
        pair = pair_in(place / "one" / "library", place / "two" / "app")
        assert works(pair) == ALWAYS | {LinkKind.REFLINK}

    def test_nothing_is_left_behind(self, pair: Pair) -> None:
        before = tree(pair.library), tree(pair.app)
        works(pair)
        assert (tree(pair.library), tree(pair.app)) == before

    def test_a_folder_that_does_not_exist_is_judged_by_the_one_above(self, pair: Pair) -> None:
        missing = pair.app / "models" / "loras"
        assert what_works(pair.library / "staging", missing) == works(pair)
        assert not (pair.app / "models").exists()

    def test_answers_are_remembered(self, pair: Pair) -> None:
        works(pair)
        before = stamps(pair.app)
        works(pair)
        assert stamps(pair.app) == before

    def test_a_library_that_is_only_read_can_be_linked_from(self, mounts: Mounts) -> None:
        volume = mounts.make("ext4")
        pair = pair_in(volume.path / "library", mounts.tmpfs(8 << 20) / "app")
        subprocess.run(["mount", "-o", "remount,ro", volume.path], check=True)
        assert works(pair) == ALWAYS
        create_link(pair.source, pair.app / "x", LinkKind.SYMLINK)
        assert (pair.app / "x").read_bytes() == CONTENT

    def test_nothing_works_where_nothing_may_be_written(self, mounts: Mounts) -> None:
        volume = mounts.make("ext4")
        pair = pair_in(volume.path / "library", volume.path / "app")
        subprocess.run(["mount", "-o", "remount,ro", volume.path], check=True)
        assert works(pair) == frozenset()
        for kind in LINKS:
            with pytest.raises(OSError, match=r".") as caught:
                create_link(pair.source, pair.app / "x", kind)
            assert caught.value.errno in (errno.EROFS, errno.EOPNOTSUPP)
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            write_new(pair.app / "x", b"ours")
        assert names(pair.app) == []

    def test_a_full_disk_still_takes_symlinks(self, mounts: Mounts) -> None:
        app = mounts.tmpfs(1 << 20) / "app"
        pair = pair_in(mounts.tmpfs(8 << 20) / "library", app)
        free = os.statvfs(app)
        (app.parent / "fill").write_bytes(bytes(free.f_bavail * free.f_frsize))
        found = works(pair)
        assert LinkKind.COPY not in found
        for kind in (LinkKind.COPY, LinkKind.HARDLINK):
            with pytest.raises(OSError, match=r"."):
                create_link(pair.source, pair.app / "x", kind)
        with pytest.raises(OSError, match="space"):
            write_new(pair.app / "x", CONTENT)
        assert names(pair.app) == []
        assert (LinkKind.SYMLINK in found) == _takes_symlinks(pair)


def _takes_symlinks(pair: Pair) -> bool:
    try:
        create_link(pair.source, pair.app / "y", LinkKind.SYMLINK)
    except OSError:
        return False
    return True
