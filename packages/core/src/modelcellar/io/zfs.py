"""The disks of a ZFS pool, by what ``zpool status`` prints, which needs no root.

Where the program is not there, as in a container, or the pool does not answer, nothing is known.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from modelcellar.io.commands import Run

__all__ = ["Vdev", "vdevs_of", "vdevs_of_pool"]

_WORKING = ("ONLINE", "DEGRADED")


@dataclass(frozen=True, slots=True)
class Vdev:
    """One of the parts that a pool spreads data over.

    ``kind``: ``mirror``, ``raidz2``, empty for a lone disk; ``paths``: the devices that work.
    """

    kind: str
    paths: tuple[str, ...]
    degraded: bool = False


def vdevs_of_pool(pool: str, run: Run) -> tuple[Vdev, ...]:
    """What holds the data of ``pool``; nothing when that cannot be told."""
    # Names of pools begin with a letter: this one is no option for the program.
    if not pool[:1].isalpha():
        return ()
    return vdevs_of(os.fsdecode(run(("zpool", "status", "-P", pool)) or b""))


def vdevs_of(status: str) -> tuple[Vdev, ...]:
    """What holds the data, by the output of ``zpool status -P`` for one pool.

    Logs, caches, spares and devices for metadata hold none of what large files are made of.
    """
    found: list[Vdev] = []
    for depth, name, state in _data_rows(status):
        is_disk = name.startswith("/")
        if depth == 1:
            kind = "" if is_disk or name.isdecimal() else name.rpartition("-")[0]
            found.append(Vdev(kind, (), state != "ONLINE"))
        if is_disk and state in _WORKING and found:
            last = found[-1]
            found[-1] = Vdev(last.kind, (*last.paths, name), last.degraded)
    return tuple(one for one in found if one.paths)


def _data_rows(status: str) -> Iterator[tuple[int, str, str]]:
    """Depth, name and state of the rows below the one of the pool, up to the next heading."""
    in_pool = False
    for line in status.partition("config:")[2].splitlines():
        row = line.removeprefix("\t")
        words = row.split()
        if row == line or not words or words[:2] == ["NAME", "STATE"]:
            continue
        depth = (len(row) - len(row.lstrip(" "))) // 2
        if depth == 0 and in_pool:
            return
        in_pool = True
        if depth > 0:
            yield depth, words[0], words[1] if len(words) > 1 else ""
