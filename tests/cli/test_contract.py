"""Every command's ``--json`` has the fields and types that are promised."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import CommandResult

Cellar = Callable[..., CommandResult]
NoneType = type(None)
TEXT_OR_NULL = (str, NoneType)

FILE = {"path": str, "size_bytes": int, "blake3": str, "sha256": str, "format": str}
IDENTITY = {
    "status": str,
    "provider": TEXT_OR_NULL,
    "repo_id": TEXT_OR_NULL,
    "revision": TEXT_OR_NULL,
    "path": TEXT_OR_NULL,
    "evidence": TEXT_OR_NULL,
}
MODEL = {
    "id": str,
    "name": str,
    "type": str,
    "format": str,
    "base_model": TEXT_OR_NULL,
    "family": TEXT_OR_NULL,
    "summary": str,
    "size_bytes": int,
    "files": [FILE],
    "identity": IDENTITY,
    "tags": [str],
    "note": str,
    "security": {"verdict": str, "details": [str]},
    "added_at": str,
    "verified_at": TEXT_OR_NULL,
}
ERROR = {"code": str, "message": str, "hint": str}
ENTRY = {
    "id": str,
    "at": str,
    "command": str,
    "model_ids": [str],
    "details": dict,
    "undone_at": TEXT_OR_NULL,
}
DAMAGE = {"model_id": str, "path": str, "expected": str, "actual": str}
HASHED = {"path": str, "size_bytes": int, "blake3": str, "sha256": str}


def assert_shape(value: Any, shape: Any, place: str = "$") -> None:
    """Every promised field is there with its type; more fields are allowed."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), f"{place} is {value!r}"
        for key, inner in shape.items():
            assert key in value, f"{place}.{key} is missing"
            assert_shape(value[key], inner, f"{place}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{place} is {value!r}"
        for number, item in enumerate(value):
            assert_shape(item, shape[0], f"{place}[{number}]")
    else:
        assert isinstance(value, shape), f"{place} is {value!r}"


def test_the_checker_finds_a_missing_and_a_wrong_field() -> None:
    with pytest.raises(AssertionError, match=r"files\[0\].size_bytes"):
        assert_shape({"files": [{"size_bytes": "1"}]}, {"files": [{"size_bytes": int}]})
    with pytest.raises(AssertionError, match=r"\$.total is missing"):
        assert_shape({}, {"total": int})


def test_init(cellar: Cellar, tmp_path: Path) -> None:
    found = cellar("init", tmp_path / "lib", "--json").json()
    assert_shape(found, {"library": {"path": str, "library_id": str}})
    assert found["library"]["path"] == str(tmp_path / "lib")


def test_import(cellar: Cellar, collection: Path) -> None:
    report = cellar("import", collection, "--json", check=False).json()
    result = {"source": str, "status": str, "model_id": TEXT_OR_NULL, "error": (dict, NoneType)}
    assert_shape(
        report,
        {
            "results": [result],
            "models": [MODEL],
            "skipped": [{"source": str, "reason": str}],
            "bytes_read": int,
            "bytes_written": int,
            "seconds": float,
            "dry_run": bool,
        },
    )
    by_name = {Path(one["source"]).name: one for one in report["results"]}
    assert by_name["alpha-lora.safetensors"]["status"] == "imported"
    assert by_name["alpha-lora.safetensors"]["error"] is None
    assert by_name["pointer.safetensors"]["status"] == "refused"
    assert_shape(by_name["pointer.safetensors"]["error"], ERROR)
    assert [Path(one["source"]).name for one in report["skipped"]] == ["notes.txt"]
    assert {model["id"] for model in report["models"]} == {
        one["model_id"] for one in report["results"] if one["status"] == "imported"
    }
    assert report["bytes_written"] == sum(model["size_bytes"] for model in report["models"])


def test_list_and_search(cellar: Cellar, filled: Path) -> None:
    assert filled.is_dir()
    listed = cellar("list", "--json").json()
    assert_shape(listed, {"total": int, "models": [MODEL]})
    assert listed["total"] == len(listed["models"]) == 3
    found = cellar("search", "alpha", "--json").json()
    assert_shape(found, {"query": str, "total": int, "models": [MODEL], "took_ms": float})
    assert found["query"] == "alpha"
    assert [model["name"] for model in found["models"]] == ["alpha-lora"]


def test_show_and_edit(cellar: Cellar, filled: Path) -> None:
    shown = cellar("show", "beta", "--json").json()
    assert_shape(shown, {"model": MODEL})
    location = shown["model"]["files"][0]["location"]
    assert Path(location).is_relative_to(filled)
    assert Path(location).stat().st_size == shown["model"]["size_bytes"]
    edited = cellar("edit", "beta", "--type", "vae", "--tag", "a", "--tag", "b", "--json").json()
    assert_shape(edited, {"model": MODEL})
    assert (edited["model"]["type"], edited["model"]["tags"]) == ("vae", ["a", "b"])


def test_remove_and_undo(cellar: Cellar, filled: Path) -> None:
    assert filled.is_dir()
    removed = cellar("remove", "beta", "--json").json()
    assert_shape(removed, {"entry": ENTRY})
    assert removed["entry"]["command"] == "remove"
    undone = cellar("undo", "--json").json()
    assert_shape(undone, {"entry": ENTRY})
    assert undone["entry"]["id"] == removed["entry"]["id"]
    assert undone["entry"]["undone_at"] is not None


def test_verify_and_rebuild(cellar: Cellar, filled: Path) -> None:
    shape = {"checked": int, "ok": int, "damaged": [DAMAGE], "missing": [DAMAGE]}
    well = cellar("verify", "--json").json()
    assert_shape(well, shape)
    assert (well["checked"], well["ok"]) == (3, 3)
    location = Path(cellar("show", "beta", "--json").json()["model"]["files"][0]["location"])
    location.parent.chmod(0o755)
    location.unlink()
    worse = cellar("verify", "--json", check=False).json()
    assert_shape(worse, shape)
    assert [one["path"] for one in worse["missing"]] == ["beta.safetensors"]
    rebuilt = cellar("rebuild", "--json").json()
    assert_shape(rebuilt, {"models": int, "seconds": float})
    assert rebuilt["models"] == 3
    assert filled.is_dir()


def test_hash_and_inspect(cellar: Cellar, collection: Path) -> None:
    path = collection / "beta.safetensors"
    hashed = cellar("hash", path, "--json").json()
    assert_shape(hashed, {"files": [HASHED]})
    assert hashed["files"][0]["size_bytes"] == path.stat().st_size
    inspected = cellar("inspect", path, collection / "pointer.safetensors", "--json").json()
    loose_file = {**FILE, "blake3": TEXT_OR_NULL, "sha256": TEXT_OR_NULL}
    nothing_yet = {"id": TEXT_OR_NULL, "added_at": TEXT_OR_NULL, "files": [loose_file]}
    assert_shape(inspected, {"files": [{**MODEL, **nothing_yet}]})
    good, pointer = inspected["files"]
    assert (good["format"], good["refusal"]) == ("safetensors", None)
    assert_shape(pointer["refusal"], ERROR)


def test_drives(cellar: Cellar, tmp_path: Path) -> None:
    found = cellar("drives", tmp_path, "--json").json()
    finding = {"level": str, "code": str, "message": str, "hint": str}
    drive = {
        "path": str,
        "kind": str,
        "confidence": str,
        "devices": [str],
        "reason": str,
        "concurrency": int,
        "file_system": str,
        "network": bool,
        "removable": bool,
        "findings": [finding],
    }
    assert_shape(found, {"drives": [drive], "errors": [{"path": str, "error": ERROR}]})
    (one,) = found["drives"]
    assert one["path"] == str(tmp_path)
    assert one["kind"] in {"ssd", "hdd", "unknown"}


def test_bench(cellar: Cellar, tmp_path: Path) -> None:
    found = cellar("bench", tmp_path, "--size", "4MiB", "--json").json()
    case = {
        "name": str,
        "size_bytes": int,
        "seconds": float,
        "rounds": [float],
        "bytes_per_second": float,
    }
    drive = {"path": str, "kind": str, "confidence": str, "devices": [str], "reason": str}
    drive["concurrency"] = int
    shape = {"drive": drive, "cases": [case], "bottleneck": str, "sha256_backend": str}
    assert_shape(found, shape)
    assert found["bottleneck"] in {one["name"] for one in found["cases"]}


def test_config_and_completion(cellar: Cellar) -> None:
    settings = cellar("config", "show", "--json").json()
    assert_shape(settings, {"settings": [{"name": str, "origin": str}]})
    names = {setting["name"] for setting in settings["settings"]}
    assert {"library", "offline"} <= names
    script = cellar("completion", "zsh", "--json").json()
    assert_shape(script, {"shell": str, "script": str})


@pytest.mark.parametrize("args", [["show", "nothing"], ["list", "--nonsense"], ["nonsense"]])
def test_errors_are_json_on_standard_error(cellar: Cellar, args: list[str]) -> None:
    result = cellar(*args, "--json", check=False)
    assert result.exit_code != 0
    assert result.stdout == ""
    assert_shape(result.json_error(), ERROR)
