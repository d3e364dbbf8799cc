"""Data of the contest: valid models of seeded random bytes, never zeros, never with holes."""

import json
import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
KIB = 1 << 10
HEADER_BYTES = 120
SMALLEST_BYTES = 4 * KIB


@dataclass(frozen=True, slots=True)
class Load:
    """So many files of such a size, at scale 1."""

    name: str
    files: int
    size_bytes: int

    def scaled(self, scale: float) -> "Load":
        """A smaller load of the same shape: fewer files when there are many, else smaller ones."""
        if self.files > 100:
            return Load(self.name, max(20, round(self.files * scale)), self.size_bytes)
        return Load(self.name, self.files, max(SMALLEST_BYTES, round(self.size_bytes * scale)))

    @property
    def total_bytes(self) -> int:
        """Bytes of all files together."""
        return self.files * self.size_bytes

    def __str__(self) -> str:
        size, unit = (self.size_bytes // KIB, "KiB")
        if size >= KIB * KIB:
            size, unit = size // (KIB * KIB), "GiB"
        elif size >= KIB:
            size, unit = size // KIB, "MiB"
        return f"{self.files:,} x {size} {unit}" if self.files > 1 else f"one file of {size} {unit}"


LARGE = Load("large", 1, 1024 * MIB)
LARGEST = Load("largest", 1, 4096 * MIB)
EIGHT = Load("eight", 8, 256 * MIB)
SMALL = Load("small", 10_000, 16 * KIB)


def write_seeded_model(path: Path, size_bytes: int, seed: str) -> None:
    """A valid safetensors file of exactly ``size_bytes``, whose weights come from ``seed``."""
    data_bytes = size_bytes - HEADER_BYTES - 8
    tensor = {"dtype": "U8", "shape": [data_bytes], "data_offsets": [0, data_bytes]}
    header = json.dumps({"weight": tensor}).encode().ljust(HEADER_BYTES)
    chance = random.Random(seed)
    with path.open("xb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, data_bytes, MIB):
            file.write(chance.randbytes(min(MIB, data_bytes - start)))


def make_sources(folder: Path, load: Load) -> list[Path]:
    """The files of ``load`` in the new folder ``folder``, written out to the disk."""
    folder.mkdir(parents=True)
    paths = [folder / f"model-{number:05}.safetensors" for number in range(load.files)]
    for path in paths:
        write_seeded_model(path, load.size_bytes, f"{load.name} {path.name}")
    os.sync()
    return paths


def warm(paths: Sequence[Path]) -> None:
    """Read every file, so that it is in the page cache."""
    buffer = bytearray(MIB)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def remove_tree(folder: Path) -> None:
    """Delete a folder, the write-protected ones of a library included."""
    if not folder.exists():
        return
    for base, folders, _ in os.walk(folder):
        for name in folders:
            Path(base, name).chmod(0o755)
    shutil.rmtree(folder)


def drop_cached(paths: Sequence[Path]) -> None:
    """Let the kernel forget the cached pages of clean files, so that the disk is read again."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
