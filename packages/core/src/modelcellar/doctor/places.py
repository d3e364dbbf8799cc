"""Checks of what is around a library: room, the drive, and what is known of the network."""

import asyncio
import time
from collections.abc import Iterator

from modelcellar import naming
from modelcellar.config import Settings
from modelcellar.doctor.findings import Finding, Status
from modelcellar.doctor.patient import Patient
from modelcellar.errors import CellarError
from modelcellar.hosts import network_status, open_hosts
from modelcellar.io.drives import get_drive
from modelcellar.io.surroundings import file_system_of
from modelcellar.io.validator import validate_mapping_target
from modelcellar.network.http import Request
from modelcellar.records import DriveKind, Level

__all__ = ["check_drive", "check_network", "check_space", "probe_network"]

PROBE_S = 20.0
_LEVELS = {Level.ERROR: Status.ERROR, Level.WARNING: Status.WARNING}
_SEEN_ELSEWHERE = {"no_space", "unreadable", "not_writable", "missing", "not_a_folder"}


def check_space(patient: Patient) -> Iterator[Finding]:
    """Is there room for another model, beside what is to stay free?"""
    free = file_system_of(patient.root, find_mount=False).free_bytes
    wanted = patient.settings.min_free_bytes
    if free is None:
        yield Finding("space", Status.SKIPPED, "this file system does not say what is free")
    elif free <= wanted:
        text = f"{free:,} bytes are free, and {wanted:,} are to stay free: no import will fit"
        fix = "Free some space, empty the trash (cellar purge), or move on: cellar relocate FOLDER"
        yield Finding("space", Status.WARNING, text, fix)
    else:
        yield Finding("space", Status.OK, f"{free:,} bytes are free")


def check_drive(patient: Patient) -> Iterator[Finding]:
    """Does the storage suit a library? Nothing is measured or written."""
    drive = get_drive(patient.root, overrides=patient.settings.drive, prober=None)
    bad = False
    for found in validate_mapping_target(patient.root):
        if found.level in _LEVELS and found.code not in _SEEN_ELSEWHERE:
            bad = True
            yield Finding("drive", _LEVELS[found.level], found.message, found.hint)
    name = (
        drive.kind.value
        if drive.kind is not DriveKind.UNKNOWN
        else "a drive of a kind that is not known"
    )
    text = f"{name} with {drive.file_system or 'an unknown file system'}: {drive.reason}"
    if not bad:
        yield Finding("drive", Status.OK, naming.display(text))


def check_network(settings: Settings) -> Iterator[Finding]:
    """What is known of the hosts; nobody is asked."""
    status, _, _ = network_status(settings)
    if status.is_offline:
        text = "not to be used (--offline or HF_HUB_OFFLINE); what is known is still found"
        yield Finding("network", Status.OK, text)
        return
    now = time.time()
    left_alone = [one for one in status.origins if one.since is not None]
    for one in left_alone:
        seconds = max(0.0, (one.until or now) - now)
        text = f"{one.origin} failed and is left alone for {seconds:.0f} s more: {one.cause}"
        fix = "It is asked again after that. To ask it now: cellar doctor --network"
        yield Finding("network", Status.WARNING, naming.display(text), fix)
    if not left_alone:
        yield Finding("network", Status.OK, "no host is known to fail; none was asked")


def probe_network(settings: Settings) -> Iterator[Finding]:
    """Ask every host for one small thing; any answer at all will do."""
    endpoints = (
        settings.hub_endpoint,
        settings.civitai_endpoint,
        settings.civarchive_endpoint,
    )
    for endpoint, error in asyncio.run(_ask(settings, endpoints)):
        if error is None:
            yield Finding("network", Status.OK, f"{endpoint} answers")
        else:
            text = naming.display(error.message)
            fix = error.hint or "Check the connection, a proxy, or the address in the settings."
            yield Finding("network", Status.WARNING, text, fix)


async def _ask(
    settings: Settings, endpoints: tuple[str, ...]
) -> list[tuple[str, CellarError | None]]:
    async with open_hosts(settings, refresh=True, limit_s=PROBE_S) as hosts:

        async def ask(endpoint: str) -> CellarError | None:
            request = Request("HEAD", f"{endpoint}/", deadline_s=PROBE_S, follow_redirects=False)
            try:
                await hosts.network.request(request)
            except CellarError as error:
                return error
            return None

        answers = await asyncio.gather(*map(ask, endpoints))
    return list(zip(endpoints, answers, strict=True))
