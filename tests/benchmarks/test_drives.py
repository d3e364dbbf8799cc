"""Where the contest runs."""

from pathlib import Path

import pytest

from benchmarks import drives


def test_a_drive_is_a_label_and_a_folder(tmp_path: Path) -> None:
    assert drives.parse_drive(f"nvme={tmp_path}") == ("nvme", tmp_path)
    assert drives.parse_drive(f"a={tmp_path}/.") == ("a", tmp_path)


@pytest.mark.parametrize("text", ["nvme", "=/", "nvme=", "nvme=/no/such/folder", "nvme=/dev/null"])
def test_what_is_no_drive_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="LABEL=PATH"):
        drives.parse_drive(text)


def test_named_drives_take_the_place_of_the_default(tmp_path: Path) -> None:
    assert drives.labels([]) == ["disk", "ext4", "xfs", "btrfs"]
    assert drives.labels([f"nvme={tmp_path}", f"xfs={tmp_path}"]) == [
        "nvme",
        "xfs",
        "ext4",
        "btrfs",
    ]


def test_a_named_drive_gets_a_folder_of_its_own_that_goes_again(tmp_path: Path) -> None:
    with drives.open_place("here", [f"here={tmp_path}"], 1000) as place:
        assert place.path.parent == tmp_path
        assert place.judged
        assert place.file_system != ""
        (place.path / "left over").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_no_room_is_a_reason_to_skip(tmp_path: Path) -> None:
    with (
        pytest.raises(pytest.skip.Exception, match="free in here"),
        drives.open_place("here", [f"here={tmp_path}"], 1 << 60),
    ):
        pass


def test_reflinks_are_tried(tmp_path: Path) -> None:
    assert drives.clones(tmp_path) in {True, False}
    assert list(tmp_path.iterdir()) == []


def test_images_hold_sources_and_copies() -> None:
    assert drives.image_bytes(1) == drives.SMALLEST_IMAGE_BYTES
    assert drives.image_bytes(4 << 30) > (4 << 30) * 1.4
