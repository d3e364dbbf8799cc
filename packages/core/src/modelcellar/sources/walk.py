"""What in the given paths is a model: one file, or a folder whose files belong together.

A folder is one model when it says so itself: a ``model_index.json`` with weights anywhere below, or
the ``config.json`` or ``adapter_config.json`` of a model right beside weights, as in Hugging Face
repositories.
Otherwise each model file in it is a model, and files that are no models are left alone.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelcellar import naming
from modelcellar.failures import failure
from modelcellar.formats import inspect_file
from modelcellar.records import ErrorInfo, FileFormat, Inspection

__all__ = ["NotTaken", "Source", "SourceFile", "find_sources"]

PIPELINE_MARKER = "model_index.json"
WEIGHTS_MARKERS = frozenset({"config.json", "adapter_config.json"})
MODEL_CONFIG_KEYS = frozenset(
    {"architectures", "auto_map", "base_model_name_or_path", "model_type", "peft_type"}
    | {"_class_name", "_diffusers_version", "transformers_version"}
)
"""Keys of the ``config.json`` that transformers, diffusers and PEFT write."""
MAX_CONFIG_BYTES = 4 << 20
WHOLE_FOLDER_FORMATS = frozenset(
    {FileFormat.SAFETENSORS, FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY}
)
"""Weights that make a folder with a ``config.json`` one model. GGUF files beside one are not meant:
each of them is a whole model in another quantisation."""
IGNORED_FOLDERS = frozenset({".git", ".cache", "__pycache__", "node_modules"})
IGNORED_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".gitattributes"})
UNFINISHED = (".part", ".partial", ".incomplete", ".crdownload", ".tmp", ".aria2", ".lock")
WEIGHT_ENDINGS = [
    ".bin",
    ".ckpt",
    ".engine",
    ".ggml",
    ".ggmf",
    ".gguf",
    ".h5",
    ".mlmodel",
    ".npy",
    ".npz",
    ".onnx",
    ".pb",
    ".pdparams",
    ".pkl",
    ".pt",
    ".pth",
    ".safetensors",
    ".sft",
    ".task",
    ".tflite",
]
"""Endings that make an unrecognised file in a folder worth keeping. They never say what it is."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is still the one that was looked at. Times are nanoseconds.

    ``mode`` holds the permission bits.
    """

    device: int
    inode: int
    mode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    def is_same_content(self, other: "Stamp") -> bool:
        """Whether both are of one file with the same content, names and permissions apart."""
        return replace(self, mode=0, ctime_ns=0) == replace(other, mode=0, ctime_ns=0)

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The stamp of the file at ``path``, links followed."""
        found = path.stat()
        return cls(
            device=found.st_dev,
            inode=found.st_ino,
            mode=stat.S_IMODE(found.st_mode),
            size_bytes=found.st_size,
            mtime_ns=found.st_mtime_ns,
            ctime_ns=found.st_ctime_ns,
        )


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source: where it lies, its name inside the model, and what it is."""

    path: Path
    relative: str
    stamp: Stamp
    inspection: Inspection


@dataclass(frozen=True, slots=True)
class Source:
    """What becomes one model."""

    path: Path
    name: str
    files: tuple[SourceFile, ...]
    behind_link: bool = False
    """Met by following a link in the folder the user named: not a part of that folder."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.stamp.size_bytes for file in self.files)

    @property
    def format(self) -> FileFormat:
        """The format of the biggest recognised file, which stands for the model."""
        return self._lead.format

    @property
    def summary(self) -> str:
        """What the model is, in one short line for people."""
        if len(self.files) == 1:
            return self._lead.summary
        return f"{len(self.files)} files; {self._lead.summary}".removesuffix("; ")

    @property
    def _lead(self) -> Inspection:
        known = [file for file in self.files if file.inspection.format is not FileFormat.UNKNOWN]
        return max(known or self.files, key=lambda file: file.stamp.size_bytes).inspection


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A path that does not become a model. ``kind`` is ``skipped``, ``refused`` or ``failed``."""

    path: Path
    kind: str
    error: ErrorInfo


def find_sources(
    paths: Sequence[Path], *, as_one: bool = False, exclude: Path | None = None
) -> Iterator[Source | NotTaken]:
    """Walk files and folders in a stable order and say what each becomes.

    Args:
        paths: files and folders as the user named them; links are followed.
        as_one: each folder in ``paths`` is one model, whatever it holds.
        exclude: the library itself, which is never imported into itself.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            mode = path.stat().st_mode
            if _is_inside(path, exclude):
                yield _refused(
                    path, "inside_library", "it is in the library already", "Name other files."
                )
            elif stat.S_ISDIR(mode) and as_one:
                yield _whole_folder(path, exclude)
            elif stat.S_ISDIR(mode):
                yield from _walk(path, exclude, seen)
            else:
                yield _named_file(path)
        except OSError as error:
            yield _failed(path, error)


def _walk(
    root: Path, exclude: Path | None, seen: set[tuple[int, int]]
) -> Iterator[Source | NotTaken]:
    """Everything below a folder in the order of names, however deep it is."""
    waiting = [(root, False)]
    while waiting:
        path, behind_link = waiting.pop()
        try:
            if not path.is_dir():
                item = _found_file(path)
            elif (names := _names_in(path, exclude, seen)) is None:
                continue
            elif _is_model_folder(path, names):
                item = _whole_folder(path, exclude)
            else:
                waiting += [
                    (path / name, behind_link or (path / name).is_symlink())
                    for name in sorted(names, reverse=True)
                ]
                continue
        except OSError as error:
            item = _failed(path, error)
        yield replace(item, behind_link=behind_link) if isinstance(item, Source) else item


def _names_in(
    folder: Path, exclude: Path | None, seen: set[tuple[int, int]]
) -> frozenset[str] | None:
    """The names in a folder worth looking at; ``None`` for one seen before or in the library."""
    found = folder.stat()
    if (found.st_dev, found.st_ino) in seen or _is_inside(folder, exclude):
        return None
    seen.add((found.st_dev, found.st_ino))
    names = frozenset(os.listdir(folder))  # noqa: PTH208 - names are what is wanted
    if {"blobs", "snapshots"} <= names:
        # The Hugging Face cache: each snapshot links to blobs, which would be found twice.
        return frozenset({"snapshots"})
    return frozenset(
        name
        for name in names
        if not _is_litter(name) and not (name in IGNORED_FOLDERS and (folder / name).is_dir())
    )


def _is_model_folder(folder: Path, names: frozenset[str]) -> bool:
    if PIPELINE_MARKER in names:
        below = (Path(parent, name) for parent, _, found in os.walk(folder) for name in found)
        return any(_format_at(path) is not FileFormat.UNKNOWN for path in below)
    if not any(_describes_model(folder / name) for name in names & WEIGHTS_MARKERS):
        return False
    return any(_format_at(folder / name) in WHOLE_FOLDER_FORMATS for name in sorted(names))


def _describes_model(path: Path) -> bool:
    """Whether a ``config.json`` is that of a model: many programs have one of that name."""
    if not path.is_file():  # opening a named pipe would wait for a writer
        return False
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and not MODEL_CONFIG_KEYS.isdisjoint(document)


def _format_at(path: Path) -> FileFormat:
    """What a file is. One that cannot be read is told of when it is taken, not here."""
    try:
        return inspect_file(path).format if path.is_file() else FileFormat.UNKNOWN
    except OSError:
        return FileFormat.UNKNOWN


def _found_file(path: Path) -> Source | NotTaken:
    """A file met while walking: only a model is taken."""
    if path.name.endswith(UNFINISHED):
        return _skipped(path, "unfinished", "an unfinished download")
    if not path.is_file() and path.exists():
        return _skipped(path, "not_a_file", "not a regular file")
    file = _look(path, path.name)
    if file.inspection.refusal is None and not _is_weights(file):
        kind = file.inspection.facts.get("kind")
        if kind is not None or not path.name.lower().endswith(tuple(WEIGHT_ENDINGS)):
            return _skipped(path, "not_a_model", f"not a model ({kind or 'unknown content'})")
    if file.inspection.refusal is not None and _is_other_empty(file):
        return _skipped(path, "not_a_model", "an empty file")
    return _one_file(file)


def _named_file(path: Path) -> Source | NotTaken:
    """A file the user named: taken unless it is plainly something else."""
    if not path.is_file():
        return _refused(path, "not_a_file", "not a regular file", "Give model files or folders.")
    file = _look(path, path.name)
    kind = file.inspection.facts.get("kind")
    if file.inspection.refusal is None and kind is not None:
        remedy = "Unpack it first." if kind == "archive" else "Give model files or folders."
        return _refused(path, "not_a_model", f"not a model but {kind}", remedy)
    return _one_file(file)


def _one_file(file: SourceFile) -> Source | NotTaken:
    if (refusal := file.inspection.refusal) is not None:
        return _refused(file.path, refusal.code, refusal.reason, refusal.remedy)
    return Source(file.path, Path(file.relative).stem, (file,))


def _whole_folder(folder: Path, exclude: Path | None) -> Source | NotTaken:
    files = []
    seen = set()
    for parent, subfolders, names in os.walk(folder, followlinks=True, onerror=_raise):
        subfolders[:] = sorted(name for name in subfolders if name not in IGNORED_FOLDERS)
        if _is_inside(Path(parent), exclude):
            return _refused(
                folder, "inside_library", "a part of it is in the library", "Name other folders."
            )
        found = Path(parent).stat()
        if (found.st_dev, found.st_ino) in seen:
            return _refused(folder, "link_loop", "a link in it leads back into it", "Remove it.")
        seen.add((found.st_dev, found.st_ino))
        for name in sorted(names):
            path = Path(parent, name)
            if _is_litter(name):
                continue
            if path.exists() and not path.is_file():
                text = f"'{naming.display(name)}' in it is not a regular file"
                return _refused(folder, "not_a_file", text, "Remove it from the folder.")
            files.append(_look(path, path.relative_to(folder).as_posix()))
    for file in files:
        refusal = file.inspection.refusal
        if refusal is not None and refusal.code != "empty":
            where = f"{naming.display(file.relative)}: {refusal.reason}"
            return _refused(folder, refusal.code, where, refusal.remedy)
    if not files:
        return _refused(folder, "empty", "the folder holds no files", "Give a folder of models.")
    return Source(folder, _folder_name(folder), tuple(files))


def _look(path: Path, relative: str) -> SourceFile:
    return SourceFile(path, relative, Stamp.of(path), inspect_file(path))


def _is_weights(file: SourceFile) -> bool:
    return file.inspection.format is not FileFormat.UNKNOWN


def _is_other_empty(file: SourceFile) -> bool:
    return file.stamp.size_bytes == 0 and not file.path.name.lower().endswith(tuple(WEIGHT_ENDINGS))


def _is_litter(name: str) -> bool:
    return name in IGNORED_FILES or name.startswith("._")


def _is_inside(path: Path, library: Path | None) -> bool:
    """Whether a path lies in the library, other than in its trash or in content without manifest.

    From those two a model may be taken in again.
    """
    if library is None:
        return False
    resolved, root = path.resolve(), library.resolve()
    if not resolved.is_relative_to(root):
        return False
    folder, *below = resolved.relative_to(root).parts or ("",)
    if folder == "models" and below:
        return (root / "manifests" / f"{below[0]}.json").exists()
    return folder != "trash"


def _folder_name(folder: Path) -> str:
    """The folder's name; for a snapshot in the Hugging Face cache, the repository's."""
    resolved = folder.resolve() if folder.name in {"", ".."} else folder.absolute()
    repository = resolved.parent.parent.name
    if resolved.parent.name == "snapshots" and re.fullmatch(r"models--.+", repository):
        return repository.split("--")[-1]
    return resolved.name or "model"


def _raise(error: OSError) -> None:
    raise error


def _skipped(path: Path, code: str, reason: str) -> NotTaken:
    return NotTaken(path, "skipped", ErrorInfo(code, reason))


def _refused(path: Path, code: str, reason: str, remedy: str) -> NotTaken:
    return NotTaken(path, "refused", ErrorInfo(code, reason, remedy))


def _failed(path: Path, error: OSError) -> NotTaken:
    return NotTaken(path, "failed", failure(error))
