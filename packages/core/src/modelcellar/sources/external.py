"""External data: files that hold the weights of an ONNX or TensorFlow.js file beside them.

Without all of them the file is no model, so it is refused then. What it claims is not believed
either: a claimed file must be nothing by itself, lie in the same folder or one below that holds
nothing else, and be as long as the tensors say that are in it.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from modelcellar import naming
from modelcellar.formats import parse_json
from modelcellar.formats.cursor import Cursor, FormatError
from modelcellar.formats.onnx import needed_files
from modelcellar.formats.tfjs import MAX_BYTES as MAX_TFJS_BYTES
from modelcellar.records import FileFormat, Inspection, Security
from modelcellar.sources.companions import ENDINGS
from modelcellar.sources.litter import is_inside, is_litter
from modelcellar.sources.parts import in_short
from modelcellar.sources.source import NotTaken, SourceFile, Stamp, look, may_be_model, refused

__all__ = ["Needs", "Trouble", "external_data", "needs_of", "refuse"]

MAX_PART_BYTES = 255
MAX_ZERO_BYTES = 1 << 20
"""One of several data files may be a tensor of zeros; a bigger one was never filled."""
FOREIGN_ENDINGS = (
    *(ending for ending in ENDINGS if ending.count(".") == 1),
    *(".avi", ".avif", ".bmp", ".doc", ".docx", ".flac", ".gz", ".htm", ".html", ".ico"),
    *(".jxl", ".mkv", ".mov", ".mp3", ".ogg", ".pdf", ".py", ".rar", ".sqlite"),
    *(".tar", ".tif", ".tiff", ".toml", ".wav", ".webm", ".xml", ".xz", ".zip", ".zst", ".7z"),
)
TEXTS = frozenset({"html", "json", "python", "text"})
WEAK_MAGIC = b"\xff\x0a"
"""Begins some pictures, and one in 65,536 files of anything."""
GUESSED_FORMATS = frozenset(
    {FileFormat.COREML, FileFormat.CTRANSLATE2, FileFormat.GGML, FileFormat.ONNX}
    | {FileFormat.TORCH_LEGACY, FileFormat.UNKNOWN}
)
"""Formats whose first bytes any data can have; a broken file of one may as well be plain data."""
MODEL_MARKERS = frozenset({"adapter_config.json", "config.json", "model_index.json"})
_REMEDIES = {
    "incomplete": "Get the missing data, put it beside the file, and import again.",
    "too_large": "Import its folder with --as-one.",
    "unsafe_data": "Get it with its data from where it was published, into a folder of its own.",
}
_Reader = Callable[[Cursor], dict[str, int] | None]
_DATA = Inspection(FileFormat.UNKNOWN, security=Security("not_checked"))


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why external data cannot be taken: a stable code and a clause for people."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Needs:
    """The files that a file says its weights are in.

    ``files`` has the relative name of each and how many bytes it must have; ``trouble`` is set
    where the list itself cannot be followed.
    """

    files: Mapping[str, int] = field(default_factory=dict)
    trouble: Trouble | None = None


def needs_of(file: SourceFile) -> Needs:
    """What a file needs beside it.

    Raises:
        OSError: it cannot be read.
    """
    if file.inspection.refusal is not None:
        return Needs()
    if file.inspection.format is FileFormat.ONNX and _may_be_external(file):
        return _needs_of(file.path, file.stamp, needed_files)
    if file.inspection.format is FileFormat.TFJS:
        return _needs_of(file.path, file.stamp, _listed_by_tfjs)
    return Needs()


@lru_cache(maxsize=256)
def _needs_of(path: Path, stamp: Stamp, read: _Reader) -> Needs:
    with path.open("rb") as file:
        try:
            needed = read(Cursor(file, stamp.size_bytes))
        except FormatError:
            needed = None
    if needed is None:
        text = "has more tensors than can be looked at, so what it needs cannot be told"
        return Needs(trouble=Trouble("too_large", text))
    files: dict[str, int] = {}
    for location, size_bytes in needed.items():
        relative, reason = _relative(location)
        if reason is not None:
            return Needs(trouble=Trouble("unsafe_data", reason))
        files[relative] = max(size_bytes, files.get(relative, 0))
    return Needs(files)


def external_data(
    needs: Needs, folder: Path, beside: Mapping[str, SourceFile], exclude: Path | None
) -> list[SourceFile] | Trouble:
    """The files that are needed, or why they are not to be had.

    Args:
        needs: what is needed.
        folder: where the file lies that needs it.
        beside: the files there by name.
        exclude: the library, of which nothing is taken.

    Raises:
        OSError: a file cannot be read.
    """
    if needs.trouble is not None:
        return needs.trouble
    found: dict[str, SourceFile] = {}
    for name in needs.files:
        below = "/" in name and _is_within(folder, name, exclude)
        file = look(folder / name, name) if below else beside.get(name)
        if file is not None:
            found[name] = file
    missing = [name for name in needs.files if name not in found]
    if missing:
        verb = "which is" if len(missing) == 1 else "which are"
        return Trouble("incomplete", f"needs {in_short(missing)}, {verb} not there")
    for name, file in found.items():
        trouble = _judge(file, needs.files[name], is_one_of_many=len(found) > 1)
        if trouble is not None:
            return trouble
    if all(_is_zero(file) for file in found.values()) and found:
        return Trouble("incomplete", "has data files of nothing but zeros")
    for parent in sorted({Path(name).parent for name in found} - {Path()}):
        if other := _stranger(folder / parent, folder, found):
            where = naming.display(f"{parent.as_posix()}/{other}")
            return Trouble("unsafe_data", f"has its data in a folder with {where}, which is not")
    return [replace(file, inspection=_DATA) for file in found.values()]


def refuse(path: Path, file: SourceFile, trouble: Trouble) -> NotTaken:
    """That the model at ``path`` cannot come in for what ``file`` in it needs."""
    reason = f"{naming.display(file.relative)} {trouble.reason}"
    return refused(path, trouble.code, reason, _REMEDIES[trouble.code])


def _may_be_external(file: SourceFile) -> bool:
    """Whether it must be read once more; most ONNX files hold all of their weights."""
    facts = file.inspection.facts
    has_none = facts.get("external_tensor_count") == 0
    return not has_none or bool(facts.get("external_data") or facts.get("external_data_outside"))


def _listed_by_tfjs(cursor: Cursor) -> dict[str, int] | None:
    if cursor.size_bytes > MAX_TFJS_BYTES:
        return None
    try:
        groups = parse_json(cursor.take(cursor.size_bytes))["weightsManifest"]
        return {name: 1 for group in groups for name in group["paths"] if isinstance(name, str)}
    except (ValueError, KeyError, TypeError):
        return None


def _relative(location: str) -> tuple[str, str | None]:
    """A location as a name below the folder, or why it is none."""
    parts = [part for part in location.split("/") if part not in ("", ".")]
    shown = naming.display(location[:80]) + ("..." if len(location) > 80 else "")
    reason = None
    if not parts or "\0" in location:
        reason = f"says its data is in '{shown}', which is not the name of a file"
    elif location.startswith("/") or ".." in parts:
        reason = f"says its data is in '{shown}', outside of its folder"
    elif any(len(os.fsencode(part)) > MAX_PART_BYTES for part in parts):
        reason = f"says its data is in '{shown}', a name longer than {MAX_PART_BYTES} bytes"
    elif any(part.startswith(".") for part in parts):
        reason = f"says its data is in '{shown}', a hidden file"
    return "/".join(parts), reason


def _is_within(folder: Path, name: str, exclude: Path | None) -> bool:
    """Whether there is such a file in a folder below, no link leading elsewhere on the way."""
    path = folder / name
    is_below = path.parent.resolve().is_relative_to(folder.resolve())
    return is_below and path.is_file() and not is_inside(path, exclude)


def _judge(file: SourceFile, least_bytes: int, *, is_one_of_many: bool) -> Trouble | None:
    """Why a file cannot be the data of another."""
    shown, inspection = naming.display(file.relative), file.inspection
    size_bytes = file.stamp.size_bytes
    kind = inspection.facts.get("kind")
    code = None if inspection.refusal is None else inspection.refusal.code
    is_foreign = file.relative.lower().endswith(FOREIGN_ENDINGS)
    if kind in TEXTS or is_foreign or (kind is not None and not _is_chance(file.path)):
        return Trouble("unsafe_data", f"says its data is in {shown}, which is {kind or 'not data'}")
    is_sound = code is None and inspection.format is not FileFormat.UNKNOWN
    if is_sound or inspection.format not in GUESSED_FORMATS:
        model = f"a {inspection.format.value} file of its own"
        return Trouble("unsafe_data", f"says its data is in {shown}, which is {model}")
    if size_bytes < least_bytes:
        size = f"{size_bytes:,} bytes of the {least_bytes:,} or more that it must have"
        return Trouble("incomplete", f"needs {shown}, which has {size}")
    if code == "all_zero" and not (is_one_of_many and size_bytes <= MAX_ZERO_BYTES):
        return Trouble("incomplete", f"needs {shown}, which is all zeros: it was never filled")
    return None


def _is_chance(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(WEAK_MAGIC)) == WEAK_MAGIC


def _is_zero(file: SourceFile) -> bool:
    refusal = file.inspection.refusal
    return refusal is not None and refusal.code == "all_zero"


def _stranger(below: Path, folder: Path, found: Iterable[str]) -> str | None:
    """Something in a folder of data that belongs to another model."""
    own = {folder / name for name in found}
    for path in sorted(below.iterdir()):
        if path in own or is_litter(path.name) or not path.is_file():
            continue
        if path.name in MODEL_MARKERS or may_be_model(look(path, path.name)):
            return path.name
    return None
