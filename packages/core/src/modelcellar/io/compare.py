"""A cheap look at two files of one size that can rule out that they are equal."""

from pathlib import Path

__all__ = ["could_be_equal"]

SAMPLES = 16
SAMPLE_BYTES = 4096


def could_be_equal(first: Path, second: Path, size_bytes: int) -> bool:
    """``False`` when samples spread over the files differ; else they still may or may not be equal.

    Models of one architecture share their size and the whole header, so the samples reach to the
    end of the file.

    Raises:
        OSError: ``first`` cannot be read. When ``second`` cannot, they could be equal.
    """
    step = max(1, (size_bytes - SAMPLE_BYTES) // (SAMPLES - 1))
    with first.open("rb", buffering=0) as one:
        try:
            other = second.open("rb", buffering=0)
        except OSError:
            return True
        with other:
            for offset in range(0, max(1, size_bytes), step):
                one.seek(offset)
                other.seek(offset)
                if one.read(SAMPLE_BYTES) != other.read(SAMPLE_BYTES):
                    return False
    return True
