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
from modelcellar.formats.pickles import BrokenPickleError, PickleWalk, begins, walk, walk_rest
from modelcellar.formats.reading import Reading
from modelcellar.records import FileFormat, JsonValue, Tensor

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""The value of the first pickle of torch's old form, whatever protocol it is in."""

PICKLES = 5
TORCH_MODEL = 3
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
    return _inspect(cursor, [], needs_protocol=True)


def inspect_unmarked(head: bytes, cursor: Cursor) -> Reading | None:
    """The file as a program would take it that unpickles whatever it is given.

    Old protocols have no mark, and many a file begins with bytes that are opcodes. ``None`` where
    loading it would end before it had run anything; format ``UNKNOWN`` where it would end after
    that, or where that cannot be told.
    """
    # Where a reader has used up what may be walked, it has said that it did not see all.
    if not begins(head) or cursor.budget.opcodes < 0:
        return None
    walks: list[PickleWalk] = []
    try:
        reading = _inspect(cursor, walks, needs_protocol=False)
    except FormatError as error:
        found = error.security
        return Reading(FileFormat.UNKNOWN, security=found) if found is not None else None
    if any(one.name_count for one in walks):
        return reading
    is_followed = reading.security.verdict != "unreadable"
    return None if is_followed else Reading(FileFormat.UNKNOWN, security=reading.security)


def _inspect(cursor: Cursor, walks: list[PickleWalk], *, needs_protocol: bool) -> Reading:
    try:
        cursor.seek(0)
        walks.append(walk(cursor, needs_protocol=needs_protocol))
        if walks[0].result == TORCH_MAGIC:
            return _torch(cursor, walks)
        return _bare(cursor, walks)
    except FormatError as error:
        if isinstance(error, BrokenPickleError):
            walks.append(error.walked)
        if any(one.name_count and one.call_count for one in walks):
            error.security = verdict_on(walks, [error.reason])
        raise


def _bare(cursor: Cursor, walks: list[PickleWalk]) -> Reading:
    found = walks[0]
    facts: dict[str, JsonValue] = {"protocol": found.protocol, "torch": False}
    if not found.is_complete:
        return _result(walks, facts | {"walked": False}, "not walked to its end")
    facts["bytes_after_stop"] = cursor.left
    problems = walk_rest(cursor, walks)
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


def _torch(cursor: Cursor, walks: list[PickleWalk]) -> Reading:
    facts: dict[str, JsonValue] = {"protocol": walks[0].protocol, "torch": True}
    while len(walks) < PICKLES and walks[-1].is_complete:
        try:
            walks.append(walk(cursor, needs_protocol=False))
        except BrokenPickleError as error:
            if error.fault is not Fault.OTHER_FORMAT:
                raise
            walks.append(error.walked)
            raise damaged(f"it begins as a torch file, but {error.reason}") from None
    if not walks[-1].is_complete:
        return _result(walks, facts | {"walked": False}, "torch, not walked to its end")
    model = walks[TORCH_MODEL]
    facts["protocol"] = model.protocol
    storages = _storages(model)
    _check_extents(cursor, _keys(walks[-1]), storages)
    problems = walk_rest(cursor, walks)
    dtypes = Counter(storage.dtype for storage in storages.values())
    parameters = sum(storage.elements for storage in storages.values())
    facts |= {
        "storage_count": len(storages),
        "dtypes": most_common(dtypes),
        "parameter_count": parameters,
    }
    return _result(
        walks,
        facts,
        "torch",
        plural(len(storages), "storage"),
        kinds_line(dtypes),
        plural(parameters, "parameter"),
        problems=problems,
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
