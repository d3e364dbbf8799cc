"""A library as its folders show it, read once for all checks. Nothing in here opens or changes it.

Every part may be missing, garbled or not allowed; that is kept beside what could be read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from modelcellar import manifest as manifests
from modelcellar import naming
from modelcellar.config import Settings
from modelcellar.errors import CellarError, LibraryMovedError, NewerLibraryError
from modelcellar.layout import read_library_id
from modelcellar.manifest import Manifest

__all__ = ["Paper", "Patient", "digest_of", "look_at"]


@dataclass(frozen=True, slots=True)
class Paper:
    """A manifest that could be read, and a digest of its file's bytes."""

    manifest: Manifest
    digest: bytes


@dataclass(frozen=True, slots=True)
class Patient:
    """One library. ``error`` is why ``library.json`` does not tell its id.

    ``unreadable`` are manifests by model id, with the reason; ``strange`` are other names in their
    folder.
    """

    root: Path
    settings: Settings
    now: datetime
    library_id: str | None = None
    error: CellarError | OSError | None = None
    papers: Mapping[str, Paper] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    strange: tuple[str, ...] = ()

    @property
    def has_folders(self) -> bool:
        """Whether this looks like a library, with ``library.json`` or without."""
        return all((self.root / name).is_dir() for name in ("models", "manifests"))

    @property
    def can_be_judged(self) -> bool:
        """Whether this is a library of a kind we know, even one that lost its ``library.json``."""
        if isinstance(self.error, NewerLibraryError | LibraryMovedError):
            return False
        return self.library_id is not None or self.has_folders


def look_at(root: Path, settings: Settings, now: datetime) -> Patient:
    """Read what there is; never raises for what is wrong with it."""
    library_id, error = None, None
    try:
        library_id = read_library_id(root)
    except (CellarError, OSError) as problem:
        error = problem
    papers: dict[str, Paper] = {}
    unreadable: dict[str, str] = {}
    strange = []
    for name in _names(root / "manifests"):
        model_id = name.removesuffix(".json")
        if model_id == name or not naming.is_model_id(model_id):
            strange.append(name)
            continue
        try:
            papers[model_id] = _read(root / "manifests" / name, model_id)
        except CellarError as problem:
            unreadable[model_id] = problem.message
        except OSError as problem:
            unreadable[model_id] = problem.strerror or str(problem)
    return Patient(root, settings, now, library_id, error, papers, unreadable, tuple(strange))


def digest_of(data: bytes) -> bytes:
    """What tells two versions of a manifest apart, without keeping either in memory."""
    return hashlib.blake2b(data, digest_size=16).digest()


def _read(path: Path, model_id: str) -> Paper:
    data = path.read_bytes()
    manifest = manifests.decode(data, str(path))
    if manifest.id != model_id:
        raise CellarError(f"it is the manifest of {manifest.id}")
    return Paper(manifest, digest_of(data))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:  # the check of the folders says so
        return []
