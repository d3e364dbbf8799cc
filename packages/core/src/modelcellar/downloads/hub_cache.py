"""The cache of the Hub's own client as a source: files in it need not be fetched again.

Layout: huggingface_hub's guide "Understand caching". A blob is called by its etag, which is the
SHA-256 of a large file and git's name of a small one. The client checks no content, so what lies
there is only believed once its digest is known.
"""

import os
from contextlib import suppress
from pathlib import Path

from modelcellar.remotes import RemoteFile

__all__ = ["HubCache"]


class HubCache:
    """The cache in ``folder``, which need not exist. Nothing in it is ever changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs: dict[str, Path] | None = None

    def find(self, file: RemoteFile) -> Path | None:
        """A file of the right name and size, whichever repository it was fetched from."""
        etag = file.sha256 or file.git_sha1
        found = self._all().get(etag) if etag else None
        if found is None:
            return None
        with suppress(OSError):
            # Blobs that several repositories share are links to one place.
            real = Path(os.path.realpath(found))
            if real.is_file() and real.stat().st_size == file.size_bytes:
                return real
        return None

    def _all(self) -> dict[str, Path]:
        if self._blobs is None:
            self._blobs = {}
            for folder in sorted(self._folder.glob("models--*/blobs")):
                with suppress(OSError), os.scandir(folder) as entries:
                    self._blobs |= {entry.name: Path(entry.path) for entry in entries}
        return self._blobs
