"""Links that went wrong, a ledger that is damaged, applications that are away."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.doctor.findings import Finding, Status
from modelcellar.library import ModelLibrary
from modelcellar.link_records import LinkKind
from modelcellar.links.ledger import ledger_folder
from modelcellar.relocate.relocation import RelocateOptions, relocate
from tests.support.doctor import Doctor
from tests.support.strace import kill_at
from tests.support.trees import tree
from tests.support.worker import command


@pytest.fixture
def app(doctor: Doctor, tmp_path: Path) -> Path:
    """The folder of an application that has links."""
    folder = tmp_path / "app"
    folder.mkdir()
    with ModelLibrary(doctor.root, settings=doctor.settings) as library:
        library.applications.add("mine", folder, preset="folder", link=LinkKind.SYMLINK)
        library.sync()
    assert doctor.bad() == {}
    assert "1 application, all well" in doctor.one("links").summary
    return folder


def ledger(doctor: Doctor) -> Path:
    with ModelLibrary(doctor.root, settings=doctor.settings) as library:
        return ledger_folder(library.library_id)


def a_link(app: Path) -> Path:
    return next(path for path in sorted(app.rglob("*")) if path.is_symlink())


def test_no_links_at_all(doctor: Doctor) -> None:
    assert "no application is given links" in doctor.one("links").summary
    assert not ledger(doctor).exists()


@pytest.mark.parametrize(
    ("how", "words"),
    [("missing", "not there any more"), ("broken", "elsewhere"), ("replaced", "not ours")],
)
def test_a_link_that_is_not_well(doctor: Doctor, app: Path, how: str, words: str) -> None:
    link = a_link(app)
    if how == "broken":
        content = doctor.root / "models"
        doctor.root.rename(doctor.root.with_name("moved"))
        doctor.root = content.parent.with_name("moved")
    else:
        link.unlink()
    if how == "replaced":
        link.write_text("mine")
    finding = doctor.one("links")
    assert finding.status is Status.WARNING
    assert words in finding.summary
    assert str(link) in finding.items
    assert finding.mend is None
    before = tree(app)
    doctor.mend()
    assert tree(app) == before


def test_the_library_lost_the_file(doctor: Doctor, app: Path) -> None:
    link = a_link(app)
    source = link.resolve()
    source.parent.chmod(0o755)
    source.unlink()
    found = doctor.examine()["links"]
    assert [one.status for one in found] == [Status.ERROR]
    assert found[0].items == (str(link),)


def test_an_application_that_is_away(doctor: Doctor, app: Path) -> None:
    app.rename(app.with_name("unmounted"))
    finding = doctor.one("links")
    assert finding.status is Status.WARNING
    assert f"the folder of mine is not there: {app}" in finding.summary


@pytest.mark.usefixtures("app")
def test_a_damaged_ledger_is_told_and_not_set_aside(doctor: Doctor) -> None:
    folder = ledger(doctor)
    path = folder / "links.db"
    (folder / "links.db-wal").unlink(missing_ok=True)
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 5000)
    before = tree(folder, without=frozenset({".lock"}))
    finding = doctor.one("links")
    assert (finding.status, finding.mend) == (Status.ERROR, None)
    assert "damaged" in finding.summary
    assert tree(folder, without=frozenset({".lock"})) == before


@pytest.mark.usefixtures("app")
def test_a_garbled_list_of_applications(doctor: Doctor) -> None:
    (ledger(doctor) / "apps.json").write_text("{")
    finding = doctor.one("links")
    assert finding.status is Status.ERROR
    assert "no list of applications" in finding.summary


@pytest.mark.usefixtures("app")
def test_a_preset_that_is_gone(doctor: Doctor) -> None:
    path = ledger(doctor) / "apps.json"
    document = json.loads(path.read_bytes())
    document["apps"][0]["preset"] = "none-such"
    path.write_text(json.dumps(document))
    finding = doctor.one("links")
    assert finding.status is Status.WARNING
    assert "none-such" in finding.summary


def test_what_a_killed_sync_left_is_settled(doctor: Doctor, app: Path) -> None:
    shutil.rmtree(app)
    app.mkdir()
    (app / "keep").mkdir()  # or it would look like a mount point where nothing is mounted
    found: list[Finding] = []
    for nth in range(1, 20):  # the first calls are probes of what the folders can do
        run = kill_at(command(doctor.root, "sync"), "symlink", nth)
        assert run.exit_code == -signal.SIGKILL
        found = [one for one in doctor.examine()["links"] if one.mend is not None]
        if found:
            break
    assert len(found) == 1
    assert "when a process died" in found[0].summary
    assert [(one.id, one.error) for one in doctor.mend()] == [("links", None)]
    assert all(one.mend is None for one in doctor.examine()["links"])


@pytest.mark.parametrize("copy", [True, False])
def test_links_follow_a_library_that_was_moved(
    doctor: Doctor, app: Path, settings: Settings, tmp_path: Path, copy: bool
) -> None:
    count = sum(path.is_symlink() for path in app.rglob("*"))
    new = tmp_path / "elsewhere" / "library"
    report = relocate(doctor.root, new, settings, RelocateOptions(copy=copy))
    assert report.has_links
    there = Doctor(new, doctor.settings)
    (finding,) = there.examine()["links"]
    assert (finding.status, len(finding.items)) == (Status.WARNING, count)
    with ModelLibrary(new, settings=settings) as library:
        done = library.sync()
        assert done.failures == ()
        assert {action.action.value for action in done.actions} == {"replace"}
        assert library.undo().command == "sync"
        library.sync()
    assert there.bad() == {}
    assert a_link(app).resolve().is_relative_to(new)
