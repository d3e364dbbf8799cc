"""The whole examination: it changes nothing, and stops at nothing."""

import random
from pathlib import Path

import pytest

from modelcellar.doctor.examination import mend
from modelcellar.doctor.findings import Finding, Status
from modelcellar.errors import LibraryBusyError
from modelcellar.io.trees import remove_tree
from tests.support.doctor import Doctor
from tests.support.trees import tree

WITHOUT = frozenset({"catalog", ".lock"})


def test_looking_changes_nothing(doctor: Doctor) -> None:
    before = tree(doctor.root, without=WITHOUT)
    doctor.examine()
    assert tree(doctor.root, without=WITHOUT) == before
    # SQLite's own files beside the catalog come and go.
    assert (doctor.root / "catalog" / "catalog.db").exists()


def ruin(root: Path, chance: random.Random) -> None:
    """Do some things to a library that nobody should."""
    every = [path for path in sorted(root.rglob("*")) if "catalog.db-" not in path.name]
    for path in chance.sample(every, 6):
        if not path.exists() or path.is_symlink():
            continue
        deed = chance.randrange(4)
        if path.is_dir():
            path.chmod(0o755)
            if deed == 0:
                path.parent.chmod(0o755)
                remove_tree(path)
            elif deed == 1:
                (path / "stranger").write_text("mine")
            continue
        path.parent.chmod(0o755)
        path.chmod(0o644)
        if deed == 0:
            path.unlink()
        elif deed == 1:
            path.write_bytes(path.read_bytes()[: chance.randrange(1 + path.stat().st_size)])
        elif deed == 2:
            path.write_bytes(chance.randbytes(100))
        else:
            path.rename(path.with_name("renamed"))


@pytest.mark.parametrize("seed", range(12))
def test_no_ruin_is_too_bad_and_no_repair_takes_a_file_away(doctor: Doctor, seed: int) -> None:
    ruin(doctor.root, random.Random(seed))
    before = tree(doctor.root, without=WITHOUT)
    assert doctor.bad()
    assert tree(doctor.root, without=WITHOUT) == before
    kept = {content for kind, _, content in before.values() if kind == "file"}
    doctor.mend()
    after = tree(doctor.root, without=WITHOUT)
    assert kept <= {content for kind, _, content in after.values() if kind == "file"}
    # What is left is for people: nothing that --fix could still do.
    assert [one.id for found in doctor.examine().values() for one in found if one.mend] == []


def test_a_repair_that_fails_stops_no_other() -> None:
    def busy() -> str:
        raise LibraryBusyError("another process", "Wait.")

    def broken() -> str:
        raise PermissionError(13, "Permission denied", "/x")

    def good() -> str:
        return "done"

    found = [Finding(name, Status.ERROR, name, mend=deed) for name, deed in (
        ("a", busy), ("b", broken), ("c", good), ("d", good),
    )]  # fmt: skip
    repairs = mend([*found, Finding("e", Status.OK, "well")])
    assert [(one.id, one.done, one.error and one.error.code) for one in repairs] == [
        ("a", "", "library_busy"),
        ("b", "", "permission_denied"),
        ("c", "done", None),
    ]
