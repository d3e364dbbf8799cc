"""A fake Hub, a library, and downloads from one into the other that must end well or clearly."""

import errno
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelcellar import ModelLibrary
from modelcellar.config import Settings, cache_folder, state_folder
from modelcellar.download_records import DownloadReport, Patience
from modelcellar.downloads.downloader import Downloader, DownloadOptions
from modelcellar.errors import CellarError
from modelcellar.reports import ImportStatus
from tests.support.fake_hub import FakeHub
from tests.support.invariants import check_files, files_below

__all__ = ["MIB", "QUICK", "End", "Scene", "download_settings"]

MIB = 1 << 20
QUICK = Patience(
    silence_s=0.4,
    floor_bytes_per_s=64 * 1024,
    window_s=0.5,
    attempts=4,
    first_wait_s=0.01,
    longest_wait_s=0.05,
)
# What an address that was signed has in it, and nothing else has.
SIGNED = (b"Signature=", b"Key-Pair-Id=", b"Expires=", b"X-Amz-")
SECRET = "hf_aSecretThatMayBeNowhere"
FACTOR = 1.05
ALLOWED_BYTES = MIB
"""What one interruption may cost."""


def download_settings(fake: FakeHub, root: Path) -> Settings:
    """Settings that ask the fake, and leave the space check to the disk itself."""
    return Settings(
        root,
        min_free_bytes=0,
        lookup=False,
        hub_endpoint=fake.hub_url,
        civitai_endpoint=fake.civitai_url,
        civarchive_endpoint=fake.civarchive_url,
        hub_home=root.parent / "huggingface",
    )


@dataclass(frozen=True, slots=True)
class End:
    """How a download ended: with a report, or with an error."""

    report: DownloadReport | None = None
    error: CellarError | OSError | None = None

    @property
    def code(self) -> str:
        """``ok``, or the code of what went wrong."""
        if isinstance(self.error, CellarError):
            return self.error.code
        if self.error is not None:
            return errno.errorcode[self.error.errno or 0]
        assert self.report is not None
        failed = [
            one.error.code
            for one in self.report.results
            if one.error is not None
            and one.status not in (ImportStatus.IMPORTED, ImportStatus.DUPLICATE)
        ]
        return failed[0] if failed else "ok"

    def check_is_clear(self) -> None:
        """An error says what happened and what to do next, without a secret."""
        error = self.error
        assert error is not None
        if isinstance(error, CellarError):
            assert error.message
            assert error.hint, f"no next step: {error.code}: {error.message}"
            shown = f"{error.message} {error.hint}".encode()
        else:
            assert error.filename is not None
            shown = str(error).encode()
        for secret in (*SIGNED, SECRET.encode()):
            assert secret not in shown, shown


@dataclass(slots=True)
class Scene:
    """A library at ``root``, and the fake that it downloads from."""

    fake: FakeHub
    root: Path
    piece_bytes: int = 256 << 10
    patience: Patience = QUICK
    is_bounded: bool = True

    def create(self) -> None:
        """Make the library anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        ModelLibrary.create(self.root, settings=download_settings(self.fake, self.root)).close()

    @contextmanager
    def open(self) -> Iterator[ModelLibrary]:
        """The library."""
        settings = download_settings(self.fake, self.root)
        with ModelLibrary(self.root, settings=settings) as library:
            yield library

    def forget_hosts(self) -> None:
        """As if enough time had passed: no host is left alone, no quota is used up."""
        for folder in (state_folder(), cache_folder()):
            shutil.rmtree(folder, ignore_errors=True)
        self.fake.clock.advance(300)

    def download(
        self, target: str = "acme/toy", *patterns: str, connections: int = 1, revision: str = ""
    ) -> End:
        """Download, with small pieces, so that a file of some MiB is as one of many GiB."""
        options = DownloadOptions(
            patterns,
            revision or None,
            connections=connections,
            patience=self.patience,
            piece_bytes=self.piece_bytes,
        )
        with self.open() as library, library._changing():
            downloader = Downloader(library._books, library._settings, options=options)
            try:
                return End(downloader.run(target))
            except (CellarError, OSError) as error:
                return End(error=error)

    # --- what must hold afterwards ---

    def contents(self) -> dict[str, bytes]:
        """Every file of every model, by its path inside the model."""
        found = {}
        for folder in sorted((self.root / "models").iterdir()):
            for path in files_below(folder):
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
        return found

    def check(self, end: End, expected: Mapping[str, bytes]) -> None:
        """Right bytes, or a clear error and nothing published; and no secret left anywhere."""
        check_files(self.root)
        found = self.contents()
        right = {hashlib.sha256(data).digest() for data in expected.values()}
        for path, data in found.items():
            assert hashlib.sha256(data).digest() in right, f"wrong bytes in {path}"
        if end.code == "ok":
            assert found == expected
        else:
            end.check_is_clear()
            assert not found, "something was published although it failed"
        assert self.fake.log.leaks == ()
        self.check_secrets()

    def check_secrets(self) -> None:
        """No signed address and no token in the library, nor among what is kept of hosts."""
        for folder in (self.root, state_folder(), cache_folder()):
            if not folder.exists():
                continue
            for path in files_below(folder):
                data = path.read_bytes()
                for secret in (*SIGNED, SECRET.encode()):
                    assert secret not in data, f"{secret!r} in {path}"

    def check_bytes(self, size_bytes: int, *, interruptions: int) -> None:
        """The CDN has not sent more than the file and a little for each interruption."""
        sent = self.fake.log.bytes_sent("cdn")
        assert sent <= size_bytes * FACTOR + interruptions * ALLOWED_BYTES, (
            f"{sent:,} bytes for {size_bytes:,} with {interruptions} interruptions:\n{self.told()}"
        )

    def told(self) -> str:
        """The requests, for messages."""
        return "\n".join(f"{one.line} {one.range or ''}" for one in self.fake.log.entries)
