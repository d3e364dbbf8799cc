"""list, search, show, edit, remove, undo, verify, rebuild, config as people see them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.terminal import run_in_terminal
from tests.support.command import CommandResult

Cellar = Callable[..., CommandResult]
pytestmark = pytest.mark.usefixtures("filled")


def names(cellar: Cellar, *args: str) -> list[str]:
    """The names of the models that ``cellar list`` shows, in its order."""
    return [model["name"] for model in cellar("list", *args, "--json").json()["models"]]


def test_init(cellar: Cellar, tmp_path: Path) -> None:
    result = cellar("init", tmp_path / "new")
    assert result.stdout == f"{tmp_path / 'new'}\n"
    assert "MODELCELLAR_LIBRARY" in result.stderr
    again = cellar("init", "-q", "--library", tmp_path / "new")
    assert again.stdout.strip() in result.stderr, "the library keeps its id"
    assert again.stderr == ""


def test_inspect(cellar: Cellar, collection: Path) -> None:
    good, pointer = collection / "alpha-lora.safetensors", collection / "pointer.safetensors"
    result = cellar("inspect", good, pointer)
    heading, first, second, *rest = result.stdout.splitlines()
    assert heading.split() == ["FILE", "FORMAT", "SIZE", "WHAT", "IT", "IS"]
    assert first.split()[:4] == [str(good), "safetensors", "20.1", "kB"]
    assert second.endswith("would be refused")
    assert rest[1] == f"refused {pointer}"
    assert rest[2].startswith("  why:  ")
    assert cellar("inspect", "-q", good, pointer).stdout == "safetensors\nunknown\n"


def test_list(cellar: Cellar) -> None:
    result = cellar("list")
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["ID", "NAME", "TYPE", "FAMILY", "SIZE", "ADDED"]
    assert [row.split()[1] for row in rows] == ["alpha-lora", "beta", "gamma-q4"]
    assert "20.1 kB" in rows[0]
    assert result.stderr == "3 models\n"
    ids = cellar("list", "--quiet").stdout.split()
    assert ids == [row.split()[0] for row in rows]


def test_colour_when_forced(cellar: Cellar) -> None:
    assert "\x1b[1mNAME" in cellar("list", env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b" not in cellar("list", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout


def test_list_options(cellar: Cellar) -> None:
    assert names(cellar, "--sort", "size") == ["gamma-q4", "beta", "alpha-lora"]
    assert names(cellar, "--sort", "-size") == ["alpha-lora", "beta", "gamma-q4"]
    assert names(cellar, "--format", "gguf") == ["gamma-q4"]
    assert names(cellar, "--limit", "2") == ["alpha-lora", "beta"]
    cellar("edit", "beta", "--type", "vae")
    assert names(cellar, "--type", "vae") == ["beta"]
    limited = cellar("list", "--limit", "1")
    assert limited.stderr == "1 model of 3; --limit shows more\n"


def test_common_options_on_either_side(cellar: Cellar, tmp_path: Path) -> None:
    assert cellar("--json", "list").stdout == cellar("list", "--json").stdout
    assert cellar("-q", "list").stdout == cellar("list", "-q").stdout
    assert cellar("config", "--json", "show").json() == cellar("config", "show", "--json").json()
    other = tmp_path / "other"
    cellar("init", other)
    for args in (["--library", str(other), "list"], ["list", "--library", str(other)]):
        assert cellar(*args, "--json").json()["total"] == 0
    both = ["--library", "/nowhere", "list", "--library", str(other), "--json"]
    assert cellar(*both).json()["total"] == 0, "the option nearer to the verb wins"


def test_search(cellar: Cellar) -> None:
    found = cellar("search", "alpha", "lora")
    assert "alpha-lora" in found.stdout
    assert found.stderr == "1 model\n"
    assert cellar("search", "nothing-like-it").stdout == ""
    assert cellar("search", "-q", "beta").stdout.startswith("beta-")
    assert cellar("search", "--limit", "1", "safetensors").stderr.startswith("1 model of 2")


def test_search_by_field_in_pages_and_with_notes(cellar: Cellar) -> None:
    assert cellar("search", "-q", "format:gguf").stdout.startswith("gamma-q4-")
    first = cellar("search", "--limit", "1", "size>0")
    assert (
        first.stderr == "1 model of 3\nnext page: cellar search --offset 1 --limit 1 -- 'size>0'\n"
    )
    last = cellar("search", "--limit", "1", "--offset", "2", "size>0")
    assert "gamma-q4" in last.stdout
    assert last.stderr == "showing 3-3 of 3\n"
    assert "none after the first 9" in cellar("search", "--offset", "9", "size>0").stderr
    told = cellar("search", "colour:red")
    assert told.stderr.startswith("note: colour:red is looked for as text: there is no field")
    assert "colour" in cellar("search", "colour:red", "--json").json()["notes"][0]
    assert cellar("search", "gamam").stderr == "0 models\ndid you mean: gamma\n"
    assert cellar("search", "gamam", "--json").json()["did_you_mean"] == "gamma"


def test_search_marks_what_was_hit(cellar: Cellar) -> None:
    found = cellar("search", "alpha", env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b[33m\x1b[1malpha\x1b[0m-lora" in found
    assert "\x1b" not in cellar("search", "alpha").stdout
    assert "FOUND IN" not in found
    cellar("edit", "beta", "--tag", "dark fantasy")
    elsewhere = cellar("search", "fantasy").stdout
    assert "FOUND IN" in elsewhere
    assert "tag: dark fantasy" in elsewhere
    [model] = cellar("search", "fantasy", "--json").json()["models"]
    assert model["highlights"] == [{"field": "tag", "text": "dark fantasy", "spans": [[5, 12]]}]


def test_search_counts_by_type_base_and_format(cellar: Cellar) -> None:
    cellar("edit", "beta", "--type", "vae")
    found = cellar("search", "--facets", "size>0").stdout
    assert found.endswith(
        "\n\ntype    unknown 2, vae 1\nbase    llama 1\nformat  safetensors 2, gguf 1\n"
    )
    facets = cellar("search", "--facets", "alpha", "--json").json()["facets"]
    assert facets["type"] == [{"value": "unknown", "count": 1}]
    assert facets["format"] == [{"value": "safetensors", "count": 1}]
    assert "facets" not in cellar("search", "alpha", "--json").json()


def test_show(cellar: Cellar) -> None:
    model = cellar("show", "alpha-lora", "--json").json()["model"]
    file = model["files"][0]
    text = cellar("show", model["id"][:8]).stdout
    for wanted in (model["id"], file["blake3"], file["sha256"], file["location"], "20,0"):
        assert wanted in text
    for handle in (model["id"], "alpha-lora", file["blake3"], file["sha256"][:12]):
        assert cellar("show", handle, "-q").stdout.strip() == model["id"]


def test_edit(cellar: Cellar) -> None:
    dry = cellar("edit", "beta", "--name", "Beta Two", "--tag", "x", "--dry-run")
    assert dry.stdout.startswith("would edit beta-")
    assert "name: beta -> Beta Two" in dry.stdout
    assert names(cellar) == ["alpha-lora", "beta", "gamma-q4"]
    done = cellar("edit", "beta", "--name", "Beta Two", "--tag", "x", "--note", "one\ntwo")
    assert "tags: (none) -> x" in done.stdout
    assert "cellar undo" in done.stderr
    assert "Beta Two" in names(cellar)
    assert "note        one\n            two\n" in cellar("show", "Beta Two").stdout
    same = cellar("edit", "Beta Two", "--tag", "x")
    assert same.stdout.startswith("nothing to change")
    assert same.stderr == ""
    cellar("edit", "Beta Two", "--untag", "x", "--base-model", "SDXL")
    model = cellar("show", "Beta Two", "--json").json()["model"]
    assert (model["tags"], model["base_model"]) == ([], "SDXL")
    assert cellar("edit", "Beta Two", "--name", "", "-q").stdout.startswith("beta-")
    assert "beta" in names(cellar)


def test_remove_and_undo(cellar: Cellar) -> None:
    dry = cellar("remove", "beta", "--dry-run")
    assert dry.stdout.startswith("would remove beta-")
    assert len(names(cellar)) == 3
    done = cellar("remove", "beta", "alpha-lora")
    assert [line.split("-")[0] for line in done.stdout.splitlines()] == [
        "removed beta",
        "removed alpha",
    ]
    assert "cellar undo" in done.stderr
    assert names(cellar) == ["gamma-q4"]
    would = cellar("undo", "--dry-run")
    assert would.stdout.startswith("would take back: remove of 2 models")
    assert names(cellar) == ["gamma-q4"]
    assert cellar("undo").stdout.startswith("took back: remove of 2 models")
    assert names(cellar) == ["alpha-lora", "beta", "gamma-q4"]
    ids = cellar("remove", "gamma-q4", "beta", "gamma-q4", "-q").stdout.split()
    assert [one.split("-")[0] for one in ids] == ["gamma", "beta"]


def test_verify(cellar: Cellar) -> None:
    assert cellar("verify").stdout == "3 models checked, 3 ok\n"
    assert cellar("verify", "beta", "--quick").stdout == "1 model checked, 1 ok\n"
    assert cellar("verify", "--max-duration", "1h30m").exit_code == 0
    model = cellar("show", "beta", "--json").json()["model"]
    assert model["verified_at"] is not None
    place = Path(model["files"][0]["location"])
    place.chmod(0o644)
    with place.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    result = cellar("verify", check=False)
    (row,) = (line for line in result.stdout.splitlines() if "damaged" in line)
    assert row.split()[:4] == [model["id"], "beta.safetensors", "damaged", model_digest(model)]
    assert "3 models checked, 2 ok" in result.stdout
    assert "import it" in result.stderr
    assert cellar("verify", "-q", check=False).stdout == f"{model['id']}\n"


def test_purge(cellar: Cellar) -> None:
    [model] = cellar("search", "alpha", "--json").json()["models"]
    cellar("remove", model["id"])
    refused = cellar("purge", check=False)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert cellar("purge", "--dry-run", "-q").stdout.split() == [model["id"]]
    assert cellar("purge", "--yes", "--older-than", "1h", "--json").json()["models"] == []
    done = cellar("purge", "--yes", "--json").json()
    assert done["models"] == [model["id"]]
    assert done["size_bytes"] > 0
    assert cellar("undo", "--json").json()["entry"]["command"] == "import"


def model_digest(model: dict[str, list[dict[str, str]]]) -> str:
    """The BLAKE3 of a model's only file."""
    return model["files"][0]["blake3"]


def test_verify_stops_in_time(cellar: Cellar) -> None:
    result = cellar("verify", "--max-duration", "0.000000001")
    assert "0 models checked, 0 ok, 3 not reached in the time given" in result.stdout
    assert cellar("verify", "--max-duration", "0.000000001", "--json").json()["not_reached"] == 3


def test_rebuild(cellar: Cellar, filled: Path) -> None:
    before = cellar("list", "--json").json()
    for path in (filled / "catalog").iterdir():
        path.unlink()
    assert cellar("rebuild").stdout.startswith("3 models in ")
    assert cellar("list", "--json").json() == before
    assert cellar("rebuild", "-q").stdout == ""
    (manifest, *_) = sorted((filled / "manifests").iterdir())
    manifest.chmod(0o644)
    manifest.write_text("{")
    result = cellar("rebuild", check=False)
    assert result.exit_code == 3
    assert "problem: " in result.stdout


def test_config_show(cellar: Cellar, tmp_path: Path) -> None:
    def settings(*args: str, **env: str) -> dict[str, dict[str, object]]:
        found = cellar("config", "show", "--json", *args, env=env).json()["settings"]
        return {setting["name"]: setting for setting in found}

    assert settings()["offline"] == {"name": "offline", "value": False, "origin": "default"}
    assert settings("--offline")["offline"]["origin"] == "flag --offline"
    assert settings("--offline")["offline"]["value"] is True
    assert settings(HF_HUB_OFFLINE="1")["offline"]["origin"] == "environment HF_HUB_OFFLINE"
    here = settings("--library", str(tmp_path), MODELCELLAR_LIBRARY="/elsewhere")["library"]
    assert (here["value"], here["origin"]) == (str(tmp_path), "flag --library")
    table = cellar("config", "show").stdout.splitlines()
    assert table[0].split() == ["NAME", "VALUE", "FROM"]
    assert cellar("config", "show", "-q").stdout.split()[0] == "library"


def test_a_narrow_terminal_cuts_names_not_lines(cellar: Cellar) -> None:
    cellar("edit", "beta", "--name", "a name that is much longer than the terminal is wide " * 3)
    lines = run_in_terminal("list", columns=72, env={"NO_COLOR": "1"}).text.splitlines()
    assert max(map(len, lines)) <= 72
    assert any("…" in line for line in lines)
    assert "…" not in cellar("list").stdout, "a pipe gets everything"
