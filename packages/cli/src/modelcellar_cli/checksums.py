r"""Checksum lists: BSD tag lines, the plain lines of sha256sum and b3sum, and our own JSON.

A line whose name holds a backslash or a line break begins with ``\`` and has these characters
escaped (GNU coreutils manual, "md5sum invocation").
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelcellar.records import Digests

__all__ = ["Listed", "escape_name", "parse_list", "tag_lines"]

_TAG = re.compile(r"(\\?)(BLAKE3|SHA256) \((.*)\) = ([0-9a-fA-F]{64})", re.DOTALL)
_PLAIN = re.compile(r"(\\?)([0-9a-fA-F]{64}) [ *](.+)", re.DOTALL)
_HEX = re.compile("[0-9a-f]{64}")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a checksum list; ``wanted`` are pairs of algorithm (or ``""``) and digest."""

    path: str
    wanted: tuple[tuple[str, str], ...]

    def fits(self, digests: "Digests") -> bool:
        """Whether every digest of the list is the file's; one without a name may be either."""
        found = {"BLAKE3": {digests.blake3}, "SHA256": {digests.sha256}}
        either = {digests.blake3, digests.sha256}
        return all(digest in found.get(algorithm, either) for algorithm, digest in self.wanted)


def escape_name(path: str) -> str:
    """The name on one line; where it differs from the name, the line begins with a backslash."""
    return "".join(_ESCAPES.get(char, char) for char in path)


def tag_lines(path: str, digests: "Digests") -> Iterator[str]:
    """Both digests of a file as BSD tag lines."""
    name = escape_name(path)
    mark = "" if name == path else "\\"
    yield f"{mark}BLAKE3 ({name}) = {digests.blake3}"
    yield f"{mark}SHA256 ({name}) = {digests.sha256}"


def parse_list(data: bytes) -> tuple[tuple[Listed, ...], int]:
    """The files of a list in its order, each once, and how many lines could not be understood."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    found = _json_entries(data) if data.lstrip()[:1] == b"{" else _line_entries(data)
    by_path: dict[str, list[tuple[str, str]]] = {}
    not_understood = 0
    for entry in found:
        # No file has a NUL in its name.
        if entry is None or "\0" in entry[0]:
            not_understood += 1
        else:
            path, algorithm, digest = entry
            by_path.setdefault(path, []).append((algorithm, digest.lower()))
    listed = tuple(Listed(path, tuple(wanted)) for path, wanted in by_path.items())
    return listed, not_understood


def _line_entries(data: bytes) -> Iterator[tuple[str, str, str] | None]:
    for raw in data.split(b"\n"):
        line = os.fsdecode(raw).removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            continue
        if match := _TAG.fullmatch(line):
            mark, algorithm, name, digest = match.groups()
        elif match := _PLAIN.fullmatch(line):
            mark, digest, name = match.groups()
            algorithm = ""
        else:
            yield None
            continue
        path = _unescape(name) if mark else name
        yield (path, algorithm, digest) if path else None


def _unescape(name: str) -> str | None:
    parts = re.findall(r"\\.?|[^\\]", name, re.DOTALL)
    if any(part.startswith("\\") and part not in _UNESCAPES for part in parts):
        return None
    return "".join(_UNESCAPES.get(part, part) for part in parts)


def _json_entries(data: bytes) -> Iterator[tuple[str, str, str] | None]:
    from modelcellar.naming import from_json_path

    try:
        files = json.loads(data)["files"]
    except (ValueError, KeyError, TypeError, RecursionError):
        yield None
        return
    for file in files if isinstance(files, list) else [{}]:
        try:
            path = from_json_path(file)
            pairs = [("BLAKE3", file["blake3"]), ("SHA256", file["sha256"])]
        except (ValueError, KeyError, TypeError, AttributeError):
            yield None
            continue
        for algorithm, digest in pairs:
            good = isinstance(digest, str) and _HEX.fullmatch(digest) is not None
            yield (path, algorithm, digest) if good else None
