"""Leftovers of dead processes, an old trash, a garbled journal."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.doctor.findings import Status
from modelcellar.downloads.shelf import Note, Shelf
from modelcellar.journal import timestamp
from modelcellar.library import ModelLibrary
from modelcellar.store import Store
from tests.support.doctor import Doctor
from tests.support.models import write_safetensors
from tests.support.strace import kill_at
from tests.support.trees import tree
from tests.support.worker import command


def test_what_a_killed_import_left_is_told_and_tidied(doctor: Doctor, tmp_path: Path) -> None:
    new = write_safetensors(tmp_path / "new" / "late.safetensors", seed=9)
    run = kill_at(command(doctor.root, "import", new), "renameat2", 1)
    assert run.exit_code == -signal.SIGKILL
    before = tree(doctor.root / "staging")
    finding = doctor.one("staging")
    assert finding.status is Status.WARNING
    assert len(finding.items) == 1
    assert tree(doctor.root / "staging") == before
    assert [(one.id, one.error) for one in doctor.mend()] == [("staging", None)]
    assert list((doctor.root / "staging").iterdir()) == []
    assert doctor.bad() == {}


def test_work_under_way_is_left_alone(doctor: Doctor, settings: Settings) -> None:
    with Store(doctor.root, lock_timeout_s=1.0).change() as staging:
        staging.write("manifests", "x.json", b"{}")
        before = tree(doctor.root / "staging")
        # Another process: locks are held by processes, not by threads.
        code = (
            "import sys; from pathlib import Path; from modelcellar.config import Settings;"
            "from modelcellar.doctor.examination import examine, mend;"
            "s = Settings(Path(sys.argv[1]), lock_timeout_s=1.0);"
            "found = examine(s.library, s); mend(found);"
            "print([(f.status.value, f.summary) for f in found if f.id == 'staging'])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(doctor.root)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "'ok', '1 change under way" in done.stdout
        assert tree(doctor.root / "staging") == before
    assert settings.library == doctor.root


def test_a_busy_library(doctor: Doctor) -> None:
    (doctor.root / "staging" / "1-a").mkdir()
    with Store(doctor.root, lock_timeout_s=1.0).lock():
        code = (
            "import sys; from pathlib import Path; from modelcellar.config import Settings;"
            "from modelcellar.doctor.examination import examine;"
            "s = Settings(Path(sys.argv[1]), lock_timeout_s=0.1);"
            "print([(f.id, f.status.value) for f in examine(s.library, s) if f.status != 'ok'])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(doctor.root)],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "[('staging', 'skipped')]\n"


@pytest.mark.parametrize(("days", "status"), [(29, Status.OK), (31, Status.WARNING)])
def test_an_old_trash_is_told_and_never_emptied(doctor: Doctor, days: int, status: Status) -> None:
    with ModelLibrary(doctor.root, settings=doctor.settings) as library:
        entry = library.remove("one")
    folder = doctor.root / "trash" / entry.id
    then = folder.stat().st_mtime - days * 86_400
    os.utime(folder, (then, then))
    finding = doctor.one("trash")
    assert finding.status is status
    assert f"of 1 change{', the oldest 31 days ago' if days > 30 else ''}" in finding.summary
    before = tree(doctor.root / "trash")
    assert doctor.mend() == []
    assert tree(doctor.root / "trash") == before


def test_a_garbled_journal_entry_is_put_aside_so_that_undo_works_again(doctor: Doctor) -> None:
    journal = doctor.root / "journal"
    bad = journal / "20990101T000000.000000Z-00000000.json"
    bad.write_bytes(b'{"format": 1, "id": ')
    finding = doctor.one("journal")
    assert (finding.status, finding.items) == (Status.ERROR, (bad.name,))
    doctor.mend()
    assert (journal / f"{bad.name}.damaged").read_bytes() == b'{"format": 1, "id": '
    assert doctor.bad() == {}
    with ModelLibrary(doctor.root, settings=doctor.settings) as library:
        assert library.undo().command == "import"


def test_an_entry_under_a_wrong_name_is_garbled_too(doctor: Doctor) -> None:
    (entry,) = (doctor.root / "journal").iterdir()
    shutil.copyfile(entry, entry.with_name("copy.json"))
    assert doctor.one("journal").items == ("copy.json",)


def test_an_entry_of_a_newer_version_stays(doctor: Doctor) -> None:
    (entry,) = (doctor.root / "journal").iterdir()
    entry.write_text(json.dumps({**json.loads(entry.read_bytes()), "format": 7}))
    finding = doctor.one("journal")
    assert (finding.status, finding.mend) == (Status.WARNING, None)
    doctor.mend()
    assert entry.exists()


@pytest.mark.parametrize(("age_days", "status"), [(1, Status.OK), (31, Status.WARNING)])
def test_an_unfinished_download_is_told_of_and_left_alone(
    doctor: Doctor, age_days: int, status: Status
) -> None:
    shelf = Shelf(doctor.root)
    key = "a" * 64
    assert shelf.claim(key)
    began_at = timestamp(datetime.now(UTC) - timedelta(days=age_days))
    shelf.write_note(
        Note(key, "acme/toy", (), "huggingface", "acme/toy", "a.gguf", 1_000, began_at)
    )
    shelf.open(key, 1_000).close()
    shelf.close()
    before = tree(doctor.root / "staging")
    finding = doctor.one("downloads")
    assert finding.status is status
    assert finding.items == ("acme/toy",) * (status is Status.WARNING)
    assert "1 download unfinished" in finding.summary
    assert tree(doctor.root / "staging") == before
    # What tidies after dead processes leaves it alone as well.
    with Store(doctor.root, lock_timeout_s=1.0).change():
        pass
    assert tree(doctor.root / "staging") == before
