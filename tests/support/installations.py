"""Installations of applications, with files of their users, and libraries to link from."""

from collections.abc import Sequence
from pathlib import Path

from modelcellar.library import ModelLibrary
from modelcellar.records import ModelType
from tests.support.models import write_safetensors

LORAS = "models/loras"


def write_comfyui(root: Path) -> Path:
    """An empty ComfyUI, as a clone of its repository leaves it."""
    (root / LORAS).mkdir(parents=True)
    (root / "models" / "checkpoints").mkdir()
    (root / "folder_paths.py").write_text("# ComfyUI\n")
    (root / LORAS / "put_loras_here").write_bytes(b"")
    return root


def import_loras(
    library: ModelLibrary, folder: Path, names: Sequence[str], *, first_seed: int = 0
) -> list[str]:
    """Import one small LoRA of each name; their ids in that order."""
    paths = [
        write_safetensors(folder / f"{name}.safetensors", seed=first_seed + number, size_bytes=64)
        for number, name in enumerate(names)
    ]
    report = library.import_paths(paths, model_type=ModelType.LORA, lookup=False)
    ids = {Path(found.source): found.model_id for found in report.results}
    return [str(ids[path]) for path in paths]
