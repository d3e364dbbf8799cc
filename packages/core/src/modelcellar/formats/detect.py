"""Says what a file is by its bytes, never by its name, and why it is refused if it is."""

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO, NamedTuple

from modelcellar.formats import (
    coreml,
    ctranslate2,
    ggml,
    gguf_summary,
    kinds,
    numpy_arrays,
    onnx_summary,
    safetensors_summary,
    text,
    tfjs,
    tflite,
    torch_pickle,
    torch_zip,
    zips,
)
from modelcellar.formats.cursor import Cursor, Fault, FormatError
from modelcellar.formats.facts import clean_text
from modelcellar.formats.pickle_verdict import worst
from modelcellar.formats.reading import Reading
from modelcellar.records import (
    NO_PICKLE,
    NOT_CHECKED,
    FileFormat,
    JsonValue,
    Refusal,
    Security,
)

ZERO_PIECE_BYTES = 256 * 1024
_ZEROS = bytes(ZERO_PIECE_BYTES)


class _Probe(NamedTuple):
    format: FileFormat
    looks_like: Callable[[bytes], bool]
    read: Callable[[Cursor], Reading]


_PROBES = (
    _Probe(FileFormat.SAFETENSORS, safetensors_summary.looks_like, safetensors_summary.inspect),
    _Probe(FileFormat.GGUF, gguf_summary.looks_like, gguf_summary.inspect),
    _Probe(FileFormat.TFLITE, tflite.looks_like, tflite.inspect),
    # Which of the ZIP formats it is cannot be said of a ZIP file that cannot be listed.
    _Probe(FileFormat.UNKNOWN, torch_zip.looks_like, torch_zip.inspect),
    _Probe(FileFormat.NUMPY, numpy_arrays.looks_like, numpy_arrays.inspect),
    _Probe(FileFormat.GGML, ggml.looks_like, ggml.inspect),
    _Probe(FileFormat.CTRANSLATE2, ctranslate2.looks_like, ctranslate2.inspect),
    _Probe(FileFormat.TORCH_LEGACY, torch_pickle.looks_like, torch_pickle.inspect),
    # Last, as they have no magic numbers.
    _Probe(FileFormat.ONNX, onnx_summary.looks_like, onnx_summary.inspect),
    _Probe(FileFormat.COREML, coreml.looks_like, coreml.inspect),
)

_RUN_CODE = (torch_zip.inspect, torch_pickle.inspect)
"""Readers of formats whose pickles run on loading, also of files that are refused here."""

_REMEDIES: Mapping[Fault, str] = {
    Fault.TRUNCATED: "The download or copy stopped early. Download or copy the file again.",
    Fault.DAMAGED: "The file is damaged or was not written correctly. Download it again, and "
    "compare its SHA-256 with the published one.",
}


@dataclass(frozen=True, slots=True)
class Detected:
    """What the bytes of one file are: a reading (perhaps of nothing known), and a refusal."""

    reading: Reading
    refusal: Refusal | None = None
    also: tuple[FileFormat, ...] = ()


def detect(file: BinaryIO, size_bytes: int) -> Detected:
    """Reads an open, seekable file of ``size_bytes``; its position is left anywhere.

    Raises ``OSError`` and nothing else.
    """
    if size_bytes == 0:
        return _refused("empty", "the file is empty", "Download or copy the file again.")
    cursor = Cursor(file, size_bytes)
    head = cursor.peek(kinds.HEAD_BYTES)
    if not any(head) and _is_all_zero(file, size_bytes):
        return _refused(
            "all_zero",
            f"all {size_bytes:,} bytes of the file are zero",
            "The download reserved its space and was never filled. Download the file again.",
        )
    is_text = text.is_text(head, is_whole=len(head) == size_bytes)
    if is_text and (refused := _refused_text(head, size_bytes)) is not None:
        return refused
    if is_text and tfjs.looks_like(head) and (listing := tfjs.read(cursor)) is not None:
        return Detected(listing)
    for probe in _PROBES:
        if not is_text and probe.looks_like(head):
            found = _probed(probe, cursor)
            if found is not None:
                return _with_others(found, head, cursor, first=probe)
    return _without_mark(head, cursor)


def _without_mark(head: bytes, cursor: Cursor) -> Detected:
    """A pickle of an old protocol, which begins as anything may, or a file that is no model."""
    face = torch_pickle.inspect_unmarked(head, cursor)
    if face is not None and face.format is not FileFormat.UNKNOWN:
        return Detected(face)
    kind = kinds.kind_of(head, cursor.size_bytes)
    # What may hold files of its own, or is nothing known, was not looked into.
    is_seen = kind is not None and kind != kinds.ARCHIVE
    reading = Reading(
        FileFormat.UNKNOWN,
        kind or "",
        {"kind": kind} if kind else {},
        security=NO_PICKLE if is_seen else NOT_CHECKED,
    )
    if face is not None:
        reading = replace(reading, security=worst([face.security, reading.security]))
    return _with_others(Detected(reading), head, cursor)


def _with_others(
    found: Detected, head: bytes, cursor: Cursor, *, first: _Probe | None = None
) -> Detected:
    """Adds the other formats that a program could read the same bytes as.

    A file made to be two things is how code hides in what looks like plain weights, so what the
    other readers say about code counts as well, also where they say that they would refuse it.
    """
    if found.refusal is not None:
        return found
    reading = found.reading
    others: list[_Probe] = []
    if first is not None:
        others = [probe for probe in _PROBES if probe is not first and probe.looks_like(head)]
    if not torch_zip.looks_like(head) and zips.has_end_record(cursor):
        # A ZIP reader looks at the end first.
        others += [probe for probe in _PROBES if probe.read is torch_zip.inspect]
    faces = [_face(probe, cursor) for probe in dict.fromkeys(others)]
    if reading.format is FileFormat.TFLITE:
        # It keeps its metadata in a plain archive at the end, and that is no second face.
        faces = [face for face in faces if face is not None and not _is_plain_archive(face)]
    if first is not None and reading.format is not FileFormat.TORCH_LEGACY:
        faces.append(torch_pickle.inspect_unmarked(head, cursor))
    if kinds.is_tar(head):
        # Where torch kept its pickles first; it still looks for that before anything else.
        faces.append(Reading(FileFormat.UNKNOWN))
    told = [face for face in faces if face is not None]
    if not told:
        return found
    security = worst([reading.security, *(face.security for face in told)])
    is_known = reading.format is not FileFormat.UNKNOWN
    also = tuple(face.format for face in told) if is_known else ()
    return replace(found, reading=replace(reading, security=security), also=also)


def _face(probe: _Probe, cursor: Cursor) -> Reading | None:
    """What another reader makes of a file that is something already."""
    other = _probed(probe, cursor)
    if other is None:
        return None
    if other.refusal is None:
        return other.reading
    if probe.read not in _RUN_CODE:
        return None
    trouble = Security("unreadable", (clean_text(other.refusal.reason, 200),))
    return replace(other.reading, security=worst([trouble, other.reading.security]))


def _is_plain_archive(face: Reading) -> bool:
    is_quiet = face.security.verdict in ("no_pickle", "not_checked")
    return face.format is FileFormat.UNKNOWN and is_quiet


def _probed(probe: _Probe, cursor: Cursor) -> Detected | None:
    try:
        return Detected(probe.read(cursor))
    except FormatError as error:
        remedy = _REMEDIES.get(error.fault)
        if remedy is None:
            return None
        refusal = Refusal(error.fault.value, clean_text(error.reason), remedy)
        security = worst([NOT_CHECKED, error.security or NOT_CHECKED])
        return Detected(Reading(probe.format, security=security), refusal)


def _is_all_zero(file: BinaryIO, size_bytes: int) -> bool:
    """Looks at the whole file but for its holes.

    A file system that wrongly reports a hole (it happened on ZFS) could make a good file be
    refused, never taken for something else, and nothing is lost by that.
    """
    position = 0
    while (position := _next_data(file, position, size_bytes)) < size_bytes:
        file.seek(position)
        piece = file.read(min(size_bytes - position, ZERO_PIECE_BYTES))
        if not piece or piece != _ZEROS[: len(piece)]:
            return False
        position += len(piece)
    return True


def _next_data(file: BinaryIO, position: int, size_bytes: int) -> int:
    """Where data begins at or after ``position``; ``size_bytes`` when only a hole is left."""
    if position >= size_bytes or not hasattr(os, "SEEK_DATA"):
        return position
    try:
        return os.lseek(file.fileno(), position, os.SEEK_DATA)
    except OSError as error:
        # No descriptor, or a file system that cannot tell: all of it may be data.
        return size_bytes if error.errno == errno.ENXIO else position


def _refused_text(head: bytes, size_bytes: int) -> Detected | None:
    if (pointer := text.lfs_pointer(head, size_bytes)) is not None:
        return _refused(
            "lfs_pointer",
            f"this is not the model but a git-LFS pointer of {size_bytes:,} bytes to it; the real "
            f"file has {pointer.size_bytes:,} bytes and the SHA-256 {pointer.sha256}",
            "Run `git lfs pull` in the repository it comes from, or download the file again.",
            {"kind": "text", "lfs_sha256": pointer.sha256, "lfs_size_bytes": pointer.size_bytes},
        )
    if text.is_html(head):
        return _refused(
            "html_page",
            f"this is a saved web page of {size_bytes:,} bytes, not a model",
            "The site answered with a page, often one to sign in or to accept terms. Open the "
            "address in a browser, do what it asks, and download the file again.",
            {"kind": "html"},
        )
    if (message := text.error_message(head, size_bytes)) is not None:
        return _refused(
            "error_page",
            f"this is a saved error message of {size_bytes:,} bytes, not a model: "
            f"{clean_text(message, 200)}",
            "The site answered with an error instead of the file. Check access and address, and "
            "download the file again.",
            {"kind": "json" if head.lstrip()[:1] == b"{" else "text"},
        )
    return None


def _refused(
    code: str, reason: str, remedy: str, facts: Mapping[str, JsonValue] | None = None
) -> Detected:
    return Detected(Reading(FileFormat.UNKNOWN, "", facts or {}), Refusal(code, reason, remedy))
