"""Files made so that what runs code on loading is taken for something else."""

import bz2
import io
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from modelcellar.formats.cursor import MAX_OPCODES
from modelcellar.records import FileFormat
from tests.core.formats.attacks import (
    EVIL,
    GOOD,
    MAGIC_0,
    MAGIC_3,
    OLD,
    archive,
    in_safetensors,
    object_array,
    record,
    record64,
    safetensors_pickle,
    zip_with_second_end,
    zip_with_second_record,
)
from tests.core.formats.builders import (
    inspect_bytes,
    refusal_code,
    safetensors_file,
    samples,
    tensor_entry,
    tflite_file,
    torch_legacy_file,
    torch_zip_entries,
    zip_file,
)
from tests.core.formats.test_other_formats import npy
from tests.core.formats.test_pickles import attack, name, pickled, state_dict, tensor, text, verdict


class TestNames:
    @pytest.mark.parametrize(
        ("module", "attribute", "expected"),
        [
            ("numpy.dtypes", "Float32DType", "known_classes"),
            ("numpy.dtypes", "__builtins__.get", "unknown_imports"),
            ("numpy.dtypes", "Float32DType.mro", "unknown_imports"),
            ("numpy.dtypes", "_add_dtype_helper", "unknown_imports"),
            ("numpy.dtypes.Float32DType", "mro", "unknown_imports"),
            ("numpy", "dtypes.__builtins__", "unknown_imports"),
            ("omegaconf.nodes", "AnyNode", "known_classes"),
            ("omegaconf.nodes", "sys", "unknown_imports"),
            ("omegaconf.nodes", "sys.modules", "unknown_imports"),
        ],
    )
    def test_below_a_known_module(self, module: str, attribute: str, expected: str) -> None:
        body = text(module) + text(attribute) + b"\x93"
        assert verdict(pickled(body, 4)) == expected


class TestSeveralPickles:
    @pytest.mark.parametrize("magic", [MAGIC_3, MAGIC_0, pickle.dumps(0x1950A86A20F9469CFC6C, 5)])
    def test_torchs_old_form_in_any_protocol(self, magic: bytes) -> None:
        for model in (OLD, pickled(attack())):
            found = inspect_bytes(magic + b"I1001\n.(d." + model + b"(l.")
            assert found.facts["torch"] is True
            assert found.security.verdict == "dangerous_imports"

    @pytest.mark.parametrize("protocol", range(6))
    def test_the_second_of_any_protocol_counts(self, protocol: int) -> None:
        second = OLD if protocol == 0 else pickled(attack(), protocol)
        assert verdict(pickled(b"}") + second) == "dangerous_imports"
        assert verdict(torch_legacy_file([]) + second) == "dangerous_imports"

    def test_more_than_are_walked(self) -> None:
        assert verdict(pickled(b"N") * 16) == "tensors_only"
        assert verdict(pickled(b"N") * 16 + pickled(attack())) == "unreadable"

    def test_code_runs_before_the_rest_breaks_off(self) -> None:
        broken = OLD.removesuffix(b".") + b"\xff"
        assert verdict(pickled(b"}") + broken) == "dangerous_imports"
        assert verdict(b"\x80\x02" + broken) == "dangerous_imports"

    def test_bytes_that_are_no_pickle_are_let_be(self) -> None:
        assert verdict(pickled(b"}") + bytes(100)) == "tensors_only"


class TestText:
    def test_old_pickle_is_no_text(self) -> None:
        found = inspect_bytes(OLD)
        assert (found.format, found.security.verdict) == (
            FileFormat.TORCH_LEGACY,
            "dangerous_imports",
        )

    def test_long_lines_hide_nothing(self) -> None:
        for line in (b"S'" + b"a" * 200_000 + b"'", b"V" + b"a" * 5000, b"I" + b"1" * 4200):
            assert verdict(line + b"\n0" + OLD) == "dangerous_imports"
        assert verdict(b"cos\n" + b"a" * 5000 + b"\n.") == "unreadable"

    def test_what_breaks_off_after_a_call(self) -> None:
        found = inspect_bytes(OLD.removesuffix(b".") + b"\nand so on")
        assert found.facts == {"kind": "text"}
        assert found.security.verdict == "dangerous_imports"

    def test_more_opcodes_than_are_walked(self) -> None:
        assert verdict(b"N0" * MAX_OPCODES + OLD) == "unreadable"

    @pytest.mark.parametrize(
        "data",
        [
            b"cat, dog\nbird\nand so on.",
            b"I am a model\nand so on",
            b"import os\n",
            b"a poem of\nfew lines.",
            b'{"a": 1}',
            b"(((",
            b"Language: en\nLicense: mit",
            b"N.",
        ],
    )
    def test_ordinary_text_holds_none(self, data: bytes) -> None:
        found = inspect_bytes(data)
        assert found.format is FileFormat.UNKNOWN
        assert found.security.verdict == "no_pickle"


class TestNotLookedInto:
    @pytest.mark.parametrize(
        "data",
        [
            b"7z\xbc\xaf\x27\x1c" + bytes(50),
            b"\x1f\x8b\x08\0" + bytes(50),
            bytes(range(200, 256)) * 9,
            zip_file({"a.txt": b"x"}),
            b"",
            bytes(99),
            b"<html>",
            samples()["gguf"][:100],
            samples()["safetensors"][:-1],
            torch_legacy_file()[:-1],
        ],
    )
    def test_nothing_is_said(self, data: bytes) -> None:
        assert verdict(data) == "not_checked"

    @pytest.mark.parametrize("magic", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
    def test_tar(self, magic: int) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=magic) as archive:
            entry = tarfile.TarInfo("pickle")
            entry.size = len(OLD)
            archive.addfile(entry, io.BytesIO(OLD))
        found = inspect_bytes(buffer.getvalue())
        assert (found.facts["kind"], found.security.verdict) == ("archive", "not_checked")

    def test_tar_that_begins_as_another_format(self) -> None:
        """torch looks for a tar file first; its header is whatever bytes have the right sum."""
        head = bytearray(safetensors_file({"a": tensor_entry(0, 2000)}, bytes(2000)))
        assert not any(head[148:156])
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head[:512])
        found = inspect_bytes(bytes(head))
        assert (found.format, found.security.verdict) == (FileFormat.SAFETENSORS, "not_checked")
        assert found.also == (FileFormat.UNKNOWN,)

    def test_what_was_found_before_a_refusal(self) -> None:
        body = attack() + b"0" + state_dict(a=tensor("0", 2))
        data = zip_file({"a/data.pkl": pickled(body), "a/version": b"3\n"})
        assert (refusal_code(data), verdict(data)) == ("damaged", "dangerous_imports")
        assert verdict(pickled(attack())[:-1]) == "dangerous_imports"
        model = torch_legacy_file().replace(b"\x80\x02]q\0(", b"\x80\x02" + attack() + b"0]q\0(", 1)
        assert (refusal_code(model[:-1]), verdict(model[:-1])) == ("truncated", "dangerous_imports")


class TestTwoListings:
    def test_a_plain_one_is_read(self) -> None:
        body, listing = archive(GOOD)
        data = body + listing + record(2, len(listing), len(body))
        assert verdict(data) == "tensors_only"

    @pytest.mark.parametrize("more", [b"", b"Z", b"ZZ"])
    def test_a_second_end_in_the_comment(self, more: bytes) -> None:
        data = zip_with_second_end(more)
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            assert opened.read("a/data.pkl") == OLD
        assert refusal_code(data) == "damaged"
        assert verdict(data) != "tensors_only"

    def test_a_second_64_bit_record(self) -> None:
        data = zip_with_second_record()
        assert refusal_code(data) == "damaged"
        assert verdict(data) != "tensors_only"

    def test_64_bits_as_usual(self) -> None:
        for entries, expected in ((0xFFFF, None), (2, None), (1, "damaged")):
            body, listing = archive(GOOD)
            data = body + listing
            at = len(data)
            data += record64(2, len(listing), len(body))
            data += struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
            data += record(entries, 0xFFFFFFFF, 0xFFFFFFFF)
            assert refusal_code(data) == expected

    def test_a_record_that_is_not_before_its_locator(self) -> None:
        body, listing = archive(GOOD)
        data = body + listing
        at = len(data)
        data += record64(2, len(listing), len(body)) + b"gap."
        data += struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
        data += record(2, 0xFFFFFFFF, 0xFFFFFFFF)
        assert refusal_code(data) == "damaged"

    def test_offsets_that_begin_elsewhere(self) -> None:
        """Python counts from where the listing should be, PyTorch from the start of the file."""
        body, good = archive(GOOD)
        good_at = len(body)
        body += good
        hidden, evil = archive(EVIL, 0)
        body += hidden
        data = body + evil + record(2, len(evil), good_at)
        assert refusal_code(data) in ("damaged", "truncated")

    def test_entries_that_share_bytes(self) -> None:
        body, listing = archive([(b"a.npy", npy(np.zeros(9)))])
        data = body + listing * 3 + record(3, len(listing) * 3, len(body))
        assert refusal_code(data) == "damaged"


class TestNamesOfEntries:
    def test_case_does_not_count(self) -> None:
        found = inspect_bytes(zip_file({"a/DATA.PKL": OLD, "a/version": b"3\n"}))
        assert found.format is FileFormat.TORCH_ZIP
        assert found.security.verdict == "dangerous_imports"

    def test_equal_but_for_case(self) -> None:
        entries = torch_zip_entries() | {"archive/DATA.PKL": OLD}
        assert verdict(zip_file(entries)) == "dangerous_imports"
        assert verdict(zip_file(torch_zip_entries() | {"archive/VERSION": b"4"})) == "unreadable"

    def test_nul(self) -> None:
        data = zip_file(torch_zip_entries(x=b"1")).replace(b"archive/x", b"archive\0x")
        assert verdict(data) == "unreadable"

    def test_packed_in_another_way(self) -> None:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as opened:
            for entry, content in torch_zip_entries().items():
                opened.writestr(entry, content)
            opened.writestr("archive/x", OLD, compress_type=zipfile.ZIP_BZIP2)
        assert verdict(data.getvalue()) == "unreadable"

    def test_deflated_under_another_name(self) -> None:
        entries = torch_zip_entries() | {"archive/config": pickled(attack() + b"0}" * 100)}
        assert verdict(zip_file(entries, method=zipfile.ZIP_DEFLATED)) == "dangerous_imports"


def npz(method: int = zipfile.ZIP_STORED, **more: bytes) -> bytes:
    return zip_file({f"{key.replace('_', '.')}": data for key, data in more.items()}, method=method)


class TestNumpy:
    @pytest.mark.parametrize(
        "descr",
        [
            *("'|O'", "'O'", "'object'", "'O8'", "'|O8'", "'f4,O'", "'object_'", "'(2,)O'"),
            *("[('a', '<f4'), ('b', '|O')]", "[('a', [('b', 'object')])]", "('O', (2,))"),
            *("[('a', 'O', (2,))]", "{'names': ['a'], 'formats': ['O']}", "7"),
        ],
    )
    def test_objects_in_every_spelling(self, descr: str) -> None:
        assert verdict(object_array(descr)) == "dangerous_imports"
        assert verdict(npz(a_npy=object_array(descr))) == "dangerous_imports"

    @pytest.mark.parametrize(
        "dtype",
        ["<f4", "S3", "U3", "V8", "?", "<M8[ns]", "<m8[25s]", "<f4,<i2", [("a", "<f4", (2,))]],
    )
    def test_types_without_objects(self, dtype: object) -> None:
        array = np.zeros(3, dtype)  # type: ignore[call-overload]
        assert verdict(npy(array)) == "no_pickle"

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_packed_in_another_way(self, method: int) -> None:
        assert verdict(npz(method, a_npy=object_array())) == "unreadable"

    def test_too_large_to_be_unpacked(self) -> None:
        big = object_array() + bytes(17 << 20)
        assert verdict(npz(zipfile.ZIP_DEFLATED, a_npy=big)) == "unreadable"
        plain = npy(np.zeros(9 << 20, "u2"))
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            found = inspect_bytes(npz(method, a_npy=plain))
            assert (found.facts["dtypes"], found.security.verdict) == ({"U16": 1}, "no_pickle")

    def test_more_arrays_than_are_looked_at(self) -> None:
        entries = {f"{n}.npy": npy(np.zeros(0)) for n in range(4096)}
        assert verdict(zip_file(entries)) == "no_pickle"
        assert verdict(zip_file(entries | {"z.npy": object_array()})) == "not_checked"

    def test_another_array_behind_the_first(self) -> None:
        assert verdict(npy(np.zeros(3)) + object_array()) == "not_checked"

    def test_another_file_among_them(self) -> None:
        for entry in ("a.npy", "a", "b.txt"):
            data = zip_file({entry: object_array(), "readme.txt": b"x"})
            assert verdict(data) == "dangerous_imports"
        assert verdict(zip_file({"a.npy": npy(np.zeros(3)), "x.txt": b"x"})) == "not_checked"

    @pytest.mark.parametrize("shape", ["(0x" + "f" * 8000 + ",)", "(" + "10**18," * 9 + ")"])
    def test_shapes_beyond_counting(self, shape: str) -> None:
        shape = shape.replace("10**18", str(10**18))
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
        data = b"\x93NUMPY\x03\0" + struct.pack("<I", len(header)) + header
        assert refusal_code(data) == "damaged"


class TestSecondFaces:
    def test_pickle_of_an_old_protocol(self) -> None:
        data = safetensors_pickle()
        unpickled: list[str] = []

        class Recorder(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> object:
                unpickled.append(f"{module}.{name}")
                return str

        Recorder(io.BytesIO(data)).load()
        assert unpickled == ["os.system"]
        found = inspect_bytes(data)
        assert (found.format, found.also) == (FileFormat.SAFETENSORS, (FileFormat.TORCH_LEGACY,))
        assert found.security.verdict == "dangerous_imports"

    def test_archive_that_would_be_refused(self) -> None:
        body, listing = archive([*EVIL, (b"a/data.pkl", OLD)])
        data = in_safetensors(body + listing + record(3, len(listing), len(body)))
        found = inspect_bytes(data)
        assert (found.also, found.security.verdict) == ((FileFormat.UNKNOWN,), "unreadable")

    def test_archive_with_bytes_behind_it(self) -> None:
        data = in_safetensors(zip_file(dict.fromkeys(["a/data.pkl", "a/version"], OLD)) + b"more")
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            assert opened.read("a/data.pkl") == OLD
        found = inspect_bytes(data)
        assert (found.also, found.security.verdict) == ((FileFormat.UNKNOWN,), "unreadable")

    def test_arrays_packed_in_another_way(self) -> None:
        data = in_safetensors(npz(zipfile.ZIP_BZIP2, a_npy=object_array()))
        assert verdict(data) == "unreadable"

    def test_image_with_an_archive_behind_it(self) -> None:
        image = b"\x89PNG\r\n\x1a\n" + bytes(50)
        assert verdict(image) == "no_pickle"
        found = inspect_bytes(image + zip_file({"a/data.pkl": OLD, "a/version": b"3"}))
        assert found.facts["kind"] == "image"
        assert found.security.verdict == "dangerous_imports"

    def test_tflite_with_more_than_its_metadata(self) -> None:
        found = inspect_bytes(tflite_file() + zip_file({"labels.txt": b"cat"}))
        assert (found.also, found.security.verdict) == ((), "no_pickle")
        for entries in ({"a/data.pkl": OLD, "a/version": b"3"}, {"x.pkl": OLD}):
            found = inspect_bytes(tflite_file() + zip_file(entries))
            assert len(found.also) == 1
            assert found.security.verdict == "dangerous_imports"

    def test_a_bundle_with_a_pickle(self) -> None:
        bundle = {"m.tflite": tflite_file()}
        assert verdict(b"\0\0" + zip_file(bundle)) == "no_pickle"
        assert verdict(b"\0\0" + zip_file(bundle | {"x.pkl": OLD})) == "dangerous_imports"

    @pytest.mark.parametrize("format_", samples())
    def test_ordinary_files_have_none(self, format_: str) -> None:
        found = inspect_bytes(samples()[format_])
        assert found.also == ()
        assert found.security.verdict in ("no_pickle", "tensors_only")


def test_a_long_walk_says_it_once() -> None:
    body = b"\x80\x02" + b"N0" * MAX_OPCODES + b"N."
    found = inspect_bytes(zip_file({"a/data.pkl": body, "a/version": b"3\n"}))
    assert (found.also, found.security.verdict) == ((), "unreadable")


def test_bz2_alone_is_an_archive() -> None:
    found = inspect_bytes(bz2.compress(OLD))
    assert (found.facts["kind"], found.security.verdict) == ("archive", "not_checked")


def test_import_by_a_protocol_0_name() -> None:
    assert verdict(b"c" + name("os", "system")[1:] + b".") == "dangerous_imports"
