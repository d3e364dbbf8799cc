"""Manifests and files that were garbled, cut, taken away, added or made writable."""

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar.doctor.findings import Status
from modelcellar.library import ModelLibrary
from modelcellar.link_records import LinkKind
from tests.support.doctor import Doctor
from tests.support.models import write_gguf
from tests.support.trees import tree

IdOf = Callable[[str], str]


def open_up(folder: Path) -> Path:
    """Let the test change what is write-protected."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def test_a_garbled_manifest(doctor: Doctor, id_of: IdOf) -> None:
    path = doctor.root / "manifests" / f"{id_of('one')}.json"
    path.write_bytes(path.read_bytes()[:-20])
    finding = doctor.one("manifests")
    assert finding.status is Status.ERROR
    assert finding.items[0].startswith(f"{id_of('one')}: ")
    assert finding.mend is None
    # The model of a garbled manifest is no content without a manifest.
    assert "unlisted" not in doctor.bad()


def test_a_manifest_of_another_model(doctor: Doctor, id_of: IdOf) -> None:
    folder = doctor.root / "manifests"
    shutil.copyfile(folder / f"{id_of('two')}.json", folder / f"{id_of('one')}.json")
    assert f"it is the manifest of {id_of('two')}" in doctor.one("manifests").items[0]


def test_a_manifest_of_a_newer_version(doctor: Doctor, id_of: IdOf) -> None:
    path = doctor.root / "manifests" / f"{id_of('one')}.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format": 9}))
    finding = doctor.one("manifests")
    assert (finding.status, finding.items) == (Status.WARNING, (id_of("one"),))


def test_a_stranger_among_the_manifests(doctor: Doctor) -> None:
    (doctor.root / "manifests" / "notes.txt").write_text("mine")
    assert doctor.one("manifests").items == ("notes.txt",)


@pytest.mark.parametrize("how", ["missing", "cut", "folder", "link", "no folder"])
def test_a_file_that_is_not_what_it_was(doctor: Doctor, id_of: IdOf, how: str) -> None:
    content = open_up(doctor.root / "models" / id_of("one"))
    path = content / "one.gguf"
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "no folder":
        shutil.rmtree(content)
    else:
        path.unlink()
    if how == "folder":
        path.mkdir()
    if how == "link":
        path.symlink_to("/etc/passwd")
    finding = doctor.one("content")
    assert finding.status is Status.ERROR
    (item,) = finding.items
    words = {"cut": "bytes instead of", "folder": "not a regular", "link": "not a regular"}
    assert words.get(how, "missing") in item
    assert finding.mend is None


def test_flipped_bytes_are_for_verify_and_then_known(doctor: Doctor, id_of: IdOf) -> None:
    path = open_up(doctor.root / "models" / id_of("one")) / "one.gguf"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "content" not in doctor.bad()
    with ModelLibrary(doctor.root, settings=doctor.settings) as library:
        assert library.verify().ok == 2
    assert doctor.one("content").items == (id_of("one"),)


def test_modes_are_set_again_and_nothing_else(doctor: Doctor) -> None:
    before = tree(doctor.root / "models")
    content = open_up(doctor.root / "models")
    finding = doctor.one("modes")
    # The folder "models" itself is open.
    assert len(finding.items) == sum(1 for _ in content.rglob("*"))
    assert [(one.id, one.error) for one in doctor.mend()] == [("modes", None)]
    assert tree(doctor.root / "models") == before
    assert doctor.bad() == {}


def test_modes_of_a_file_that_was_adopted_are_the_users(doctor: Doctor, tmp_path: Path) -> None:
    """A hard link is the very file of the user, and so are its permissions."""
    mine = write_gguf(tmp_path / "mine" / "four.gguf", seed=4)
    mine.chmod(0o644)
    with ModelLibrary(doctor.root, settings=doctor.settings) as library:
        library.adopt([mine], link=LinkKind.HARDLINK)
    assert "modes" not in doctor.bad()
    doctor.mend()
    assert stat.S_IMODE(mine.stat().st_mode) == 0o644
    # Once it is the library's alone it is looked after as all others are.
    mine.unlink()
    assert doctor.one("modes").status is Status.WARNING
    doctor.mend()
    assert "modes" not in doctor.bad()


def test_modes_of_what_links_lead_to_stay(doctor: Doctor, id_of: IdOf, tmp_path: Path) -> None:
    outside = tmp_path / "mine.txt"
    outside.write_text("mine")
    outside.chmod(0o640)
    content = open_up(doctor.root / "models" / id_of("one"))
    (content / "link").symlink_to(outside)
    doctor.mend()
    assert outside.stat().st_mode & 0o777 == 0o640
    assert "modes" not in doctor.bad()


def test_what_lies_among_the_models(doctor: Doctor, id_of: IdOf) -> None:
    models = doctor.root / "models"
    orphan = id_of("two")
    (doctor.root / "manifests" / f"{orphan}.json").unlink()
    (models / "notes").mkdir()
    extra = open_up(models / id_of("one"))
    write_gguf(extra / "more.gguf", seed=7)
    before = tree(models)
    found = doctor.examine()["unlisted"]
    assert [one.items for one in found] == [(orphan,), ("notes", f"{id_of('one')}/more.gguf")]
    assert all(one.status is Status.WARNING and one.mend is None for one in found)
    doctor.mend()
    assert tree(models).keys() == before.keys()


def test_the_advice_for_content_without_manifest_works(doctor: Doctor, id_of: IdOf) -> None:
    lost = id_of("two")
    (doctor.root / "manifests" / f"{lost}.json").unlink()
    with ModelLibrary(doctor.root, settings=doctor.settings) as library:
        library.import_paths([doctor.root / "models" / lost], lookup=False)
    assert doctor.bad() == {}
