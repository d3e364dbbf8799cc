"""Digests equal those of other people's programs, for every size where an edge could be."""

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

import modelcellar_hashing
from modelcellar_hashing import FileDigests, copy_with_hashing, hash_file
from tests.hashing_ext.conftest import MIB, sha256_of

EDGES = (0, 64, 1024, 16 * 1024, 256 * 1024, MIB, 4 * MIB, 8 * MIB)
SIZES = sorted(
    {edge + step for edge in EDGES for step in (-65, -3, -1, 0, 1, 3, 64)} - {-65, -3, -1}
)
SIZES_BYTES = [size for size in SIZES if size >= 0]

# FIPS 180-2, appendix B, and the SHA-256 examples of the NIST Cryptographic Toolkit.
NIST_SHA256 = {
    b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
    b"lmnopqrsmnopqrstnopqrstu": "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
    b"a" * 1_000_000: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
}
BLAKE3_VECTORS = json.loads(Path(__file__).with_name("blake3_vectors.json").read_text("utf-8"))


def both_ways(path: Path) -> list[FileDigests]:
    """The digests of ``path`` read by itself, and while it is copied."""
    copy = path.with_name("copy")
    copied = copy_with_hashing(path, copy, publish=False)
    copy.unlink()
    return [hash_file(path), copied]


@pytest.mark.parametrize("size_bytes", SIZES_BYTES)
def test_equal_to_the_reference_packages(size_bytes: int, make_file: Callable[..., Path]) -> None:
    blake3 = pytest.importorskip("blake3")
    path = make_file(size_bytes)
    data = path.read_bytes()
    for digests in both_ways(path):
        assert digests.size_bytes == size_bytes
        assert digests.sha256 == hashlib.sha256(data).hexdigest()
        assert digests.blake3 == blake3.blake3(data).hexdigest()


@pytest.mark.parametrize(("program", "digest"), [("sha256sum", "sha256"), ("b3sum", "blake3")])
def test_equal_to_the_reference_programs(
    program: str, digest: str, make_file: Callable[..., Path]
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    paths = [make_file(size_bytes, f"file-{size_bytes}") for size_bytes in SIZES_BYTES]
    printed = subprocess.run([program, *paths], capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in printed.splitlines()] == [
        getattr(hash_file(path), digest) for path in paths
    ]


@pytest.mark.parametrize(("length", "expected"), BLAKE3_VECTORS["hash_by_length"].items())
def test_official_blake3_vectors(length: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "vector"
    path.write_bytes(bytes(i % 251 for i in range(int(length))))
    assert [digests.blake3 for digests in both_ways(path)] == [expected, expected]


@pytest.mark.parametrize(("message", "expected"), NIST_SHA256.items(), ids=range(len(NIST_SHA256)))
def test_nist_sha256_vectors(message: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "vector"
    path.write_bytes(message)
    assert [digests.sha256 for digests in both_ways(path)] == [expected, expected]


@pytest.mark.slow
def test_five_sparse_gibibytes(tmp_path: Path) -> None:
    size_bytes = 5 * 1024 * MIB + 3
    path = tmp_path / "sparse"
    middle = size_bytes // 2 + 7
    with path.open("wb") as file:
        file.seek(middle)
        file.write(b"needle")
        file.truncate(size_bytes)
    with path.open("rb") as file:
        expected = hashlib.file_digest(file, "sha256").hexdigest()

    copy = tmp_path / "copy"
    digests = copy_with_hashing(path, copy, publish=False)

    assert (digests.sha256, digests.size_bytes) == (expected, size_bytes)
    assert copy.stat().st_size == size_bytes
    assert copy.stat().st_blocks * 512 < MIB
    with copy.open("rb") as file:
        file.seek(middle)
        assert file.read(6) == b"needle"


def test_from_disk_gives_the_same_digests(make_file: Callable[..., Path]) -> None:
    path = make_file(5 * MIB)
    assert hash_file(path, from_disk=True).blake3 == hash_file(path).blake3


def test_digests_read_well(make_file: Callable[..., Path]) -> None:
    digests = hash_file(make_file(1000))
    assert re.fullmatch(
        r"FileDigests\(blake3='[0-9a-f]{64}', sha256='[0-9a-f]{64}', size_bytes=1000,"
        r" seconds=\d\.\d{6}\)",
        repr(digests),
    )
    with pytest.raises(AttributeError):
        digests.size_bytes = 1  # type: ignore[misc]


def test_module_says_what_it_is() -> None:
    assert modelcellar_hashing.__version__ == version("modelcellar-hashing")
    assert modelcellar_hashing.SHA256_BACKEND in {*BACKENDS.values(), "sha2 (software)"}
    assert all(hasattr(modelcellar_hashing, name) for name in modelcellar_hashing.__all__)


@pytest.mark.parametrize("as_type", [str, os.fsencode, Path])
def test_every_kind_of_path(
    as_type: Callable[[Path], str | bytes | Path], make_file: Callable[..., Path]
) -> None:
    assert hash_file(as_type(make_file(10))).size_bytes == 10


def test_null_byte_in_a_path() -> None:
    with pytest.raises(ValueError, match="embedded null byte"):
        hash_file("a\0b")


def test_not_a_path() -> None:
    with pytest.raises(TypeError):
        hash_file(3)  # type: ignore[arg-type]


def test_files_of_the_kernel_that_have_no_size() -> None:
    with pytest.raises(modelcellar_hashing.SourceChangedError) as caught:
        hash_file("/proc/self/status")
    assert caught.value.errno == errno.ESTALE


BACKENDS = {
    "sha-ni": "sha2 (x86 SHA-NI)",
    "avx2": "AVX2, 8 lanes",
    "sha2": "sha2 (Armv8 SHA2)",
    "software": "software",
}
BY_BACKEND = """
import sys, modelcellar_hashing as m
print(m.SHA256_BACKEND)
for one in m.hash_many(sys.argv[1:]):
    print(one.sha256)
print(m.hash_file(sys.argv[-1]).sha256)
"""


def is_there(backend: str) -> bool:
    """Whether this processor can do it, by what the kernel says of it."""
    flags = Path("/proc/cpuinfo").read_text().split()
    flag = {"sha-ni": "sha_ni", "avx2": "avx2", "sha2": "sha2"}.get(backend)
    return flag in flags if flag else backend == "software"


@pytest.mark.parametrize("asked", [*BACKENDS, "no such thing"])
def test_every_back_end_has_the_same_digests(asked: str, make_file: Callable[..., Path]) -> None:
    """One that this processor has not is not used, but the fastest that it has."""
    sizes = (0, 1, 63, 64, 65, 127, 1000, 4096, 100_000, 1 << 20, 5_000_001)
    paths = [make_file(size, f"s{size}") for size in sizes]
    done = subprocess.run(
        [sys.executable, "-c", BY_BACKEND, *paths],
        env={**os.environ, "MODELCELLAR_SHA256": asked},
        capture_output=True,
        text=True,
        check=True,
    )
    used, *digests = done.stdout.split("\n")[:-1]
    assert used == (BACKENDS[asked] if is_there(asked) else modelcellar_hashing.SHA256_BACKEND)
    assert digests == [sha256_of(path) for path in [*paths, paths[-1]]]
