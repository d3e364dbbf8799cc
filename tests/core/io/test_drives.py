"""Network file systems by made lines of ``/proc/self/mountinfo``."""

import os
from pathlib import Path

import pytest

from modelcellar.io import drives
from modelcellar.io.drives import Machine


def is_network(path: Path, *, mountinfo: Path) -> bool:
    return drives.is_network(path, machine=Machine(mountinfo=mountinfo, platform="linux"))


def line(mount: str, kind: str, *, fields: str = "shared:1") -> str:
    return f"36 35 98:0 / {mount} rw,noatime {fields}{' ' if fields else ''}- {kind} server:/x rw\n"


ROOT = line("/", "ext4")


@pytest.fixture
def mountinfo(tmp_path: Path) -> Path:
    return tmp_path / "mountinfo"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("nfs", True),
        ("nfs4", True),
        ("cifs", True),
        ("smb3", True),
        ("9p", True),
        ("virtiofs", True),
        ("fuse.sshfs", True),
        ("fuse.rclone", True),
        ("fuse", True),
        ("fuseblk", False),
        ("ext4", False),
        ("xfs", False),
        ("btrfs", False),
        ("overlay", False),
        ("tmpfs", False),
        ("exfat", False),
    ],
)
def test_file_system_type(mountinfo: Path, kind: str, expected: bool) -> None:
    mountinfo.write_text(ROOT + line("/mnt/models", kind))
    assert is_network(Path("/mnt/models/library"), mountinfo=mountinfo) is expected
    assert is_network(Path("/mnt/models"), mountinfo=mountinfo) is expected


def test_name_that_only_begins_like_a_mount_point(mountinfo: Path) -> None:
    mountinfo.write_text(ROOT + line("/mnt/models", "nfs"))
    assert not is_network(Path("/mnt/models2/library"), mountinfo=mountinfo)


def test_nested_mounts_in_any_order(mountinfo: Path) -> None:
    lines = [ROOT, line("/mnt", "nfs"), line("/mnt/disk", "ext4"), line("/mnt/disk/share", "cifs")]
    for order in (lines, lines[::-1]):
        mountinfo.write_text("".join(order))
        assert is_network(Path("/mnt/a"), mountinfo=mountinfo)
        assert not is_network(Path("/mnt/disk/a"), mountinfo=mountinfo)
        assert is_network(Path("/mnt/disk/share/a"), mountinfo=mountinfo)


def test_network_root(mountinfo: Path) -> None:
    mountinfo.write_text(line("/", "nfs"))
    assert is_network(Path("/home/library"), mountinfo=mountinfo)
    assert is_network(Path("/"), mountinfo=mountinfo)


def test_later_mount_covers_an_earlier_one(mountinfo: Path) -> None:
    mountinfo.write_text(ROOT + line("/mnt/a", "nfs") + line("/mnt/a", "ext4"))
    assert not is_network(Path("/mnt/a/x"), mountinfo=mountinfo)
    mountinfo.write_text(ROOT + line("/mnt/a", "ext4") + line("/mnt/a", "nfs"))
    assert is_network(Path("/mnt/a/x"), mountinfo=mountinfo)


def test_a_mount_that_a_later_one_above_it_hides(mountinfo: Path, tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    above = line(str(tmp_path), "nfs").split(" ")
    above[2] = f"{os.major(device)}:{os.minor(device)}"
    hidden = line(f"{tmp_path}/deep", "ext4")
    (tmp_path / "deep").mkdir()
    mountinfo.write_text(ROOT + hidden + " ".join(above))
    assert is_network(tmp_path / "deep", mountinfo=mountinfo)


def test_octal_escapes(mountinfo: Path) -> None:
    mountinfo.write_text(ROOT + line(r"/mnt/my\040models\011\134n", "nfs"))
    assert is_network(Path("/mnt/my models\t\\n/library"), mountinfo=mountinfo)
    assert not is_network(Path(r"/mnt/my\040models\011\134n/library"), mountinfo=mountinfo)


def test_mount_point_with_the_separator_in_its_name(mountinfo: Path) -> None:
    mountinfo.write_text(ROOT + line(r"/mnt/a\040-\040ext4", "nfs"))
    assert is_network(Path("/mnt/a - ext4/library"), mountinfo=mountinfo)


def test_mount_point_that_is_not_utf8(mountinfo: Path) -> None:
    mountinfo.write_bytes(ROOT.encode() + line("/mnt/X", "nfs").encode().replace(b"X", b"\xff\xe9"))
    assert is_network(Path("/mnt/\udcff\udce9/library"), mountinfo=mountinfo)


@pytest.mark.parametrize("fields", ["", "shared:1 master:2 propagate_from:3"])
def test_any_number_of_optional_fields(mountinfo: Path, fields: str) -> None:
    mountinfo.write_text(ROOT + line("/mnt/a", "nfs", fields=fields))
    assert is_network(Path("/mnt/a/x"), mountinfo=mountinfo)


def test_link_onto_a_network_mount(mountinfo: Path, tmp_path: Path) -> None:
    target = tmp_path / "share"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    mountinfo.write_text(ROOT + line(str(target), "nfs"))
    assert is_network(tmp_path / "link" / "library", mountinfo=mountinfo)


def test_no_mountinfo(mountinfo: Path) -> None:
    assert not is_network(Path("/mnt"), mountinfo=mountinfo)


@pytest.mark.parametrize("odd", ["\n", "36 35\n", "36 35 98:0 / /mnt/a rw - \n", "36 35 - x y z\n"])
def test_odd_lines_are_passed_over(mountinfo: Path, odd: str) -> None:
    mountinfo.write_text(odd + ROOT + odd + line("/mnt/a", "nfs") + odd)
    assert is_network(Path("/mnt/a/x"), mountinfo=mountinfo)


def test_carriage_return_in_a_mount_point(mountinfo: Path) -> None:
    # The kernel escapes space, tab, newline and backslash only.
    mountinfo.write_bytes((ROOT + line("/mnt/a\rb", "nfs")).encode())
    assert is_network(Path("/mnt/a\rb/x"), mountinfo=mountinfo)


def test_this_machine() -> None:
    assert isinstance(drives.is_network(Path.cwd()), bool)
