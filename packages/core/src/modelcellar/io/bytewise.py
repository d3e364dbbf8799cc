"""Two files compared byte by byte."""

from io import FileIO
from pathlib import Path

__all__ = ["are_equal"]

PIECE_BYTES = 1 << 20


def are_equal(one: Path, other: Path) -> bool:
    """Whether both hold the same bytes now, all of them.

    Raises:
        OSError: one of them cannot be read.
    """
    pieces = bytearray(PIECE_BYTES), bytearray(PIECE_BYTES)
    with one.open("rb", buffering=0) as left, other.open("rb", buffering=0) as right:
        while True:
            counts = [_fill(file, piece) for file, piece in zip((left, right), pieces, strict=True)]
            if counts[0] != counts[1] or pieces[0][: counts[0]] != pieces[1][: counts[0]]:
                return False
            if counts[0] < PIECE_BYTES:
                return True


def _fill(file: FileIO, piece: bytearray) -> int:
    """Read as much as fits; less only at the end of the file."""
    done = 0
    with memoryview(piece) as view:
        while done < len(piece):
            count = file.readinto(view[done:])
            if not count:
                break
            done += count
    return done
