"""Where applications are installed."""

from pathlib import Path

import pytest

from modelcellar.links.preset_values import Preset, RootRule
from modelcellar.links.presets import load_preset
from modelcellar.links.roots import is_root, likely_roots


def preset(*places: str, marks: tuple[str, ...] = ()) -> Preset:
    return Preset("x", "X", root=RootRule("x", marks, places))


def test_places_that_are_there_in_their_order(tmp_path: Path) -> None:
    for name in ("one", "home/two", "three/models"):
        (tmp_path / name).mkdir(parents=True)
    environ = {"ONE": str(tmp_path / "one"), "EMPTY": "", "BASE": str(tmp_path)}
    found = preset(
        *("$UNSET/x", "$EMPTY", "$ONE", "~/two", "~/none", "$BASE/three/models", "$BASE/one"),
        *("relative", "~nobody/x"),
    )
    assert list(likely_roots(found, environ=environ, home=tmp_path / "home")) == [
        tmp_path / "one",
        tmp_path / "home" / "two",
        tmp_path / "three" / "models",
    ]


def test_one_of_the_marks_is_enough(tmp_path: Path) -> None:
    marked = preset("~/app", marks=("main.py", "models/loras"))
    assert not is_root(marked, tmp_path / "app")
    (tmp_path / "app" / "models" / "loras").mkdir(parents=True)
    assert is_root(marked, tmp_path / "app")
    assert list(likely_roots(marked, environ={}, home=tmp_path)) == [tmp_path / "app"]
    (tmp_path / "app" / "models" / "loras").rmdir()
    assert list(likely_roots(marked, environ={}, home=tmp_path)) == []


def test_a_file_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(b"")
    assert not is_root(preset(), tmp_path / "app")
    assert is_root(preset(), tmp_path)


@pytest.mark.parametrize(
    ("name", "place", "environ"),
    [
        ("comfyui", "ComfyUI", {}),
        ("ollama", ".ollama/models", {}),
        ("ollama", "elsewhere", {"OLLAMA_MODELS": "elsewhere"}),
        ("hf", ".cache/huggingface/hub", {}),
        ("hf", "hf/hub", {"HF_HOME": "hf"}),
        ("lmstudio", ".lmstudio/models", {}),
        ("jan", ".local/share/Jan/data", {}),
        ("jan", "Library/Application Support/Jan/data", {}),
        ("jan", "roaming/Jan/data", {"APPDATA": "roaming"}),
        ("gpt4all", ".local/share/nomic.ai/GPT4All", {}),
    ],
)
def test_the_usual_places(tmp_path: Path, name: str, place: str, environ: dict[str, str]) -> None:
    root = tmp_path / place
    root.mkdir(parents=True)
    known = load_preset(name)
    for mark in known.root.marks[:1]:
        (root / mark).mkdir(parents=True)
    absolute = {key: str(tmp_path / value) for key, value in environ.items()}
    assert list(likely_roots(known, environ=absolute, home=tmp_path)) == [root]
