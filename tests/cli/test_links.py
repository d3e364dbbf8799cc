"""From ``app add`` to ``app remove``, as a person does it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_contract import ENTRY, NoneType, assert_shape
from tests.support.command import CommandResult
from tests.support.installations import LORAS, write_comfyui
from tests.support.models import write_safetensors
from tests.support.trees import tree

Cellar = Callable[..., CommandResult]

ACTION = {
    "action": str,
    "model_id": str,
    "source": (str, NoneType),
    "target": str,
    "link": (str, NoneType),
    "reason": str,
}
REPORT = {
    "apps": [{"app": str, "actions": [ACTION]}],
    "failures": list,
    "entry": (dict, NoneType),
    "dry_run": bool,
}
APP = {
    "name": str,
    "preset": str,
    "root": str,
    "link": str,
    "only": str,
    "folders": dict,
    "added_at": str,
}
LINK = {
    "target": str,
    "app": str,
    "model_id": str,
    "path": str,
    "link": str,
    "source": str,
    "sha256": str,
    "size_bytes": int,
    "made_at": str,
    "health": str,
}


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    """ComfyUI with a model of its user."""
    root = write_comfyui(tmp_path / "ComfyUI")
    (root / LORAS / "my own.safetensors").write_text("mine")
    return root


@pytest.fixture
def loras(cellar: Cellar, tmp_path: Path) -> Path:
    """A library with two LoRAs."""
    folder = tmp_path / "loras"
    for number, name in enumerate(("anime", "flat")):
        write_safetensors(folder / f"{name}.safetensors", seed=number, size_bytes=64)
    cellar("import", folder, "--type", "lora", "-q")
    return folder


def actions(result: CommandResult) -> dict[str, str]:
    report: Any = result.json()
    assert_shape(report, REPORT)
    return {
        Path(one["target"]).stem: one["action"] for app in report["apps"] for one in app["actions"]
    }


@pytest.mark.usefixtures("loras")
def test_from_the_first_day_to_the_last(cellar: Cellar, comfyui: Path) -> None:
    before = tree(comfyui)
    added = cellar("app", "add", "comfyui", comfyui)
    assert added.stdout == f"added comfyui (ComfyUI) at {comfyui}\n"
    assert "cellar sync" in added.stderr
    planned = cellar("plan")
    assert "to create" in planned.stdout
    assert tree(comfyui) == before
    assert cellar("sync").stdout == "comfyui: 2 created\n"
    assert (comfyui / LORAS / "anime.safetensors").samefile(
        cellar("show", "anime", "--json").json()["model"]["files"][0]["location"]
    )
    assert cellar("sync").stdout == "comfyui: 2 kept\n"
    links = cellar("links")
    assert [line.split()[0] for line in links.stdout.splitlines()] == ["HEALTH", "ok", "ok"]
    cellar("remove", "anime")
    assert not os.path.lexists(comfyui / LORAS / "anime.safetensors")
    undone = cellar("undo")
    assert "remove of 1 model" in undone.stdout
    assert (comfyui / LORAS / "anime.safetensors").exists()
    assert cellar("app", "remove", "comfyui").stdout == "comfyui: 2 removed\n"
    assert tree(comfyui) == before
    assert "app remove of comfyui" in cellar("undo").stdout
    assert "sync of comfyui" in cellar("undo").stdout
    assert tree(comfyui) == before


@pytest.mark.usefixtures("loras")
def test_what_is_promised_as_json(cellar: Cellar, comfyui: Path) -> None:
    added = cellar("app", "add", "comfyui", comfyui, "--folder", "vae=", "--json").json()
    assert_shape(added, {"apps": [APP], "hazards": [str], "entry": ENTRY, "dry_run": bool})
    assert added["apps"][0]["folders"] == {"vae": ""}
    assert_shape(cellar("app", "list", "--json").json(), {"apps": [{**APP, "links": int}]})
    assert actions(cellar("plan", "--json")) == {"anime": "create", "flat": "create"}
    done = cellar("sync", "comfyui", "--json")
    assert actions(done) == {"anime": "create", "flat": "create"}
    assert_shape(done.json()["entry"], ENTRY)
    assert actions(cellar("sync", "--json")) == {"anime": "keep", "flat": "keep"}
    assert cellar("sync", "--json").json()["entry"] is None
    assert_shape(cellar("links", "--json").json(), {"links": [LINK]})
    assert len(cellar("links", "anime", "--json").json()["links"]) == 1
    assert actions(cellar("app", "remove", "comfyui", "--json")) == {
        "anime": "remove",
        "flat": "remove",
    }


@pytest.mark.usefixtures("loras")
def test_quiet_prints_ids_only(cellar: Cellar, comfyui: Path) -> None:
    assert cellar("app", "add", "comfyui", comfyui, "-q").stdout == "comfyui\n"
    ids = cellar("list", "-q").stdout
    assert cellar("plan", "-q").stdout == ids
    assert cellar("sync", "-q").stdout == ids
    assert cellar("sync", "-q").stdout == ""
    assert cellar("links", "-q").stdout == ""
    (comfyui / LORAS / "anime.safetensors").unlink()
    assert cellar("links", "-q").stdout == f"{comfyui / LORAS / 'anime.safetensors'}\n"
    assert cellar("app", "list", "-q").stdout == "comfyui\n"
    assert cellar("app", "remove", "comfyui", "-q").stdout == ids


@pytest.mark.usefixtures("loras")
def test_3_where_something_stands_in_the_way(cellar: Cellar, comfyui: Path) -> None:
    cellar("app", "add", "comfyui", comfyui)
    (comfyui / LORAS / "flat.safetensors").write_text("mine")
    for verb in ("plan", "sync"):
        result = cellar(verb, check=False)
        assert result.exit_code == 3
        assert "a file that is not ours is there" in result.stdout
    assert (comfyui / LORAS / "flat.safetensors").read_text() == "mine"


@pytest.mark.usefixtures("loras")
def test_3_where_an_application_is_away(cellar: Cellar, comfyui: Path) -> None:
    cellar("app", "add", "comfyui", comfyui)
    cellar("sync")
    shutil.rmtree(comfyui)
    result = cellar("sync", check=False)
    assert result.exit_code == 3
    assert "offline" in result.stdout
    assert "offline" in cellar("links").stdout
    refused = cellar("app", "remove", "comfyui", check=False)
    assert (refused.exit_code, "--forget" in refused.stderr) == (2, True)
    cellar("app", "remove", "comfyui", "--forget")
    assert cellar("app", "list", "--json").json() == {"apps": []}


@pytest.mark.usefixtures("loras")
def test_3_where_the_disk_below_an_application_is_away(
    cellar: Cellar, comfyui: Path, tmp_path: Path
) -> None:
    (comfyui / "models").rename(tmp_path / "disk")
    (comfyui / "models").symlink_to(tmp_path / "disk")
    cellar("app", "add", "comfyui", comfyui)
    cellar("sync")
    (tmp_path / "disk").rename(tmp_path / "away")
    removed = cellar("app", "remove", "comfyui", check=False)
    assert removed.exit_code == 3
    assert "is not there: offline" in removed.stdout
    assert cellar("app", "list", "-q").stdout == "comfyui\n"
    (tmp_path / "away").rename(tmp_path / "disk")
    cellar("app", "remove", "comfyui")
    assert sorted(path.name for path in (tmp_path / "disk" / "loras").iterdir()) == [
        "my own.safetensors",
        "put_loras_here",
    ]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["sync", "nobody"], "no application is called 'nobody'"),
        (["plan", "nobody"], "no application is called 'nobody'"),
        (["links", "--app", "nobody"], "no application is called 'nobody'"),
        (["app", "remove", "nobody"], "no application is called 'nobody'"),
        (["app", "add", "nobody", "."], "no preset"),
        (["app", "add", "comfyui", "missing"], "no folder"),
        (["app", "add", "comfyui", ".", "--folder", "lora"], "TYPE=FOLDER"),
        (["app", "add", "comfyui", ".", "--folder", "shoe=x"], "TYPE=FOLDER"),
        (["app", "add", "comfyui"], "is not where it usually is"),
    ],
)
@pytest.mark.usefixtures("loras")
def test_2_what_cannot_be_meant(cellar: Cellar, args: list[str], text: str, tmp_path: Path) -> None:
    result = cellar(*args, check=False, cwd=tmp_path)
    assert result.exit_code == 2
    assert text in result.stderr


@pytest.mark.usefixtures("loras")
def test_without_any_application(cellar: Cellar) -> None:
    for verb in ("plan", "sync"):
        assert "app add" in cellar(verb).stderr
        assert cellar(verb, "--json").json()["apps"] == []
    assert cellar("links", "--json").json() == {"links": []}


@pytest.mark.usefixtures("loras")
def test_an_application_in_its_usual_place_is_found(cellar: Cellar, home: Path) -> None:
    write_comfyui(home / "ComfyUI")
    assert cellar("app", "add", "comfyui").stdout.endswith(f"at {home / 'ComfyUI'}\n")


@pytest.mark.usefixtures("loras")
def test_models_without_a_place_are_counted_not_listed(cellar: Cellar, comfyui: Path) -> None:
    cellar("edit", "flat", "--type", "llm")
    cellar("app", "add", "comfyui", comfyui)
    result = cellar("sync")
    assert result.exit_code == 0
    assert result.stdout == "comfyui: 1 created\n"
    assert "1 model without a place" in result.stderr


def test_hostile_names_are_shown_and_linked(cellar: Cellar, comfyui: Path, tmp_path: Path) -> None:
    name = os.fsdecode("caf\u00e9 \u0441\u0430\u0442".encode() + b" \xff.safetensors")
    made = write_safetensors(tmp_path / "odd" / "plain.safetensors", seed=3, size_bytes=64)
    cellar("import", made.rename(made.with_name(name)), "--type", "lora")
    cellar("app", "add", "comfyui", comfyui)
    result = cellar("plan")
    assert "\\xff.safetensors" in result.stdout
    cellar("sync")
    assert (comfyui / LORAS / name).exists()
    (link,) = cellar("links", "--json").json()["links"]
    assert os.fsencode(comfyui / LORAS / name).hex() == link["target_hex"]
