"""House rules that no tool checks for us."""

import importlib
import importlib.metadata
import pkgutil
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("modelcellar", "modelcellar_cli", "modelcellar_hashing")
SOURCES = sorted(
    path
    for suffix in ("*.py", "*.pyi", "*.rs")
    for path in (ROOT / "packages").rglob(suffix)
    if not {"target", "build", ".venv"}.intersection(path.parts)
)


def modules() -> list[str]:
    found = list(PACKAGES)
    for name in PACKAGES:
        package = importlib.import_module(name)
        found += [info.name for info in pkgutil.walk_packages(package.__path__, f"{name}.")]
    return [name for name in found if not name.endswith("__main__")]


def test_sources_were_found() -> None:
    assert {path.suffix for path in SOURCES} == {".py", ".pyi", ".rs"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", modules())
def test_public_names_exist(name: str) -> None:
    module = importlib.import_module(name)
    missing = [public for public in getattr(module, "__all__", ()) if not hasattr(module, public)]
    assert missing == []


def test_versions_agree() -> None:
    cargo = tomllib.loads((ROOT / "packages/hashing-ext/Cargo.toml").read_text(encoding="utf-8"))
    versions = {name: importlib.import_module(name).__version__ for name in PACKAGES}
    installed = {name: importlib.metadata.version(name) for name in PACKAGES}
    assert installed == versions
    assert set(versions.values()) == {cargo["package"]["version"]}


@pytest.mark.parametrize("package", ["hashing-ext", "core", "cli"])
def test_each_package_carries_the_licence(package: str) -> None:
    licence = ROOT / "packages" / package / "LICENSE"
    assert licence.read_bytes() == (ROOT / "LICENSE").read_bytes()
