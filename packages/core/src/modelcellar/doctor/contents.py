"""Checks of manifests and of the files that they name. Digests are for ``cellar verify``."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from modelcellar import naming
from modelcellar.doctor.findings import Finding, Status, counted, named
from modelcellar.doctor.patient import Patient
from modelcellar.io.mounts import mount_of
from modelcellar.io.trees import chmod
from modelcellar.manifest import Manifest, is_writable
from modelcellar.store import Store

__all__ = ["check_content", "check_manifests", "check_modes", "check_unlisted"]

FILE_MODE, FOLDER_MODE = 0o444, 0o555
_WITHOUT_MODES = ("vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk")


def check_manifests(patient: Patient) -> Iterator[Finding]:
    """Can every manifest be read, and changed by this version?"""
    newer = [one for one, paper in patient.papers.items() if not is_writable(paper.manifest)]
    if patient.unreadable:
        shown = [naming.display(f"{one}: {why}") for one, why in patient.unreadable.items()]
        text = (
            f"{counted(len(shown), 'manifest')} cannot be read: {named(list(patient.unreadable))}"
        )
        models = naming.display(str(patient.root / "models"))
        fix = (
            "Restore them from a backup, or move them out of manifests/ and take the models in "
            f"again: cellar import {models}/ID"
        )
        yield Finding("manifests", Status.ERROR, text, fix, tuple(shown))
    if newer:
        text = f"{counted(len(newer), 'manifest')} of a newer version, only read here"
        fix = "Update modelcellar to change these models."
        yield Finding("manifests", Status.WARNING, text, fix, tuple(newer))
    if patient.strange:
        shown = list(map(naming.display, patient.strange))
        text = f"no manifests, but in their folder: {named(shown)}"
        yield Finding("manifests", Status.WARNING, text, "Move them elsewhere.", tuple(shown))
    if not (patient.unreadable or newer or patient.strange):
        yield Finding(
            "manifests", Status.OK, f"{counted(len(patient.papers), 'manifest')} readable"
        )


def check_content(patient: Patient) -> Iterator[Finding]:
    """Is every file there in its size, and was none found damaged by a verification?"""
    wrong = [
        naming.display(f"{model_id}/{path}: {what}")
        for model_id, paper in patient.papers.items()
        for path, what in _wrong_files(patient.root, paper.manifest)
    ]
    damaged = [one for one, paper in patient.papers.items() if paper.manifest.damaged_at]
    if wrong:
        text = f"{counted(len(wrong), 'file')} missing or not what the manifest says"
        fix = "Get them again from where they are from and import them: that mends the model."
        yield Finding("content", Status.ERROR, f"{text}: {named(wrong)}", fix, tuple(wrong))
    if damaged:
        text = f"found damaged by cellar verify: {named(damaged)}"
        fix = "Import the same files again: that mends the model. Then: cellar verify ID"
        yield Finding("content", Status.ERROR, text, fix, tuple(damaged))
    if not (wrong or damaged):
        files = sum(len(paper.manifest.files) for paper in patient.papers.values())
        size_bytes = sum(f.size_bytes for p in patient.papers.values() for f in p.manifest.files)
        text = f"{counted(files, 'file')}, {size_bytes:,} bytes, all there in their sizes"
        yield Finding("content", Status.OK, text)


def check_modes(patient: Patient) -> Iterator[Finding]:
    """Are the files write-protected, so that no program changes them by mistake?"""
    mount = mount_of(patient.root)
    if os.name != "posix" or (mount is not None and mount.fs_type in _WITHOUT_MODES):
        kind = mount.fs_type if mount is not None else "this system"
        text = f"{kind} keeps no permissions: nothing here can be write-protected"
        yield Finding("modes", Status.SKIPPED, text)
        return
    wrong = list(_wrong_modes(patient))
    if not wrong:
        text = "all files that are the library's alone are write-protected"
        yield Finding("modes", Status.OK, text)
        return
    shown = tuple(naming.display(str(path.relative_to(patient.root))) for path in wrong)
    yield Finding(
        "modes",
        Status.WARNING,
        f"not write-protected as they should be: {named(shown)}",
        "Files are to be 0444 and folders 0555: --fix sets that.",
        shown,
        lambda: _protect(patient, wrong),
    )


def check_unlisted(patient: Patient) -> Iterator[Finding]:
    """What lies among the models without a manifest that names it."""
    models = patient.root / "models"
    known = patient.papers.keys() | patient.unreadable.keys()
    orphans: list[str] = []
    strange: list[str] = []
    extra: list[str] = []
    for name in sorted(path.name for path in models.iterdir()):
        if not naming.is_model_id(name):
            strange.append(naming.display(name))
        elif name not in known:
            orphans.append(name)
        elif name in patient.papers:
            extra += _extra_files(models, patient.papers[name].manifest)
    if orphans:
        text = f"{counted(len(orphans), 'model')} without a manifest: {named(orphans)}"
        fix = f"To take one in again: cellar import {naming.display(str(models))}/ID"
        yield Finding("unlisted", Status.WARNING, text, fix, tuple(orphans))
    if strange or extra:
        others = (*strange, *extra)
        text = f"among the models, and not of any: {named(others)}"
        yield Finding("unlisted", Status.WARNING, text, "Move them out of the library.", others)
    if not (orphans or strange or extra):
        yield Finding("unlisted", Status.OK, "nothing lies among the models that is not of one")


def _wrong_files(root: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    content = root / "models" / manifest.id
    for file in manifest.files:
        try:
            found = (content / file.path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            yield file.path, "missing"
            continue
        except OSError as error:
            yield file.path, error.strerror or str(error)
            continue
        if not stat.S_ISREG(found.st_mode):
            yield file.path, "not a regular file"
        elif found.st_size != file.size_bytes:
            yield file.path, f"{found.st_size:,} bytes instead of {file.size_bytes:,}"


def _wrong_modes(patient: Patient) -> Iterator[Path]:
    for model_id in patient.papers:
        content = patient.root / "models" / model_id
        for folder, _, names in os.walk(content):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                if _is_wrong(path.lstat()):
                    yield path


def _is_wrong(found: os.stat_result) -> bool:
    if stat.S_ISDIR(found.st_mode):
        return stat.S_IMODE(found.st_mode) != FOLDER_MODE
    # A link has no mode of its own, and what it leads to is not ours. A file that has another name
    # may be one of the user's that was adopted, and its permissions are those of both names.
    is_ours = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return is_ours and stat.S_IMODE(found.st_mode) != FILE_MODE


def _protect(patient: Patient, paths: list[Path]) -> str:
    # Under the lock: a removal opens the folder that it moves.
    with Store(patient.root, lock_timeout_s=patient.settings.lock_timeout_s).lock():
        for path in paths:
            if path.exists() and _is_wrong(path.lstat()):
                chmod(path, FOLDER_MODE if path.is_dir() else FILE_MODE)
    return f"write-protected {counted(len(paths), 'file or folder', 'files and folders')}"


def _extra_files(models: Path, manifest: Manifest) -> Iterator[str]:
    content = models / manifest.id
    listed = {file.path for file in manifest.files}
    for folder, _, names in os.walk(content):
        for name in names:
            path = Path(folder, name)
            if path.relative_to(content).as_posix() not in listed:
                yield naming.display(path.relative_to(models).as_posix())
