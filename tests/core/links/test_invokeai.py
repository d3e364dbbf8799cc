"""Models of the library at the server of InvokeAI, played by a small one on the loopback."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from modelcellar.library import ModelLibrary
from modelcellar.link_records import App
from modelcellar.links.invokeai import (
    Outcome,
    Registered,
    Registration,
    register,
    registrations,
)
from modelcellar.links.place import Place
from modelcellar.links.presets import load_preset
from modelcellar.network.manager import NetworkManager
from modelcellar.records import ModelRecord, ModelType
from tests.support.loopback import Answer, Received, serve
from tests.support.models import write_diffusers_folder, write_gguf, write_safetensors
from tests.support.wishes import ask


class Server:
    """What InvokeAI does with the requests that are made of it: in place, by absolute path."""

    def __init__(self, refuses: str = "") -> None:
        self.models: dict[str, dict[str, str]] = {"sdxl/main/own.safetensors": {}}
        self._refuses = refuses

    def __call__(self, request: Received) -> Answer:
        url = urlsplit(request.target)
        if (request.method, url.path) == ("GET", "/api/v2/models/"):
            models = [{"path": path, **said} for path, said in self.models.items()]
            return Answer(body=json.dumps({"models": models}).encode())
        assert (request.method, url.path) == ("POST", "/api/v2/models/install")
        query = parse_qs(url.query, strict_parsing=True)
        assert query["inplace"] == ["true"]
        [path] = query["source"]
        assert Path(path).is_absolute()
        assert Path(path).exists()
        if self._refuses and self._refuses in path:
            return Answer(415, body=json.dumps({"detail": "Unrecognized file/folder"}).encode())
        if path in self.models:
            return Answer(409, body=b"{}")
        self.models[path] = json.loads(request.body)
        return Answer(201, body=b'{"id": 1, "status": "waiting"}')


def asked(library: ModelLibrary, models: Sequence[ModelRecord]) -> list[Registration]:
    app, place = App("invokeai", "invokeai", Path("/app")), Place(library.path, lambda _: ())
    found = registrations(app, load_preset("invokeai"), models, place)
    return [one for one in found if isinstance(one, Registration)]


def registered(server: Server | None, wanted: Sequence[Registration]) -> list[Registered]:
    async def main() -> list[Registered]:
        async with serve(server or Server()) as running, NetworkManager() as network:
            if server is None:
                await running.stop()
            return [one async for one in register(network, running.origin, wanted)]

    return asyncio.run(main())


@pytest.fixture
def models(library: ModelLibrary, source_folder: Path) -> list[ModelRecord]:
    """A LoRA with a name that has to be quoted, and a pipeline of diffusers."""
    lora = write_safetensors(source_folder / "a & b+#1 größer.safetensors", seed=1)
    pipeline = write_diffusers_folder(source_folder / "pipe", seed=2)
    for path, kind in ((lora, ModelType.LORA), (pipeline, ModelType.CHECKPOINT)):
        library.import_paths([path], model_type=kind, name=f"my {kind}", lookup=False)
    return list(library.list_models().models)


def test_files_and_pipelines_are_registered_where_they_are(
    library: ModelLibrary, models: list[ModelRecord]
) -> None:
    server = Server()
    wanted = asked(library, models)
    assert [one.outcome for one in registered(server, wanted)] == [Outcome.ASKED] * 2
    by_name = {said["name"]: Path(path) for path, said in server.models.items() if said}
    lora, checkpoint = (by_name[f"my {kind}"] for kind in ("lora", "checkpoint"))
    assert lora.name == "a & b+#1 größer.safetensors"
    assert (checkpoint / "model_index.json").is_file()
    # The second time it has them.
    assert [one.outcome for one in registered(server, wanted)] == [Outcome.PRESENT] * 2
    assert len(server.models) == 3


def test_one_that_is_refused_stops_no_other(
    library: ModelLibrary, models: list[ModelRecord]
) -> None:
    found = registered(Server(refuses="größer"), asked(library, models))
    by_outcome = {one.outcome: one for one in found}
    assert "415: Unrecognized" in by_outcome[Outcome.REFUSED].reason
    assert Outcome.ASKED in by_outcome


def test_a_server_that_does_not_run(library: ModelLibrary, models: list[ModelRecord]) -> None:
    found = registered(None, asked(library, models))
    assert [one.outcome for one in found] == [Outcome.UNREACHABLE] * 2


@pytest.mark.parametrize(
    "answer",
    [Answer(body=b"<html>"), Answer(404), Answer(body=b"[]"), Answer(body=b'{"models":1}')],
)
def test_another_server_is_asked_for_nothing(
    library: ModelLibrary, models: list[ModelRecord], answer: Answer
) -> None:
    async def main() -> list[Registered]:
        async with serve(lambda _: answer) as running, NetworkManager() as network:
            wanted = asked(library, models)
            found = [one async for one in register(network, running.origin, wanted)]
            assert [one.method for one in running.received] == ["GET"]
            return found

    assert [one.outcome for one in asyncio.run(main())] == [Outcome.UNREACHABLE] * 2


def test_the_plan_says_what_the_server_takes(
    library: ModelLibrary, models: list[ModelRecord], source_folder: Path, tmp_path: Path
) -> None:
    library.import_paths([write_gguf(source_folder / "llm.gguf", seed=3)], lookup=False)
    plan = ask(library, tmp_path, "invokeai")
    assert plan.wishes == ()
    reasons = list(plan.reasons.values())
    assert sum("http://127.0.0.1:9090 takes it in place" in one for one in reasons) == len(models)
    assert sum("no models of the type llm" in one for one in reasons) == 1


def test_a_sync_asks_the_server_and_says_what_it_said(
    library: ModelLibrary, models: list[ModelRecord], tmp_path: Path, home: Path
) -> None:
    root = tmp_path / "invokeai"
    root.mkdir()
    presets = home / "config" / "modelcellar" / "presets"
    presets.mkdir(parents=True)

    async def main() -> None:
        server = Server()
        async with serve(server) as running:
            text = f'extends = "invokeai"\n[options]\nserver = "{running.origin}/"\n'
            (presets / "mine.toml").write_text(text)
            library.applications.add("mine", root)
            plan = await asyncio.to_thread(library.sync, dry_run=True)
            assert running.received == []
            done = await asyncio.to_thread(library.sync)
            again = await asyncio.to_thread(library.sync)
        assert all("takes it in place" in one.reason for one in plan.actions)
        told = [[one.reason for one in report.actions] for report in (done, again)]
        assert told == [
            ["the server is taking it in place"] * 2,
            ["the server has it in place"] * 2,
        ]
        assert len(server.models) == 1 + len(models)

    asyncio.run(main())
    assert list(root.iterdir()) == []
