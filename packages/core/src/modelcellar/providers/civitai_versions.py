"""The files of a version on Civitai: which are meant, what they are called, how large they are.

A version has files that replace each other (pruned or whole, in several precisions), of which one
is its primary file, and files that go along with each (VAE, config).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelcellar import naming
from modelcellar.answers.reading import dict_in, dicts_in
from modelcellar.errors import NotPublishedError
from modelcellar.records import JsonValue

__all__ = ["VersionFile", "chosen", "files_in", "own_name"]

_ALONG = frozenset({"vae", "config"})
"""Types of files that belong to whichever of the others is taken."""
_FILTERS = ("type", "format", "size", "fp")
EXACT_BYTES = 1 << 53


@dataclass(frozen=True, slots=True)
class VersionFile:
    """One file of an answer, and what it may be chosen by, in small letters."""

    entry: Mapping[str, JsonValue]
    number: int
    name: str
    kinds: Mapping[str, str]

    @property
    def sha256(self) -> str | None:
        """The published SHA-256, if it is one."""
        digest = str(dict_in(self.entry.get("hashes")).get("SHA256")).lower()
        return digest if naming.is_digest(digest) else None

    @property
    def size_bytes(self) -> int | None:
        """The size, where Civitai tells it whole: in units of 1024 bytes, with all fractions.

        Dividing by 1024 loses nothing, so an exact size comes back as a whole number of bytes; one
        that was rounded, as some of old files are, hardly ever does. A size that is wrong would
        refuse the right file, so anything else counts as not told.
        """
        size_kb = self.entry.get("sizeKB")
        if not isinstance(size_kb, int | float):
            return None
        size = size_kb * 1024
        return int(size) if 0 < size < EXACT_BYTES and size == int(size) else None

    @property
    def is_primary(self) -> bool:
        return self.entry.get("primary") is True


def files_in(version: Mapping[str, JsonValue]) -> Iterator[VersionFile]:
    """The files of an answer that have a name and a number."""
    for entry in dicts_in(version.get("files")):
        name, number = entry.get("name"), entry.get("id")
        if isinstance(name, str) and name and type(number) is int:
            known = {**dict_in(entry.get("metadata")), "type": entry.get("type")}
            kinds = {key: str(known.get(key) or "").lower() for key in _FILTERS}
            yield VersionFile(entry, number, name, {**kinds, "fileid": f"{number}"})


def chosen(
    files: Sequence[VersionFile], title: str, file_id: int | None, filters: Mapping[str, str]
) -> tuple[list[VersionFile], list[VersionFile]]:
    """The files that are meant, the weights first, and the others.

    Raises:
        NotPublishedError: there is none, or none that the filters of a download link fit.
    """
    if not files:
        raise NotPublishedError(
            f"{title} has no files on Civitai", "Look at its page in a browser."
        )
    wanted = {key.lower(): value.lower() for key, value in filters.items()}
    if file_id is not None:
        wanted["fileid"] = f"{file_id}"
    if wanted:
        fitting = [one for one in files if all(one.kinds.get(key) == wanted[key] for key in wanted)]
        if not fitting:
            shown = "&".join(f"{key}={value}" for key, value in wanted.items())
            raise NotPublishedError(
                f"{title} has no file with {naming.display(shown[:200])}",
                f"It has {', '.join(naming.display(one.name[:100]) for one in files[:5])}.",
            )
        # As Civitai does: of several that fit one is given, the primary one rather.
        best = sorted(fitting, key=lambda one: not one.is_primary)[:1]
    else:
        weights = [one for one in files if one.kinds["type"] not in _ALONG] or list(files)
        best = sorted(
            weights, key=lambda one: (not one.is_primary, "model" not in one.kinds["type"])
        )[:1]
        best += [one for one in files if one.kinds["type"] in _ALONG and one not in best]
    return best, [one for one in files if one not in best]


def own_name(file: VersionFile, taken: set[str]) -> str:
    """A name that is good everywhere and that no other file of the version has."""
    name = file.name
    if "/" in name or naming.relative_path_problems(name):
        name = naming.portable_name(name)
    if naming.caseless(name) in taken:
        stem, dot, extension = name.rpartition(".")
        name = f"{stem or extension}-{file.number}{dot if stem else ''}{extension if stem else ''}"
    return name
