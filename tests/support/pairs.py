"""A library with one file, and the folder of an application, on one file system or two."""

import os
from dataclasses import dataclass
from pathlib import Path

CONTENT = bytes(range(256)) * 1024


@dataclass(frozen=True)
class Pair:
    """A library with one file, as it is kept, and the folder of an application."""

    library: Path
    app: Path

    @property
    def source(self) -> Path:
        return self.library / "models" / "m-12345678" / "file.gguf"


def pair_in(library: Path, app: Path) -> Pair:
    """Makes both; the file is old and write-protected, and so is its folder."""
    made = Pair(library, app)
    made.source.parent.mkdir(parents=True)
    made.source.write_bytes(CONTENT)
    os.utime(made.source, ns=(10**18, 10**18))
    made.source.chmod(0o444)
    made.source.parent.chmod(0o555)
    (library / "staging").mkdir()
    app.mkdir(parents=True)
    return made


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())
