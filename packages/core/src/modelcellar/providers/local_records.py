"""What other tools wrote down about a file, beside it or by where they keep it.

Nothing of it is trusted: each answer is a claim until a digest proves it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from modelcellar.origins import Claim
from modelcellar.providers.records.huggingface import cache_claims, local_dir_claims
from modelcellar.providers.records.ollama import ollama_claims
from modelcellar.providers.records.sidecars import sidecar_claims

__all__ = ["claims_for"]

MAX_LINKS = 8
_READERS: tuple[Callable[[Path], tuple[Claim, ...]], ...] = (
    cache_claims,
    local_dir_claims,
    ollama_claims,
    sidecar_claims,
)


def claims_for(path: Path) -> tuple[Claim, ...]:
    """The claims about the file at ``path``, the most dependable records first.

    ``path`` may be a link, as those that applications make into the stores of others: each place on
    the way counts, the nearest one first. Records of more than 4 MiB, broken ones and values of
    other types than they should be are passed over; nothing is raised.
    """
    places = list(_places(path))
    found: list[Claim] = []
    for read in _READERS:
        found += next((claims for place in places if (claims := read(place))), ())
    return tuple(found)


def _places(path: Path) -> Iterator[Path]:
    """Where the file seems to be and where it is, link by link; loops end."""
    try:
        current = Path(os.path.normpath(path.absolute()))
        for _ in range(MAX_LINKS):
            yield current
            # Not Path.resolve(), which raises RuntimeError for a loop before Python 3.13.
            real = Path(os.path.realpath(current.parent), current.name)
            if real != current:
                yield real
            current = Path(os.path.normpath(real.parent / real.readlink()))
    except (OSError, ValueError):
        # The last place is no link, or no name at all.
        return
