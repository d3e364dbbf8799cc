"""Everybody who may know where a file is from, wired together for one command."""

import asyncio
import logging
import math
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modelcellar.answers.cached import CachedNetwork
from modelcellar.answers.store import AnswerCache
from modelcellar.config import Settings, cache_folder, state_folder
from modelcellar.errors import LibraryBusyError, LibraryFormatError
from modelcellar.hf.client import HubClient
from modelcellar.hf.file_download import HubFiles
from modelcellar.hf.metadata_lookup import HubLookup
from modelcellar.hf.oid_index import OidIndex
from modelcellar.hf.throttle import HubThrottle
from modelcellar.identification import Identifier
from modelcellar.network.executor import DaemonExecutor
from modelcellar.network.http import origin_of
from modelcellar.network.manager import NetworkManager, NetworkStatus
from modelcellar.network.secret import Secret
from modelcellar.network.throttling import Wait
from modelcellar.network.tokens import read_civitai_token, read_hub_token
from modelcellar.providers.civarchive import CivArchive
from modelcellar.providers.civitai import Civitai
from modelcellar.providers.civitai_download import CivitaiFiles

__all__ = ["Hosts", "network_status", "open_hosts"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of one command. ``identifier`` asks them all; ``files`` and
    ``civitai_files`` tell what can be downloaded."""

    network: NetworkManager
    hub: HubClient
    oids: OidIndex
    identifier: Identifier
    files: HubFiles
    civitai_files: CivitaiFiles


@contextmanager
def _open_oids() -> Iterator[OidIndex]:
    """The index of what repositories hold; where it cannot be opened, an empty one for this run."""
    with ExitStack() as at_end:
        try:
            oids = OidIndex(state_folder() / "oids.db")
        except (LibraryBusyError, LibraryFormatError, OSError) as error:
            log.warning("what was listed before is not used, nor kept: %s", error)
            folder = at_end.enter_context(tempfile.TemporaryDirectory())
            oids = OidIndex(Path(folder, "oids.db"))
        at_end.callback(oids.close)
        yield oids


@asynccontextmanager
async def open_hosts(
    settings: Settings,
    *,
    refresh: bool = False,
    limit_s: float = math.inf,
    on_wait: Callable[[Wait], None] | None = None,
) -> AsyncIterator[Hosts]:
    """The hosts that the settings name; they are let go of at the end.

    Args:
        refresh: ask again whatever is remembered, also hosts that are left alone for failing.
        limit_s: for all calls together; what is not answered by then is pending.
        on_wait: told of every wait for a host's quota.

    Raises:
        OSError: no file can be made anywhere.
    """
    # Name look-ups and reads of files run there, and must not hold up the end of the command.
    asyncio.get_running_loop().set_default_executor(DaemonExecutor())
    token = read_hub_token(home=settings.hub_home)
    with ExitStack() as at_end:
        oids = at_end.enter_context(_open_oids())
        cache = AnswerCache(cache_folder() / "answers.db")
        at_end.callback(cache.close)
        async with _network(
            settings, token, retry_now=refresh, limit_s=limit_s, on_wait=on_wait
        ) as network:
            cached = CachedNetwork(network, cache, refresh)
            hub = HubClient(cached, oids=oids, endpoint=settings.hub_endpoint, token=token)
            civitai = Civitai(cached, endpoint=settings.civitai_endpoint)
            civarchive = CivArchive(cached, endpoint=settings.civarchive_endpoint)
            identifier = Identifier(HubLookup(hub), civitai, civarchive)
            civitai_files = CivitaiFiles(
                cached, endpoint=settings.civitai_endpoint, token=read_civitai_token()
            )
            yield Hosts(network, hub, oids, identifier, HubFiles(hub), civitai_files)


def network_status(settings: Settings) -> tuple[NetworkStatus, int, int]:
    """How the hosts are, and how many repositories and files are known; asks nobody."""
    network = _network(settings, read_hub_token(home=settings.hub_home))
    with _open_oids() as oids:
        return network.status(), *oids.totals()


def _network(
    settings: Settings,
    token: Secret | None,
    *,
    retry_now: bool = False,
    limit_s: float = math.inf,
    on_wait: Callable[[Wait], None] | None = None,
) -> NetworkManager:
    """The door to the network, with what all runs of this user know of the hosts."""
    throttle = partial(HubThrottle, folder=state_folder(), is_signed_in=token is not None)
    return NetworkManager(
        offline=settings.offline,
        retry_now=retry_now,
        limit_s=limit_s,
        state_folder=state_folder(),
        throttles={origin_of(settings.hub_endpoint): throttle},
        on_wait=on_wait,
    )
