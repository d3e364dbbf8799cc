"""Names that are never a part of a model, and those that only weights have."""

from pathlib import Path

__all__ = ["IGNORED_FOLDERS", "UNFINISHED", "has_weights_name", "is_inside", "is_litter"]

IGNORED_FOLDERS = frozenset({".git", ".cache", "__pycache__", "node_modules"})
IGNORED_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".gitattributes"})
UNFINISHED = (".part", ".partial", ".incomplete", ".crdownload", ".tmp", ".aria2", ".lock")
WEIGHT_ENDINGS = (
    *(".bin", ".ckpt", ".engine", ".ggml", ".ggmf", ".gguf", ".h5", ".mlmodel", ".npy", ".npz"),
    *(".onnx", ".pb", ".pdparams", ".pkl", ".pt", ".pth", ".safetensors", ".sft", ".task"),
    ".tflite",
)
"""Endings that make an unrecognised file in a folder worth keeping. They never say what it is."""


def has_weights_name(name: str) -> bool:
    """Whether only weights end like this name."""
    return name.lower().endswith(WEIGHT_ENDINGS)


def is_litter(name: str) -> bool:
    """Whether an operating system or a program left the file, and no person wants it."""
    return name in IGNORED_FILES or name.startswith("._")


def is_inside(path: Path, library: Path | None) -> bool:
    """Whether a path lies in the library, other than in its trash or in content without manifest.

    From those two a model may be taken in again.
    """
    if library is None:
        return False
    resolved, root = path.resolve(), library.resolve()
    if not resolved.is_relative_to(root):
        return False
    folder, *below = resolved.relative_to(root).parts or ("",)
    if folder == "models" and below:
        return (root / "manifests" / f"{below[0]}.json").exists()
    return folder != "trash"
