"""Everybody who may know where a file is from, wired together for one command."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from modelcellar.config import Settings, cache_folder, state_folder
from modelcellar.hf.answers import AnswerCache
from modelcellar.hf.client import HubClient
from modelcellar.hf.metadata_lookup import HubLookup
from modelcellar.hf.oid_index import OidIndex
from modelcellar.hf.throttle import HubThrottle
from modelcellar.identification import Identifier
from modelcellar.network.http import origin_of
from modelcellar.network.manager import NetworkManager
from modelcellar.network.throttling import Wait
from modelcellar.network.tokens import read_hub_token
from modelcellar.providers.civarchive import CivArchive
from modelcellar.providers.civitai import Civitai

__all__ = ["Hosts", "open_hosts", "open_oids"]


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of one command. ``identifier`` asks them all."""

    network: NetworkManager
    hub: HubClient
    oids: OidIndex
    identifier: Identifier


def open_oids() -> OidIndex:
    """The index of what repositories hold, in the user's state folder.

    Raises:
        LibraryFormatError: the file belongs to another program or to a newer version.
        OSError: the disk is full or fails.
    """
    return OidIndex(state_folder() / "oids.db")


@asynccontextmanager
async def open_hosts(
    settings: Settings,
    *,
    refresh: bool = False,
    retry_now: bool = False,
    on_wait: Callable[[Wait], None] | None = None,
) -> AsyncIterator[Hosts]:
    """The hosts that the settings name; they are let go of at the end.

    Args:
        refresh: ask again whatever is remembered.
        retry_now: ask hosts at once that are left alone because they failed.
        on_wait: told of every wait for a host's quota.

    Raises:
        LibraryFormatError, OSError: as for :func:`open_oids`.
    """
    token = read_hub_token()
    hub_origin = origin_of(settings.hub_endpoint)
    throttle = partial(HubThrottle, folder=state_folder(), is_signed_in=token is not None)
    with ExitStack() as at_end:
        oids = open_oids()
        at_end.callback(oids.close)
        cache = AnswerCache(cache_folder() / "answers.db")
        at_end.callback(cache.close)
        async with NetworkManager(
            offline=settings.offline,
            retry_now=retry_now,
            state_folder=state_folder(),
            throttles={hub_origin: throttle},
            on_wait=on_wait,
        ) as network:
            hub = HubClient(
                network,
                cache=cache,
                oids=oids,
                endpoint=settings.hub_endpoint,
                token=token,
                refresh=refresh,
            )
            civitai = Civitai(
                network, cache=cache, endpoint=settings.civitai_endpoint, refresh=refresh
            )
            civarchive = CivArchive(
                network, cache=cache, endpoint=settings.civarchive_endpoint, refresh=refresh
            )
            yield Hosts(network, hub, oids, Identifier(HubLookup(hub), civitai, civarchive))
