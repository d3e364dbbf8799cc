"""Which files an ONNX file says its weights are in, and up to where."""

from pathlib import Path

import pytest

from modelcellar.formats.cursor import Cursor
from modelcellar.formats.onnx import MAX_NEEDED_FILES, needed_files
from tests.core.formats.builders import onnx_external_tensor, onnx_file, onnx_tensor


def needed(path: Path, *tensors: bytes) -> dict[str, int] | None:
    path.write_bytes(onnx_file(tensors=tensors))
    with path.open("rb") as file:
        return needed_files(Cursor(file, path.stat().st_size))


@pytest.mark.parametrize(
    ("type_id", "size_bytes"),
    [
        *((1, 400), (2, 100), (10, 200), (15, 1600), (16, 200), (17, 100)),
        *((22, 50), (23, 50), (25, 25), (99, 100)),
    ],
)
def test_bytes_that_a_tensor_needs(tmp_path: Path, type_id: int, size_bytes: int) -> None:
    tensor = onnx_external_tensor(b"w", elements=100, type_id=type_id, offset="4096")
    assert needed(tmp_path / "m.onnx", tensor) == {"w": 4096 + size_bytes}


def test_the_furthest_end_counts(tmp_path: Path) -> None:
    ends = ("0", "1024", "512")
    tensors = [onnx_external_tensor(b"w", elements=1, offset=end) for end in ends]
    assert needed(tmp_path / "m.onnx", *tensors) == {"w": 1028}


@pytest.mark.parametrize("location", [b"w ", b" w\t", b"\xff", b"/home/user/w", b"..\\w"])
def test_locations_are_as_they_are_written(tmp_path: Path, location: bytes) -> None:
    found = needed(tmp_path / "m.onnx", onnx_external_tensor(location))
    assert found == {location.decode(errors="surrogateescape"): 256}


def test_tensors_inside_need_nothing(tmp_path: Path) -> None:
    assert needed(tmp_path / "m.onnx", onnx_tensor((9,))) == {}


def test_more_than_is_read(tmp_path: Path) -> None:
    names = (f"{number}".encode() for number in range(MAX_NEEDED_FILES + 1))
    assert needed(tmp_path / "m.onnx", *map(onnx_external_tensor, names)) is None
