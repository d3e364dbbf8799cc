"""From one Ollama into another, and into the cache of the Hub, by the command alone."""

from collections.abc import Callable
from pathlib import Path

from tests.support.command import CommandResult
from tests.support.models import gguf_bytes, write_shared_hub_cache
from tests.support.ollama_store import OllamaStore, write_ollama_store

Cellar = Callable[..., CommandResult]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_from_one_ollama_into_another(cellar: Cellar, tmp_path: Path) -> None:
    layers = {"model": gguf_bytes(seed=1), "template": b"{{ .Prompt }}", "license": b"MIT\n"}
    write_ollama_store(tmp_path / "from", "registry.ollama.ai/library/llama3/8b", layers)
    there = tmp_path / "there"
    there.mkdir()
    [model] = cellar("import", tmp_path / "from", "--json").json()["models"]
    assert model["name"] == "llama3:8b"
    assert cellar("app", "add", "ollama", there).exit_code == 0
    [planned] = cellar("plan", "--json").json()["apps"]
    # Weights, template, licence, configuration, and the manifest after them.
    assert [one["action"] for one in planned["actions"]] == ["create"] * 5
    assert "/manifests/" in planned["actions"][-1]["target"]
    [done] = cellar("sync", "--json").json()["apps"]
    assert done["actions"] == planned["actions"]
    [stored] = OllamaStore(there).models().values()
    assert {kind: path.read_bytes() for kind, path in stored.layers.items()} == layers
    cellar("remove", model["id"])
    assert OllamaStore(there).models() == {}
    cellar("undo")
    assert list(OllamaStore(there).models()) == ["llama3:8b"]


def test_from_one_cache_of_the_hub_into_another(cellar: Cellar, tmp_path: Path) -> None:
    write_shared_hub_cache(tmp_path / "hub", "acme/toy", "deep/toy.gguf", gguf_bytes(seed=1))
    there = tmp_path / "there"
    there.mkdir()
    environment = {"MODELCELLAR_LOOKUP": "1"}
    found = cellar("--offline", "import", tmp_path / "hub", "--json", env=environment).json()
    [model] = found["models"]
    identity = model["identity"]
    assert (identity["status"], identity["repo_id"]) == ("claimed", "acme/toy")
    assert (identity["revision"], identity["path"]) == (COMMIT, "deep/toy.gguf")
    cellar("app", "add", "hf", there)
    cellar("sync")
    repository = there / "models--acme--toy"
    assert (repository / "refs" / "main").read_text() == COMMIT
    place = repository / "snapshots" / COMMIT / "deep" / "toy.gguf"
    assert place.read_bytes() == gguf_bytes(seed=1)
