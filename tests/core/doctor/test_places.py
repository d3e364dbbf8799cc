"""Room, drive and network around a library."""

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from modelcellar.config import Settings
from modelcellar.doctor.examination import examine
from modelcellar.doctor.findings import Status
from modelcellar.doctor.places import check_network, probe_network
from modelcellar.library import ModelLibrary
from modelcellar.network.circuit_breaker import Circuit, CircuitState
from modelcellar.network.state import CircuitStore
from modelcellar.records import DriveKind, DriveOverride
from tests.support.doctor import Doctor
from tests.support.fake_hub import FakeHub
from tests.support.filesystems import MIB, Mounts


def test_no_room_for_an_import(doctor: Doctor) -> None:
    doctor.settings = replace(doctor.settings, min_free_bytes=1 << 60)
    finding = doctor.one("space")
    assert finding.status is Status.WARNING
    assert "1,152,921,504,606,846,976 are to stay free" in finding.summary


def test_a_full_disk(mounts: Mounts, tmp_path: Path) -> None:
    place = mounts.tmpfs(4 * MIB)
    settings = Settings(place / "library", min_free_bytes=0, lock_timeout_s=1.0)
    ModelLibrary.create(settings.library, settings=settings).close()
    with suppress(OSError), (place / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    doctor = Doctor(settings.library, settings)
    assert "space" in doctor.bad()
    assert tmp_path.exists()


def test_the_users_word_about_a_drive_is_told(doctor: Doctor) -> None:
    word = DriveOverride(str(doctor.root), DriveKind.HDD)
    doctor.settings = replace(doctor.settings, drive=(word,))
    finding = doctor.one("drive")
    assert finding.status is Status.OK
    assert finding.summary.startswith("hdd")
    assert "you said so" in finding.summary


def test_a_file_system_without_permissions(mounts: Mounts) -> None:
    volume = mounts.make("fuseblk")
    settings = Settings(volume.path / "library", min_free_bytes=0, lock_timeout_s=1.0)
    with ModelLibrary.create(settings.library, settings=settings) as library:
        library.totals()
    doctor = Doctor(settings.library, settings)
    assert doctor.one("modes").status is Status.SKIPPED


def test_offline_asks_nobody_and_is_no_problem(settings: Settings, home: Path) -> None:
    offline = replace(settings, offline=True)
    (finding,) = check_network(offline)
    assert finding.status is Status.OK
    assert "not to be used" in finding.summary
    findings = examine(settings.library, offline, ask_hosts=True)
    assert [one.status for one in findings if one.id == "network"] == [Status.OK]
    assert home.exists()


def test_a_host_that_is_left_alone(settings: Settings, home: Path) -> None:
    now = time.time()
    circuit = Circuit(CircuitState.OPEN, now - 5, now + 300, 1, "it \x1b hangs")
    CircuitStore(home / "state" / "modelcellar").save("https://huggingface.co", circuit)
    (finding,) = check_network(settings)
    assert finding.status is Status.WARNING
    assert "https://huggingface.co failed and is left alone for 300 s" in finding.summary
    assert finding.summary.isprintable()


def test_hosts_are_asked_only_when_that_is_wanted(settings: Settings, fake_hub: FakeHub) -> None:
    asked = replace(
        settings,
        hub_endpoint=fake_hub.hub_url,
        civitai_endpoint=fake_hub.civitai_url,
        civarchive_endpoint="http://127.0.0.1:9",
    )
    assert [one.status for one in check_network(asked)] == [Status.OK]
    assert not fake_hub.log.entries
    found = list(probe_network(asked))
    assert [one.status for one in found] == [Status.OK, Status.OK, Status.WARNING]
    assert "127.0.0.1:9" in found[2].summary
    assert found[2].fix
