"""All hosts together, from entering to leaving the context."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.fake_hub.access import Access, Token
from tests.support.fake_hub.cdn import Cdn
from tests.support.fake_hub.chaos import Chaos
from tests.support.fake_hub.civarchive import CivArchive, Elsewhere
from tests.support.fake_hub.civitai import Civitai, CivitaiVersion
from tests.support.fake_hub.clock import FakeClock
from tests.support.fake_hub.hub import Hub
from tests.support.fake_hub.listener import Listener, Site
from tests.support.fake_hub.repos import FakeRepo
from tests.support.fake_hub.request_log import RequestLog
from tests.support.fake_hub.settings import Settings

__all__ = ["FakeHub"]

# Some clients tell hosts apart by name alone, so who must be another host has another name.
HOME = "127.0.0.1"
ABROAD = "localhost"


class FakeHub:
    """A Hub with its CDN, Civitai, CivArchive and a stranger, each on a port of the loopback."""

    def __init__(
        self, repos: Iterable[FakeRepo] = (), *, versions: Iterable[CivitaiVersion] = ()
    ) -> None:
        self.clock = FakeClock()
        self.log = RequestLog()
        self.chaos = Chaos()
        self.settings = Settings()
        self.access = Access()
        self.cdn = Cdn(clock=self.clock, settings=self.settings)
        self.hub = Hub(
            repos, cdn=self.cdn, clock=self.clock, access=self.access, settings=self.settings
        )
        self.civitai = Civitai(versions, cdn=self.cdn)
        self.civarchive = CivArchive()
        self._listeners: list[Listener] = []

    def __enter__(self) -> Self:
        self.hub_url = self.hub.url = self._start(self.hub, HOME)
        self.cdn_url = self.cdn.url = self._start(self.cdn, ABROAD)
        self.civitai_url = self.civitai.url = self._start(self.civitai, HOME)
        self.civarchive_url = self._start(self.civarchive, HOME)
        self.elsewhere_url = self._start(Elsewhere(), ABROAD)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for listener in self._listeners:
            listener.close()

    def add(self, repo: FakeRepo) -> FakeRepo:
        """Publish a repository."""
        return self.hub.add(repo)

    def add_folder(self, folder: Path) -> list[FakeRepo]:
        """Publish a repository for every ``namespace/name`` folder below ``folder``."""
        return [
            self.add(FakeRepo.from_folder(place.relative_to(folder).as_posix(), place))
            for place in sorted(folder.glob("*/*/"))
        ]

    def add_token(self, secret: str, token: Token | None = None) -> str:
        """Let a token exist; without ``token`` it opens nothing."""
        self.access.tokens[secret] = token or Token("somebody")
        return secret

    def add_version(self, version: CivitaiVersion) -> CivitaiVersion:
        """Publish a model version on Civitai."""
        self.civitai.versions.append(version)
        return version

    def _start(self, site: Site, host: str) -> str:
        listener = Listener(
            site,
            host,
            log=self.log,
            chaos=self.chaos,
            clock=self.clock,
            settings=self.settings,
        )
        self._listeners.append(listener)
        self.chaos.add_door(site.name, listener)
        return listener.url
