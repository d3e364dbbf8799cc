"""What has become of links that we made."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.io.link_health import is_ours
from modelcellar.io.platform import create_link, write_new
from modelcellar.link_records import Link, LinkHealth, LinkKind
from tests.support.pairs import CONTENT, Pair, pair_in

HERE = (LinkKind.HARDLINK, LinkKind.SYMLINK, LinkKind.COPY)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return pair_in(tmp_path / "library", tmp_path / "app")


class TestHealth:
    @pytest.fixture(params=[*HERE, LinkKind.GENERATED])
    def link(self, pair: Pair, request: pytest.FixtureRequest) -> Link:
        return linked(pair, request.param)

    def test_as_made(self, pair: Pair, link: Link) -> None:
        assert is_ours(link, pair.library) is LinkHealth.OK

    def test_missing(self, pair: Pair, link: Link) -> None:
        link.target.unlink()
        assert is_ours(link, pair.library) is LinkHealth.MISSING
        pair.app.rmdir()
        assert is_ours(link, pair.library) is LinkHealth.MISSING

    @pytest.mark.parametrize("what", ["file", "same_content", "folder", "symlink"])
    def test_replaced(self, pair: Pair, link: Link, what: str) -> None:
        link.target.unlink()
        if what == "folder":
            link.target.mkdir()
        elif what == "symlink":
            (pair.app / "other").write_bytes(CONTENT)
            link.target.symlink_to(pair.app / "other")
        else:
            link.target.write_bytes(CONTENT if what == "same_content" else b"another")
        is_by_content = link.kind is LinkKind.COPY and what == "same_content"
        wanted = LinkHealth.OK if is_by_content else LinkHealth.REPLACED
        assert is_ours(link, pair.library) is wanted

    def test_source_gone(self, pair: Pair, link: Link) -> None:
        pair.source.parent.chmod(0o755)
        pair.source.unlink()
        is_written = link.kind is LinkKind.GENERATED
        wanted = LinkHealth.OK if is_written else LinkHealth.SOURCE_GONE
        assert is_ours(link, pair.library) is wanted

    def test_library_not_there(self, pair: Pair, link: Link) -> None:
        pair.library.rename(pair.library.with_name("away"))
        assert is_ours(link, pair.library) is LinkHealth.OFFLINE

    def test_another_device_number_is_no_change(self, pair: Pair, link: Link) -> None:
        """It is another one after each mount."""
        assert is_ours(replace(link, device=link.device + 1), pair.library) is LinkHealth.OK


def test_a_file_that_the_application_wrote_to_is_its_own(pair: Pair) -> None:
    link = linked(pair, LinkKind.COPY)
    with link.target.open("r+b") as file:
        file.write(b"changed")
    assert is_ours(link, pair.library) is LinkHealth.REPLACED


def test_a_file_whose_time_alone_changed_is_ours(pair: Pair) -> None:
    link = linked(pair, LinkKind.COPY)
    os.utime(link.target)
    assert is_ours(link, pair.library) is LinkHealth.OK


def test_a_symlink_is_broken_after_the_library_moved(pair: Pair) -> None:
    link = linked(pair, LinkKind.SYMLINK)
    moved = pair.library.with_name("moved")
    pair.library.rename(moved)
    assert is_ours(link, moved) is LinkHealth.BROKEN


def test_a_hard_link_is_broken_after_the_library_went_to_another_disk(pair: Pair) -> None:
    link = linked(pair, LinkKind.HARDLINK)
    copied = pair_in(pair.library.with_name("copied"), pair.app.with_name("other"))
    assert is_ours(link, copied.library) is LinkHealth.BROKEN


def linked(pair: Pair, kind: LinkKind) -> Link:
    target = pair.app / "x.gguf"
    if kind is LinkKind.GENERATED:
        made = write_new(target, b"ours")
    else:
        made = create_link(pair.source, target, kind)
    return Link(
        target=target,
        app="app",
        model_id="m-12345678",
        path="file.gguf",
        kind=kind,
        source="models/m-12345678/file.gguf",
        sha256=hashlib.sha256(b"ours" if kind is LinkKind.GENERATED else CONTENT).hexdigest(),
        size_bytes=made.size_bytes,
        device=made.device,
        inode=made.inode,
        mtime_ns=made.mtime_ns,
        made_at="2030-01-01T00:00:00Z",
    )
