"""Files by their quantisation or precision, as their names and those of their folders say it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelcellar.errors import NotPublishedError
from modelcellar.hf.names import NameParts, parse_name
from modelcellar.hf.quantisation import LABEL, PRECISION, spelled_label, spelled_precision

__all__ = ["Labelled", "labelled", "labels_of", "listed", "names_label", "projectors"]

MOST_NAMED = 20
_FLAGS = re.VERBOSE | re.IGNORECASE | re.ASCII
_IS_LABEL = re.compile(LABEL, _FLAGS)
_IS_PRECISION = re.compile(PRECISION, _FLAGS)
_SHARD = re.compile(r"-[0-9]{5,6}-of-[0-9]{5,6}(?=\.[^.]*\Z)", re.ASCII)
_UNSLOTH = "UD-"


@dataclass(frozen=True, slots=True)
class Labelled:
    """The paths that a label means; ``notes`` are for people."""

    paths: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    parts: NameParts
    label: str | None

    @property
    def is_weights(self) -> bool:
        return self.parts.extension != "" and not self.parts.is_mmproj


def labelled(paths: Sequence[str], label: str) -> Labelled:
    """The files that ``label`` means: first those of that very name, then those of that label.

    A label is the same however it is spelled (``q4_k_m``, ``F16`` and ``fp16``). ``Q4_K_M`` means
    ``UD-Q4_K_M`` only where there is no plain one. Shards come together, and a projector (mmproj)
    of the same label comes with the model, never instead of it.

    Raises:
        NotPublishedError: there are none; the hint names the labels there are.
    """
    named = [path for path in paths if label.lower() in _names(path)]
    if named:
        return Labelled(tuple(named))
    files = list(map(_file, paths))
    asked = _spelled(label)
    plain = [file for file in files if asked == file.label or _is_below(file.path, label)]
    if any(not file.parts.is_mmproj for file in plain):
        return Labelled(tuple(file.path for file in plain), tuple(_on_several(files, plain, asked)))
    like = [file for file in files if file.label and _looser(file.label) == _looser(asked)]
    if any(not file.parts.is_mmproj for file in like):
        taken = listed(dict.fromkeys(file.label or "" for file in like))
        note = f"there is no {asked}; {taken} is taken"
        return Labelled(tuple(file.path for file in like), (note, *_on_several(files, like, asked)))
    raise NotPublishedError(_nothing(label, plain), _hint(files))


def labels_of(paths: Iterable[str]) -> tuple[str, ...]:
    """The labels that the model files among ``paths`` have."""
    return _labels(map(_file, paths))


def names_label(text: str) -> bool:
    """Whether a label stands in ``text``, which may be a glob."""
    parts = parse_name(text)
    return (parts.quantisation or parts.precision) is not None


def projectors(paths: Iterable[str]) -> tuple[str, ...]:
    """The projectors among ``paths``, which language models see pictures through."""
    return tuple(
        path for path in paths if path.lower().endswith(".gguf") and parse_name(path).is_mmproj
    )


def listed(names: Iterable[str]) -> str:
    """Names in a sentence; of many the first."""
    every = list(names)
    more = len(every) - MOST_NAMED
    return ", ".join(every[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _file(path: str) -> _File:
    *folders, name = path.split("/")
    parts = parse_name(name)
    label = parts.quantisation or parts.precision
    for folder in reversed(folders):
        if label is not None:
            break
        of_folder = parse_name(folder)
        label = of_folder.quantisation or of_folder.precision
    return _File(path, parts, label)


def _labels(files: Iterable[_File]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(file.label for file in files if file.is_weights and file.label))


def _names(path: str) -> set[str]:
    """What a file can be called by: with and without its folder, shard and extension."""
    name = path.rpartition("/")[2].lower()
    whole = _SHARD.sub("", name)
    return {path.lower(), name, whole, whole.rpartition(".")[0]}


def _is_below(path: str, label: str) -> bool:
    return label.lower() in path.lower().split("/")[:-1]


def _spelled(label: str) -> str:
    if _IS_LABEL.fullmatch(label):
        return spelled_label(label)
    return spelled_precision(label) if _IS_PRECISION.fullmatch(label) else label


def _looser(label: str) -> str:
    return label.removeprefix(_UNSLOTH)


def _on_several(files: Sequence[_File], taken: Sequence[_File], label: str) -> list[str]:
    """That a label is that of several models, where these are not the parts of one."""
    if any(file.path == "model_index.json" for file in files):
        return []
    names = dict.fromkeys(file.parts.base for file in taken if file.is_weights)
    if len(names) < 2:
        return []
    return [f"{len(names)} models have the label {label}, and all are taken: {listed(names)}"]


def _nothing(label: str, of_projectors: Sequence[_File]) -> str:
    if of_projectors:
        return f"only the projector {of_projectors[0].path!r} has the label {label!r}, no model"
    return f"no file has the label {label!r}"


def _hint(files: Sequence[_File]) -> str:
    labels = _labels(files)
    if not labels:
        return "No file here is named by its quantisation: leave the label out, or name files."
    return f"There are: {listed(labels)}."
