"""Runs every check on a library, and those repairs that are safe."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from modelcellar import naming
from modelcellar.config import Settings
from modelcellar.doctor.books import (
    check_downloads,
    check_journal,
    check_staging,
    check_trash,
)
from modelcellar.doctor.catalog import check_catalog
from modelcellar.doctor.contents import (
    check_content,
    check_manifests,
    check_modes,
    check_unlisted,
)
from modelcellar.doctor.findings import Finding, Repair, Status
from modelcellar.doctor.folders import check_folders, check_library, check_permissions
from modelcellar.doctor.links import check_links
from modelcellar.doctor.patient import Patient, look_at
from modelcellar.doctor.places import check_drive, check_network, check_space, probe_network
from modelcellar.errors import CellarError
from modelcellar.failures import failure
from modelcellar.records import ErrorInfo

__all__ = ["examine", "mend"]

_Check = Callable[[Patient], Iterator[Finding]]

_OF_THE_FOLDER: Sequence[tuple[str, _Check]] = (
    ("folders", check_folders),
    ("permissions", check_permissions),
    ("manifests", check_manifests),
    ("content", check_content),
    ("modes", check_modes),
    ("unlisted", check_unlisted),
    ("staging", check_staging),
    ("downloads", check_downloads),
    ("trash", check_trash),
    ("journal", check_journal),
    ("catalog", check_catalog),
    ("links", check_links),
    ("space", check_space),
    ("drive", check_drive),
)


def examine(
    root: Path,
    settings: Settings,
    *,
    ask_hosts: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Finding, ...]:
    """Everything there is to say about the library at ``root``, also where it does not open.

    Nothing is changed. Whole files are not read: that is for a verification.

    Args:
        root: the library's folder, or where it should be.
        settings: values in force.
        ask_hosts: ask the hosts for a sign of life; otherwise only what is known of them is told.
        now: the present instant.
    """
    patient = look_at(root, settings, now())
    findings = [*check_library(patient)]
    if patient.can_be_judged:
        for name, check in _OF_THE_FOLDER:
            findings += _checked(name, partial(check, patient))
    else:
        text = "not looked at, because the library is not there or not known to this version"
        findings += [Finding(name, Status.SKIPPED, text) for name, _ in _OF_THE_FOLDER]
    hosts = probe_network if ask_hosts and not settings.offline else check_network
    findings += _checked("network", partial(hosts, settings))
    return tuple(findings)


def mend(findings: Iterable[Finding]) -> tuple[Repair, ...]:
    """Do what is safe about these findings; examine again to see what it came to."""
    repairs: list[Repair] = []
    done: set[object] = set()
    for finding in findings:
        if finding.mend is None or finding.mend in done:
            continue
        done.add(finding.mend)
        try:
            repairs.append(Repair(finding.id, finding.mend()))
        except CellarError as error:
            info = ErrorInfo(error.code, error.message, error.hint)
            repairs.append(Repair(finding.id, "", info))
        except OSError as error:
            repairs.append(Repair(finding.id, "", failure(error)))
    return tuple(repairs)


def _checked(name: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a check finds; one that fails says so, and no other is kept from being made."""
    found: list[Finding] = []
    try:
        found += check()
    except CellarError as error:
        text = f"could not be checked: {naming.display(error.message)}"
        found.append(Finding(name, Status.ERROR, text, error.hint))
    except (FileNotFoundError, NotADirectoryError):
        text = "not looked at: its folder is missing (see folders)"
        found.append(Finding(name, Status.SKIPPED, text))
    except OSError as error:
        info = failure(error)
        text = f"could not be checked: {info.message}"
        found.append(Finding(name, Status.ERROR, text, info.hint))
    return found
