"""Names inside one application that do not cover each other.

Whoever asks first keeps the plain name; the next gets ``-`` and the first 8 digits of its digest
before the extension (before the number, in one of several parts), in all of its files alike. Names
are compared as Windows and macOS do, and within folders that the application takes for one.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelcellar import naming
from modelcellar.links.preset_values import Collision, Preset
from modelcellar.sources.parts import Part

__all__ = ["Claim", "Names", "with_suffix"]

DIGITS = (0, 8, 16, 64)
"""How many digits of the digest are tried one after the other."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A name that a model wants: of a file with this digest, or of a folder (``sha256`` "")."""

    folder: str
    name: str
    sha256: str = ""


class Names:
    """The names given out so far in one application.

    Args:
        preset: what names are known by, and which folders are one.
        folders: those that models may go to; no model becomes a folder of their name.
    """

    def __init__(self, preset: Preset, folders: Sequence[str]) -> None:
        self._is_stem = preset.collision is Collision.STEM
        self._spaces = _spaces(preset, folders)
        self._reserved = {key for folder in folders for key in _with_parents(folder)}
        self._taken: dict[str, str] = {}
        self._standing: set[str] = set()
        self._homes: dict[str, str] = {}

    def give(self, claims: Sequence[Claim], digest: str) -> Sequence[Claim]:
        """The claims under names that nobody else has; all of them with one suffix, or none."""
        for digits in DIGITS:
            named = [
                Claim(one.folder, with_suffix(one, digest[:digits]), one.sha256) for one in claims
            ]
            if self._are_free(named):
                break
        # The last are free, or those of another model with the same whole digest.
        self._taken |= {self._key(one): one.sha256 for one in named}
        return named

    def is_new(self, claim: Claim) -> bool:
        """Whether nothing was to stand there before; from now on something is."""
        key = self._path_key(claim)
        if key in self._standing:
            return False
        self._standing.add(key)
        self._taken.setdefault(key, claim.sha256)
        return True

    def _are_free(self, claims: Sequence[Claim]) -> bool:
        keys = [self._key(one) for one in claims]
        if len(set(keys)) < len(keys) and not self._is_stem:
            return False
        return all(self._is_free(key, one) for key, one in zip(keys, claims, strict=True))

    def _is_free(self, key: str, claim: Claim) -> bool:
        if not claim.sha256:
            return key not in self._taken and self._path_key(claim) not in self._reserved
        # Two models may hold one file: a projector beside each of several quantizations.
        return self._taken.get(key, claim.sha256) == claim.sha256

    def _key(self, claim: Claim) -> str:
        if not self._is_stem:
            return self._path_key(claim)
        space, _ = self._space(claim.folder)
        stem = posixpath.splitext(claim.name)[0] if claim.sha256 else claim.name
        # Two slashes, so that it is no path.
        return naming.caseless(f"{space or claim.folder}//{stem}")

    def _path_key(self, claim: Claim) -> str:
        home = self._homes.get(claim.folder)
        if home is None:
            home = _caseless_path("/".join(self._space(claim.folder)))
            self._homes[claim.folder] = home
        return f"{home}/{naming.caseless(claim.name)}"

    def _space(self, folder: str) -> tuple[str, str]:
        """The folder that stands for all that are one with ``folder``, and the way in it."""
        for place, space in self._spaces.items():
            if folder == place or folder.startswith(f"{place}/"):
                return space, folder[len(place) :]
        return "", folder


def with_suffix(claim: Claim, suffix: str) -> str:
    """The name of a claim with ``-`` and ``suffix`` in it, not longer than a name may be."""
    if not suffix:
        return claim.name
    part = Part.of(claim.name) if claim.sha256 else None
    if part is not None:
        stem, end = part.stem, claim.name[len(part.stem) :]
    else:
        stem, end = posixpath.splitext(claim.name) if claim.sha256 else (claim.name, "")
    room = naming.MAX_PART_BYTES - len(f"-{suffix}{end}".encode("utf-8", "surrogateescape"))
    raw = stem.encode("utf-8", "surrogateescape")
    if len(raw) > room:
        stem = raw[:room].decode("utf-8", "ignore")
    return f"{stem}-{suffix}{end}"


def _spaces(preset: Preset, folders: Sequence[str]) -> Mapping[str, str]:
    """Folder -> the one that stands for all that are one with it; the deepest first."""
    spaces = {folder: group[0] for group in preset.shared for folder in group}
    if preset.collision is Collision.STEM:
        for folder in sorted(folders):
            if not any(folder.startswith(f"{other}/") for other in spaces):
                spaces.setdefault(folder, folder)
    return dict(sorted(spaces.items(), key=lambda pair: -len(pair[0])))


def _with_parents(folder: str) -> Iterator[str]:
    parts = folder.split("/")
    for end in range(1, len(parts) + 1):
        home, _, name = _caseless_path("/".join(parts[:end])).rpartition("/")
        yield f"{home or '.'}/{name}"


def _caseless_path(path: str) -> str:
    return naming.caseless(posixpath.normpath(path.lstrip("/")))
