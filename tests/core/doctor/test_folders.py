"""A library whose folder is gone, garbled, newer, not allowed or full of holes."""

import json
import os
import shutil
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.doctor.findings import Status
from modelcellar.layout import FOLDERS
from tests.support.doctor import Doctor
from tests.support.filesystems import MIB, Mounts

SKIPPED = {
    *(
        "folders",
        "permissions",
        "manifests",
        "content",
        "modes",
        "unlisted",
        "staging",
        "downloads",
        "trash",
    ),
    *("journal", "catalog", "links", "space", "drive"),
}


def assert_only_the_library_is_judged(doctor: Doctor, words: str) -> None:
    bad = doctor.bad()
    assert bad.pop("library") == [Status.ERROR]
    assert bad == {name: [Status.SKIPPED] for name in SKIPPED}
    assert words in doctor.one("library").summary
    assert doctor.one("library").fix
    assert doctor.mend() == []


def test_no_folder_at_all(doctor: Doctor) -> None:
    doctor.root.rename(doctor.root.with_name("elsewhere"))
    assert_only_the_library_is_judged(doctor, "there is no folder")
    assert not doctor.root.exists()


def test_a_mount_point_where_nothing_is_mounted(doctor: Doctor) -> None:
    doctor.root.rename(doctor.root.with_name("elsewhere"))
    doctor.root.mkdir()
    assert_only_the_library_is_judged(doctor, "mount point")
    assert list(doctor.root.iterdir()) == []


def test_a_folder_that_is_no_library(doctor: Doctor) -> None:
    doctor.root.rename(doctor.root.with_name("elsewhere"))
    doctor.root.mkdir()
    (doctor.root / "mine.txt").write_text("hello")
    assert_only_the_library_is_judged(doctor, "is not a library")


def test_a_newer_library(doctor: Doctor) -> None:
    path = doctor.root / "library.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format": 2}))
    assert_only_the_library_is_judged(doctor, "has format 2")


def test_a_library_that_was_moved(doctor: Doctor) -> None:
    known = json.loads((doctor.root / "library.json").read_bytes())
    (doctor.root / "library.json").unlink()
    place = doctor.root / "library.moved.json"
    place.write_text(json.dumps({**known, "moved_to": "/elsewhere"}))
    assert_only_the_library_is_judged(doctor, "was moved to /elsewhere")


def test_a_place_that_a_library_is_being_moved_to(doctor: Doctor) -> None:
    """It looks like a library without library.json, and must not be made into one."""
    (doctor.root / "library.json").rename(doctor.root / ".relocating.json")
    assert_only_the_library_is_judged(doctor, "not all of it is there yet")
    assert "cellar init" not in doctor.one("library").fix


@pytest.mark.parametrize("data", [None, b"", b"{", b'{"format": 1, "library_id": "x"}', b"\xff"])
def test_library_json_is_missing_or_garbled_and_the_rest_is_judged(
    doctor: Doctor, data: bytes | None
) -> None:
    path = doctor.root / "library.json"
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    shutil.rmtree(doctor.root / "trash")
    assert doctor.bad() == {
        "library": [Status.ERROR],
        "folders": [Status.WARNING],
        "trash": [Status.SKIPPED],
        "links": [Status.SKIPPED],
    }


def test_missing_folders_are_made_by_fix_only(doctor: Doctor) -> None:
    for name in ("trash", "staging", "journal"):
        shutil.rmtree(doctor.root / name)
    found = doctor.examine()
    assert [one.items for one in found["folders"]] == [("journal", "trash", "staging")]
    # The checks that need them say so, and nothing was made by looking.
    assert doctor.bad()["staging"] == doctor.bad()["trash"] == [Status.SKIPPED]
    assert not (doctor.root / "trash").exists()
    assert [(one.id, one.error) for one in doctor.mend()] == [("folders", None)]
    assert doctor.bad() == {}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_where_a_folder_should_be(doctor: Doctor, name: str) -> None:
    path = doctor.root / name
    path.rename(doctor.root.with_name("aside"))
    path.write_text("a file")
    finding = doctor.one("folders")
    assert (finding.status, finding.items, finding.mend) == (Status.ERROR, (name,), None)
    doctor.mend()
    assert path.read_text() == "a file"


def test_a_link_that_leads_nowhere(doctor: Doctor) -> None:
    path = doctor.root / "journal"
    path.rename(doctor.root.with_name("aside"))
    path.symlink_to("/nowhere/at/all")
    assert doctor.one("folders").status is Status.ERROR


def test_models_on_another_file_system(doctor: Doctor, mounts: Mounts) -> None:
    other = mounts.tmpfs(4 * MIB)
    shutil.copytree(doctor.root / "models", other / "models")
    (doctor.root / "models").rename(doctor.root.with_name("aside"))
    (doctor.root / "models").symlink_to(other / "models")
    finding = doctor.one("folders")
    assert (finding.status, finding.items) == (Status.ERROR, ("models",))


def test_read_only(doctor: Doctor, mounts: Mounts, settings: Settings) -> None:
    place = mounts.tmpfs(16 * MIB)
    shutil.copytree(doctor.root, place / "library", copy_function=shutil.copy2)
    os.system(f"mount -o remount,ro {place}")
    reader = Doctor(place / "library", settings)
    bad = reader.bad()
    assert bad["permissions"] == [Status.WARNING]
    assert Status.ERROR in bad["drive"]  # it says that it is mounted read-only
    assert set(bad) <= {"permissions", "drive"}
    assert "read-only" in reader.one("drive").summary


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(doctor: Doctor) -> None:
    path = next(doctor.root.glob("models/one*/one.gguf"))
    path.chmod(0)
    finding = doctor.one("permissions")
    assert finding.status is Status.ERROR
    assert finding.items[0].endswith("one.gguf")


def test_names_of_folders_hold_no_surprise_for_a_terminal(
    settings: Settings, tmp_path: Path
) -> None:
    found = Doctor(tmp_path / "a\x1b[31m", settings).one("library")
    assert found.summary.isprintable()
