"""torch's files, old and new, TorchScript, MediaPipe bundles, and other ZIP files and pickles."""

import io
import pickle
import pickletools
import struct
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.formats.cursor import Cursor
from modelcellar.formats.pickles import MAX_OPCODES, walk
from modelcellar.formats.zips import read_entries
from modelcellar.records import FileFormat
from tests.core.formats.builders import (
    TORCH_PREAMBLE,
    inspect_bytes,
    refusal_code,
    tflite_file,
    torch_legacy_file,
    torch_zip_entries,
    zip_file,
)

_objects = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=600),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(_objects, st.sampled_from([2, 3, 4, 5]), st.binary(max_size=5))
def test_opcodes_are_walked_as_pickletools_does(value: Any, protocol: int, tail: bytes) -> None:
    data = pickle.dumps(value, protocol)
    reference = list(pickletools.genops(data))
    cursor = Cursor(io.BytesIO(data + tail), len(data + tail))
    found = walk(cursor)
    assert cursor.position == len(data)
    assert found.opcode_count == len(reference)
    assert found.protocol == protocol


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bare_pickle(protocol: int) -> None:
    data = pickle.dumps({"weights": [1.0, 2.0], "names": ("a", "b")}, protocol)
    found = inspect_bytes(data)
    assert found.format is FileFormat.TORCH_LEGACY
    assert found.summary == f"pickle, protocol {protocol}"
    assert found.facts["torch"] is False
    assert {refusal_code(data[:end]) for end in range(3, len(data))} == {"truncated"}


class Exploit:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (Exploit, "ran", True))


def test_pickles_are_never_loaded() -> None:
    data = pickle.dumps(Exploit())
    assert inspect_bytes(data).format is FileFormat.TORCH_LEGACY
    assert inspect_bytes(TORCH_PREAMBLE + data + b"\x80\x02].").format is FileFormat.TORCH_LEGACY
    assert not Exploit.ran
    pickle.loads(data)  # The sample does what it should, so the check above can fail.
    assert Exploit.ran


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02.",  # STOP on an empty stack
        b"\x80\x02}R.",  # REDUCE of one value
        b"\x80\x02(.",  # STOP on a mark
        b"\x80\x02\xff\xfe\xfd",
        b"\x80\x06N.",
        b"\x80\x02N" + bytes(100),
    ],
)
def test_what_is_no_pickle_is_unknown(data: bytes) -> None:
    found = inspect_bytes(data)
    assert found.format is FileFormat.UNKNOWN
    assert found.refusal is None


def test_pickle_with_too_many_opcodes_is_not_walked_to_its_end() -> None:
    found = inspect_bytes(b"\x80\x02" + b"N0" * MAX_OPCODES + b"N.")
    assert found.format is FileFormat.TORCH_LEGACY
    assert found.facts["walked"] is False


@pytest.mark.parametrize("opcode", [b"X", b"\x8d", b"\x8e", b"B", b"\x8b", b"T"])
def test_argument_longer_than_the_file(opcode: bytes) -> None:
    data = b"\x80\x04" + opcode + b"\xff\xff\xff\x7f" + bytes(4) + b"x."
    assert refusal_code(data) == "truncated"


def test_old_torch_file() -> None:
    found = inspect_bytes(torch_legacy_file())
    assert found.format is FileFormat.TORCH_LEGACY
    assert found.summary == "pickle, protocol 2, torch, 2 storages, F32 + U8, 5 parameters"


def test_old_torch_file_without_its_last_bytes() -> None:
    data = torch_legacy_file([("7", "LongStorage", 1000)])
    assert refusal_code(data) is None
    refusal = inspect_bytes(data[:-1]).refusal
    assert refusal is not None
    assert refusal.code == "truncated"
    assert "1,000 elements of 8 bytes, 7,999 bytes are left" in refusal.reason


def test_storage_of_unknown_type_is_let_pass() -> None:
    data = torch_legacy_file([("0", "Float3Storage", 8)], widths={"Float3Storage": 1})
    found = inspect_bytes(data[:-4])
    assert found.refusal is None
    assert found.facts["dtypes"] == {"Float3Storage": 1}


def test_old_torch_file_that_goes_on_as_something_else() -> None:
    assert refusal_code(TORCH_PREAMBLE + b"\x80\x02\xff\xff" + bytes(50)) == "damaged"
    assert refusal_code(TORCH_PREAMBLE + b"\x80\x02N.\x80\x02N.") == "damaged"


@pytest.mark.parametrize("root", ["archive", "epoch27_e29f70s308m37.pth", "VADr_v6_10_25_noths_re"])
def test_torch_zip_with_any_root(root: str) -> None:
    found = inspect_bytes(zip_file(torch_zip_entries(root)))
    assert found.format is FileFormat.TORCH_ZIP
    assert found.summary == "torch ZIP, 3 entries, 1 storage"
    assert found.facts["root"] == root


def test_torch_zip_in_its_newest_layout() -> None:
    entries = torch_zip_entries(
        **{
            ".format_version": b"1",
            ".storage_alignment": b"64",
            "byteorder": b"little",
            ".data/serialization_id": b"0" * 40,
        }
    )
    facts = inspect_bytes(zip_file(entries)).facts
    assert (facts["format_version"], facts["storage_alignment"]) == ("1", "64")
    assert (facts["byte_order"], facts["storage_count"]) == ("little", 1)


@pytest.mark.parametrize("name", ["constants.pkl", "code/__torch__/net.py"])
def test_torchscript(name: str) -> None:
    found = inspect_bytes(zip_file(torch_zip_entries(**{name: b"x"})))
    assert found.format is FileFormat.TORCHSCRIPT


def test_torch_zip_with_two_entries_of_one_name() -> None:
    entries = list(torch_zip_entries().items())
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zip_file([*entries, entries[0]])
    assert refusal_code(data) == "damaged"


def test_torch_zip_whose_space_was_reserved_but_not_filled() -> None:
    data = zip_file(torch_zip_entries())
    assert refusal_code(data) is None
    holed = bytes(data.index(b"archive/version"))  # Up to within the header of the last entry.
    assert refusal_code(data[:4] + holed[4:-30] + data[len(holed) - 30 :]) is None
    assert refusal_code(b"\0\0PK\x03\x04" + holed[6:-30] + data[len(holed) - 30 :]) == "damaged"


@pytest.mark.parametrize(
    "names",
    [
        ("[Content_Types].xml", "word/document.xml"),
        ("data.pkl", "readme.txt"),
        ("a/data.pkl", "b/version"),
        ("arr_0.npy",),
        ("package/nmp.tflite", "package/__init__.py"),
        (),
    ],
)
def test_other_zip_files_are_archives(names: tuple[str, ...]) -> None:
    found = inspect_bytes(zip_file({name: tflite_file() for name in names}))
    assert found.format is FileFormat.UNKNOWN
    assert found.refusal is None
    assert found.facts["kind"] == "archive"


def test_task_bundle() -> None:
    inner = zip_file({"detector.tflite": tflite_file()})
    for data in (
        inner,
        b"\0\0" + inner,
        b"\0\0" + zip_file({"TOKENIZER_MODEL": b"x"}),
        zip_file({"hand.task": b"\0\0" + inner, "gesture.tflite": tflite_file()}),
        zip_file({"hand.task": inner}),
    ):
        assert inspect_bytes(data).format is FileFormat.MEDIAPIPE_TASK


def test_compressed_archive_of_models_is_no_task_bundle() -> None:
    data = zip_file({"a.tflite": tflite_file(bytes(1000))}, method=zipfile.ZIP_DEFLATED)
    assert inspect_bytes(data).facts == {"kind": "archive"}


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        st.binary(max_size=50),
        max_size=8,
    ),
    st.binary(max_size=20),
)
def test_listing_equals_zipfile(entries: dict[str, bytes], comment: bytes) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name.replace("\0", "_"), data)
        archive.comment = comment
    with zipfile.ZipFile(buffer) as archive:
        reference = [
            (info.orig_filename, info.compress_size, info.file_size, info.header_offset)
            for info in archive.infolist()
        ]
    cursor = Cursor(buffer, len(buffer.getvalue()))
    found = [
        (entry.name, entry.packed_bytes, entry.size_bytes, entry.start)
        for entry in read_entries(cursor)
    ]
    assert found == reference


def test_listing_with_64_bit_sizes() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in torch_zip_entries().items():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(data)
    assert inspect_bytes(buffer.getvalue()).format is FileFormat.TORCH_ZIP


def with_zip64_end(data: bytes, *, entries: int, size: int, start: int) -> bytes:
    end = data.rindex(b"PK\x05\x06")
    record = struct.pack(
        "<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, start
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)
    return data[:end] + record + locator + tail


def test_64_bit_end_record() -> None:
    data = zip_file(torch_zip_entries())
    start = data.index(b"PK\x01\x02")
    size = data.rindex(b"PK\x05\x06") - start
    assert inspect_bytes(with_zip64_end(data, entries=3, size=size, start=start)).refusal is None
    for entries, wrong_size, wrong_start in (
        (3, 2**63, start),
        (3, size, 2**64 - 1),
        (3, 2**64 - 1, 2**64 - 1),
        (4, size, start),
    ):
        wrong = with_zip64_end(data, entries=entries, size=wrong_size, start=wrong_start)
        assert refusal_code(wrong) in {"truncated", "damaged"}


def with_wide_entry(data: bytes, *values: int) -> bytes:
    """The only entry of ``data`` with all sizes in a 64-bit extra field behind another one."""
    listing, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    extra = struct.pack("<2HI", 0x5455, 4, 0) + struct.pack(
        f"<2H{len(values)}Q", 1, 8 * len(values), *values
    )
    entry = bytearray(data[listing:end]) + extra
    struct.pack_into("<2I", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, len(extra))
    struct.pack_into("<I", entry, 42, 0xFFFFFFFF)
    tail = bytearray(data[end:])
    struct.pack_into("<I", tail, 12, len(entry))
    return data[:listing] + bytes(entry) + bytes(tail)


def test_entry_with_64_bit_sizes() -> None:
    plain = zip_file({"a.tflite": tflite_file()})
    size = len(tflite_file())
    data = with_wide_entry(plain, size, size, 0)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("a.tflite") == tflite_file()
    assert inspect_bytes(data).format is FileFormat.MEDIAPIPE_TASK
    for values in ((size, 2**63, 0), (size, size, 2**64 - 1), (size, size), ()):
        assert refusal_code(with_wide_entry(plain, *values)) == "truncated"


def test_listing_that_says_it_has_billions_of_entries() -> None:
    data = zip_file(torch_zip_entries())
    start = data.index(b"PK\x01\x02")
    bomb = with_zip64_end(data, entries=2**40, size=data.rindex(b"PK\x05\x06") - start, start=start)
    assert inspect_bytes(bomb).facts == {"kind": "archive"}


def test_entry_that_lies_outside_the_file() -> None:
    data = bytearray(zip_file(torch_zip_entries()))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<2I", data, at + 20, 5_000_000, 5_000_000)
    assert refusal_code(bytes(data)) == "truncated"


def test_zip_without_its_listing() -> None:
    data = zip_file(torch_zip_entries())
    refusal = inspect_bytes(data[: data.index(b"PK\x01\x02")]).refusal
    assert refusal is not None
    assert refusal.code == "truncated"
    assert "again" in refusal.remedy
