"""The files of the repository that most tests of the fake look at."""

__all__ = ["FILES", "WEIGHTS"]

WEIGHTS = bytes(range(256)) * 40
FILES = {
    "README.md": b"# Toy\n",
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": WEIGHTS,
    "text encoder/model.safetensors": WEIGHTS[::-1],
    "text encoder/sub/config.json": b"{}",
}
