"""What a file has besides its bytes: permissions, owner, times, extended attributes."""

import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Attributes"]


@dataclass(frozen=True, slots=True)
class Attributes:
    """Times are nanoseconds; ``extended`` is empty where there are none or they cannot be read."""

    mode: int
    owner: int
    group: int
    atime_ns: int
    mtime_ns: int
    extended: Mapping[str, bytes]

    @classmethod
    def of(cls, path: Path) -> "Attributes":
        """Those of the file at ``path``.

        Raises:
            OSError: it is not there.
        """
        found = path.lstat()
        return cls(
            stat.S_IMODE(found.st_mode),
            found.st_uid,
            found.st_gid,
            found.st_atime_ns,
            found.st_mtime_ns,
            _extended(path),
        )

    def put_on(self, path: Path) -> None:
        """Give them to another file of ours, as far as the system lets us.

        Raises:
            OSError: the disk fails.
        """
        with suppress(PermissionError):  # only root gives files away
            os.chown(path, self.owner, self.group)
        path.chmod(self.mode)
        if sys.platform == "linux":
            for name, value in self.extended.items():
                with suppress(PermissionError):  # such as those of the system's own
                    os.setxattr(path, name, value)
        os.utime(path, ns=(self.atime_ns, self.mtime_ns))

    def to_json(self) -> dict[str, Any]:
        """As JSON; :meth:`from_json` reads it."""
        return {
            "mode": self.mode,
            "owner": self.owner,
            "group": self.group,
            "atime_ns": self.atime_ns,
            "mtime_ns": self.mtime_ns,
            "extended": {name: value.hex() for name, value in self.extended.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Attributes":
        """What :meth:`to_json` wrote; raises where that is something else, as ``dict`` and
        ``int`` do."""
        extended = {name: bytes.fromhex(value) for name, value in document["extended"].items()}
        return cls(
            mode=int(document["mode"]),
            owner=int(document["owner"]),
            group=int(document["group"]),
            atime_ns=int(document["atime_ns"]),
            mtime_ns=int(document["mtime_ns"]),
            extended=extended,
        )


def _extended(path: Path) -> dict[str, bytes]:
    if sys.platform != "linux":
        return {}
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except OSError:  # a file system without them
        return {}
