"""The layout ``invokeai``: nothing is linked; its server registers the library's files in place.

Its own folder of models is not to be written to. The server follows links and keeps where they
lead, so it is given the library's own paths; unregistering deletes no file outside its folder.
Requests: github.com/invoke-ai/InvokeAI, ``invokeai/app/api/routers/model_manager.py`` (2026).
"""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from modelcellar import naming
from modelcellar.errors import NetworkError
from modelcellar.link_records import App, Unplaced, Wish
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Preset
from modelcellar.links.shapes import main_files
from modelcellar.network.http import Request, Response
from modelcellar.records import ModelRecord, ModelType

if TYPE_CHECKING:
    from modelcellar.network.manager import NetworkManager

__all__ = [
    "LAYOUT",
    "Outcome",
    "Registered",
    "Registration",
    "register",
    "register_now",
    "registrations",
    "server_of",
    "wishes",
]

LAYOUT = "invokeai"
SERVER = "http://127.0.0.1:9090"
MODELS = "/api/v2/models"
TIMEOUT_S = 10.0
DEADLINE_S = 15.0
LIMIT_S = 300.0
"""For all requests of one sync."""
PIPELINE = "model_index.json"
TAKEN_TYPES = frozenset(
    {
        ModelType.CHECKPOINT,
        ModelType.CLIP_VISION,
        ModelType.CONTROLNET,
        ModelType.DIFFUSION_MODEL,
        ModelType.EMBEDDING,
        ModelType.IP_ADAPTER,
        ModelType.LORA,
        ModelType.TEXT_ENCODER,
        ModelType.UPSCALER,
        ModelType.VAE,
    }
)


@dataclass(frozen=True, slots=True)
class Registration:
    """A file or folder of the library that the server is to know, and what it is called there."""

    model_id: str
    path: Path
    name: str
    description: str


class Outcome(StrEnum):
    """``asked``: the server took the request and works on it by itself."""

    ASKED = "asked"
    PRESENT = "present"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a registration; ``reason`` is in words, where it was not taken."""

    registration: Registration
    outcome: Outcome
    reason: str = ""

    @property
    def told(self) -> str:
        """The same in a clause for people."""
        words = {
            Outcome.ASKED: "the server is taking it in place",
            Outcome.PRESENT: "the server has it in place",
            Outcome.REFUSED: "the server refuses it",
            Outcome.UNREACHABLE: "the server cannot be asked",
        }[self.outcome]
        return f"{words}: {self.reason}" if self.reason else words


def wishes(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Wish | Unplaced]:
    """Why no model is linked: the server takes it in place, or does not take it at all."""
    for found in registrations(app, preset, models, place):
        if isinstance(found, Unplaced):
            yield found
        else:
            where = server_of(preset)
            yield Unplaced(found.model_id, f"the server at {where} takes it in place: {found.path}")


def server_of(preset: Preset) -> str:
    """The address of the server, as the preset has it."""
    return str(preset.options.get("server", SERVER)).rstrip("/")


def registrations(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Registration | Unplaced]:
    """What the server is to be asked for each model, the oldest first."""
    for model in sorted(models, key=lambda model: (model.added_at, model.id)):
        if model.type not in TAKEN_TYPES or app.folders.get(model.type.value) == "":
            yield Unplaced(model.id, f"{preset.title} takes no models of the type {model.type}")
            continue
        path = _path(model, place.content_path(model.id))
        if path is None:
            reason = "takes one file or a diffusers folder, and this is neither"
            yield Unplaced(model.id, f"{preset.title} {reason}")
        else:
            yield Registration(model.id, path, naming.display(model.name), model.summary)


def _path(model: ModelRecord, folder: Path) -> Path | None:
    files = main_files(model)
    if len(files) == 1:
        return folder / files[0].path
    tops = [f.path.removesuffix(PIPELINE) for f in files if f.path.split("/")[-1] == PIPELINE]
    return folder / tops[0] if len(tops) == 1 else None


def register_now(
    server: str, wanted: Sequence[Registration], *, offline: bool = False
) -> tuple[Registered, ...]:
    """Ask the server in an event loop of its own; as :func:`register`."""
    # Every plan loads this module, and few ask anybody: the door takes a tenth of a second.
    import asyncio

    from modelcellar.network.manager import NetworkManager

    async def work() -> tuple[Registered, ...]:
        async with NetworkManager(offline=offline, limit_s=LIMIT_S) as network:
            return tuple([one async for one in register(network, server, wanted)])

    return asyncio.run(work())


async def register(
    network: "NetworkManager", server: str, wanted: Sequence[Registration]
) -> AsyncIterator[Registered]:
    """Ask the server for what it does not have yet; what goes wrong with one stops no other.

    Args:
        network: the door to it.
        server: its address, such as ``http://127.0.0.1:9090``.
        wanted: what it is to have.
    """
    if not wanted:
        return
    try:
        present = await _present(network, server)
    except (NetworkError, ValueError) as error:
        for one in wanted:
            yield Registered(one, Outcome.UNREACHABLE, str(error))
        return
    for one in wanted:
        if os.path.realpath(one.path) in present:
            yield Registered(one, Outcome.PRESENT)
        else:
            yield await _install(network, server, one)


async def _present(network: "NetworkManager", server: str) -> set[str]:
    """Where the models are that it has; those in its own folder are relative, and none of ours."""
    response = await network.request(_request("GET", f"{server}{MODELS}/"))
    if response.status != 200:
        raise ValueError(f"{server} answers {response.status}")
    document = response.json()
    listed = document.get("models") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError(f"{server} does not answer as InvokeAI does")
    paths = (one.get("path") for one in listed if isinstance(one, dict))
    return {
        os.path.realpath(path)
        for path in paths
        if isinstance(path, str) and Path(path).is_absolute()
    }


async def _install(network: "NetworkManager", server: str, one: Registration) -> Registered:
    query = f"source={quote(os.fsencode(one.path), safe='')}&inplace=true"
    said = {"name": one.name, "description": one.description}
    request = _request("POST", f"{server}{MODELS}/install?{query}", said)
    try:
        response = await network.request(request)
    except NetworkError as error:
        return Registered(one, Outcome.UNREACHABLE, error.message)
    if response.status == 409:
        return Registered(one, Outcome.PRESENT)
    if response.status in (200, 201):
        return Registered(one, Outcome.ASKED)
    return Registered(one, Outcome.REFUSED, _detail(response))


def _request(method: str, url: str, json: dict[str, str] | None = None) -> Request:
    return Request(
        method,
        url,
        json=json,
        idempotent=method == "GET",
        timeout_s=TIMEOUT_S,
        deadline_s=DEADLINE_S,
    )


def _detail(response: Response) -> str:
    try:
        document = response.json()
    except ValueError:
        document = None
    detail = document.get("detail") if isinstance(document, dict) else None
    said = f": {naming.display(detail[:500])}" if isinstance(detail, str) else ""
    return f"it answers {response.status}{said}"
