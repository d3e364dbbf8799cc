"""Reads the form of files that are bare pickles: what ``torch.save`` wrote before 1.6, and others.

Torch's old form is five pickles in a row (a magic number, a version, the writer's properties, the
object, the keys of its storages) and then, for each key, a count of elements and their bytes
(PyTorch, ``torch/serialization.py``, ``_legacy_save``). Nothing is unpickled.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from modelcellar.formats.cursor import Cursor, Fault, FormatError, damaged, truncated
from modelcellar.formats.facts import clean_text, join, kinds_line, most_common, plural
from modelcellar.formats.pickle_values import ELEMENTS, Dict, Value, storage_of, tensors_in
from modelcellar.formats.pickle_verdict import verdict_on
from modelcellar.formats.pickles import PickleWalk, walk
from modelcellar.formats.reading import Reading
from modelcellar.records import FileFormat, JsonValue, Tensor

TORCH_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""The first pickle of torch's old form: the number 0x1950a86a20f9469cfc6c."""

PICKLES = 5
TORCH_MODEL = 3
MAX_PICKLES = 16
MAX_SHOWN = 64
_COUNT = struct.Struct("<q")


class _Storage(NamedTuple):
    dtype: str
    element_bytes: int | None
    elements: int


def looks_like(head: bytes) -> bool:
    """Whether the file begins like a pickle of protocol 2 or later."""
    return len(head) >= 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def inspect(cursor: Cursor) -> Reading:
    """Walks the pickles and, in torch's old form, checks that all storages are there."""
    cursor.seek(0)
    if cursor.peek(len(TORCH_START)) == TORCH_START:
        return _torch(cursor)
    found = walk(cursor)
    walks, problems = [found], []
    facts: dict[str, JsonValue] = {"protocol": found.protocol, "torch": False}
    if not found.is_complete:
        return _result(walks, facts | {"walked": False}, "not walked to its end")
    facts["bytes_after_stop"] = cursor.left
    while looks_like(cursor.peek(2)) and len(walks) < MAX_PICKLES:
        # A second pickle, which a program that reads several would load as well.
        try:
            walks.append(walk(cursor))
        except FormatError as error:
            problems.append(error.reason)
            break
    return _result(walks, facts, problems=problems)


def pickle_facts(
    walks: Sequence[PickleWalk], model: PickleWalk | None, tensors: Sequence[Tensor]
) -> dict[str, JsonValue]:
    """What the pickles of a file name and hold, for machines."""
    imports = sorted({str(found) for one in walks for found in one.imports})
    keys = list(model.result) if model is not None and isinstance(model.result, Dict) else []
    return {
        "pickle_imports": [clean_text(name, 128) for name in imports[:MAX_SHOWN]],
        "top_level_keys": [clean_text(key, 128) for key in keys[:MAX_SHOWN]],
        "tensor_count": len(tensors),
    }


def _result(
    walks: Sequence[PickleWalk],
    facts: dict[str, JsonValue],
    *more: str,
    problems: Sequence[str] = (),
) -> Reading:
    """A reading of the pickle that holds the model: the last of torch's five, or the first."""
    model = walks[TORCH_MODEL] if len(walks) > TORCH_MODEL and facts["torch"] else walks[0]
    tensors = tuple(tensors_in(model.result))
    return Reading(
        FileFormat.TORCH_LEGACY,
        join((f"pickle, protocol {model.protocol}", *more)),
        facts | pickle_facts(walks, model, tensors),
        tensors,
        security=verdict_on(walks, problems),
    )


def _torch(cursor: Cursor) -> Reading:
    try:
        pickles = [walk(cursor) for _ in range(PICKLES - 1)]
        model = pickles[TORCH_MODEL]
        facts: dict[str, JsonValue] = {"protocol": model.protocol, "torch": True}
        if not model.is_complete:
            return _result(pickles, facts | {"walked": False}, "torch, not walked to its end")
        pickles.append(walk(cursor))
    except FormatError as error:
        if error.fault is not Fault.OTHER_FORMAT:
            raise
        raise damaged(f"it begins as a torch file, but {error.reason}") from None
    storages = _storages(model)
    _check_extents(cursor, _keys(pickles[-1]), storages)
    dtypes = Counter(storage.dtype for storage in storages.values())
    parameters = sum(storage.elements for storage in storages.values())
    facts |= {
        "storage_count": len(storages),
        "dtypes": most_common(dtypes),
        "parameter_count": parameters,
    }
    return _result(
        pickles,
        facts,
        "torch",
        plural(len(storages), "storage"),
        kinds_line(dtypes),
        plural(parameters, "parameter"),
    )


def _storages(model: PickleWalk) -> dict[str, _Storage]:
    """Storages by key, as the persistent ids describe them."""
    storages: dict[str, _Storage] = {}
    for value in model.persistent_ids:
        found = storage_of(value)
        if found is not None:
            dtype, width = ELEMENTS.get(found.kind, (clean_text(found.kind, 64), None))
            storages[found.key] = _Storage(dtype, width, found.elements)
    return storages


def _keys(walked: PickleWalk) -> list[Value]:
    if not isinstance(walked.result, list):
        raise damaged("it begins as a torch file, but has no list of storages")
    return walked.result


def _check_extents(cursor: Cursor, keys: list[Value], storages: dict[str, _Storage]) -> None:
    for index, key in enumerate(keys, 1):
        if cursor.left < _COUNT.size:
            raise truncated(
                f"storage {index:,} of {len(keys):,} should begin at byte {cursor.position:,}, "
                f"the file has {cursor.size_bytes:,}"
            )
        (elements,) = cursor.unpack(_COUNT)
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or storage.element_bytes is None:
            return  # Of unknown width: where the next one begins cannot be told.
        if not 0 <= elements <= cursor.left // storage.element_bytes:
            raise truncated(
                f"storage {index:,} of {len(keys):,} says it has {elements:,} elements of "
                f"{storage.element_bytes} bytes, {cursor.left:,} bytes are left of "
                f"{cursor.size_bytes:,}"
            )
        cursor.skip(elements * storage.element_bytes)
