"""One download, timed from its call to its return: ``download_call.py TOLD CONNECTIONS TARGET``."""

import sys
import time
from pathlib import Path

from modelcellar import ModelLibrary
from modelcellar.config import load_settings


def main(told: Path, connections: int, target: str, *patterns: str) -> None:
    """Download into the library of the settings, and write the seconds that it took to ``told``."""
    settings, _ = load_settings()
    with ModelLibrary(settings.library, settings=settings) as library:
        began = time.perf_counter()
        library.download(target, patterns, connections=connections)
        told.write_text(str(time.perf_counter() - began), encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
