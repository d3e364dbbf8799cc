"""What a file, or the set of files of one model, is: bytes read, classified and summed up."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from modelcellar.formats.classify import classify
from modelcellar.formats.classify.words import in_words
from modelcellar.formats.detect import detect
from modelcellar.formats.documents import read_documents
from modelcellar.formats.facts import clean_name, join
from modelcellar.formats.last_resort import guarded, reader_failed
from modelcellar.formats.reading import Reading
from modelcellar.records import FileFormat, Finding, Inspection, Tensor

__all__ = ["inspect_file", "inspect_model", "inspect_stream"]

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def inspect_file(path: AnyPath, *, with_tensors: bool = False) -> Inspection:
    """What the bytes of the regular file at ``path`` tell; its name is not looked at.

    Reads the first 64 KiB and what the format's structure needs, with less than 64 MiB of memory;
    only a file of zeros is read on, until a byte is not zero. Raises ``OSError`` and nothing else:
    the file cannot be read or is not a regular file.
    """
    with _opened(path) as (file, size_bytes):
        return guarded(
            lambda: inspect_stream(file, size_bytes, with_tensors=with_tensors), reader_failed()
        )


def inspect_stream(file: BinaryIO, size_bytes: int, *, with_tensors: bool = False) -> Inspection:
    """The same for an open, seekable file of ``size_bytes``; its position is left anywhere."""
    found = detect(file, size_bytes)
    reading = found.reading
    if found.refusal is not None:
        return Inspection(
            reading.format,
            reading.summary,
            reading.facts,
            found.refusal,
            security=reading.security,
        )
    findings = classify([reading]) if reading.format is not FileFormat.UNKNOWN else {}
    return Inspection(
        format=reading.format,
        summary=join((in_words(findings), reading.summary)),
        facts=reading.facts,
        findings=findings,
        security=reading.security,
        also=found.also,
        data_start=reading.data_start,
        tensors=_tensors(reading) if with_tensors else (),
        technical=reading.summary,
    )


def _tensors(reading: Reading) -> tuple[Tensor, ...]:
    return tuple(Tensor(clean_name(one.name), one.dtype, one.shape) for one in reading.tensors)


def inspect_model(weights: Sequence[Path], others: Mapping[str, Path]) -> dict[str, Finding]:
    """What several files are as one model.

    Args:
        weights: in order; the parts of a split model, or all weights of a folder.
        others: the model's other files by relative path; only known configuration is read.

    Raises ``OSError``: a file cannot be read.
    """
    readings = []
    for path in weights:
        with _opened(path) as (file, size_bytes):
            detected = guarded(partial(detect, file, size_bytes), None)
        if detected is not None:
            readings.append(detected.reading)
    return guarded(lambda: classify(readings, read_documents(others)), {})


@contextmanager
def _opened(path: AnyPath) -> Iterator[tuple[BinaryIO, int]]:
    # Without O_NONBLOCK opening a named pipe would wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
            raise OSError(code, "Not a regular file")
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            yield file, status.st_size
    except OSError as error:
        if error.filename is None:
            error.filename = os.fsdecode(path)
        raise
    finally:
        os.close(descriptor)
