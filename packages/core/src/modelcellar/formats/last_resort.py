"""What becomes of a file on which a reader fails: one refused file, never the end of an import."""

import logging
import struct
import zlib
from collections.abc import Callable
from typing import TypeVar

from modelcellar.formats.cursor import FormatError
from modelcellar.records import FileFormat, Inspection, Refusal

__all__ = ["guarded", "reader_failed"]

log = logging.getLogger(__name__)
Result = TypeVar("Result")

_FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, FormatError),
    *(LookupError, MemoryError, NameError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(struct.error, zlib.error),
)
"""All that Python code raises by itself but ``OSError``: the disk is no fault of the reader."""


def guarded(work: Callable[[], Result], otherwise: Result) -> Result:
    """What ``work`` returns, or ``otherwise`` where it fails in a way that no reader should.

    The traceback goes to the log. Raises ``OSError`` as ``work`` does.
    """
    try:
        return work()
    except OSError:
        raise
    except _FAILURES as error:
        log.exception("a reader of files failed: %s", type(error).__name__)
        return otherwise


def reader_failed() -> Inspection:
    """What is said of such a file."""
    refusal = Refusal(
        "reader_failed",
        "a reader failed on it in a way that it should not on any file",
        "This is a bug in cellar; please report it with the file if you can. The file itself may "
        "be sound.",
    )
    return Inspection(FileFormat.UNKNOWN, refusal=refusal)
