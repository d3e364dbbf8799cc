"""Walking pickles: what they import, what state dicts hold, and that nothing is ever run."""

import io
import os
import pickle
import pickletools
import random
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcellar.formats.cursor import Cursor, FormatError
from modelcellar.formats.pickle_values import tensors_in
from modelcellar.formats.pickles import MAX_OPCODES, PickleWalk, walk
from modelcellar.records import FileFormat, Tensor
from tests.core.formats.builders import (
    inspect_bytes,
    torch_legacy_file,
    torch_zip_entries,
    zip_file,
)


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def tensor(key: str, *shape: int, kind: str = "FloatStorage", version: str = "_v2") -> bytes:
    """What torch pickles for a tensor; its storage has as many elements."""
    elements = 1
    for size in shape:
        elements *= size
    storage = b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu")
    storage += b"J" + struct.pack("<i", elements) + b"tQ"
    sizes = b"(" + b"".join(b"J" + struct.pack("<i", size) for size in shape) + b"t"
    more = b"\x89" + name("collections", "OrderedDict") + b")R" if version else b""
    return (
        name("torch._utils", f"_rebuild_tensor{version}")
        + b"("
        + storage
        + b"K\0"
        + sizes * 2
        + more
        + b"tR"
    )


def state_dict(**tensors: bytes) -> bytes:
    items = b"".join(text(key) + value for key, value in tensors.items())
    return name("collections", "OrderedDict") + b")R(" + items + b"u"


def pickled(body: bytes, protocol: int = 2) -> bytes:
    return b"\x80" + bytes([protocol]) + body + b"."


def walked(data: bytes, *, needs_protocol: bool = False) -> PickleWalk:
    return walk(Cursor(io.BytesIO(data), len(data)), needs_protocol=needs_protocol)


def torch_zip(pickle_bytes: bytes, **storages: int) -> bytes:
    entries = {"archive/data.pkl": pickle_bytes, "archive/version": b"3\n"}
    entries |= {f"archive/data/{key}": bytes(size) for key, size in storages.items()}
    return zip_file(entries)


def verdict(data: bytes) -> str:
    return inspect_bytes(data).security.verdict


def attack(module: str = "os", attribute: str = "system") -> bytes:
    return name(module, attribute) + b"(" + text("touch /tmp/owned") + b"tR"


class TestWalk:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
        ),
        st.integers(0, 5),
    )
    def test_meets_the_opcodes_that_pickletools_meets(self, value: object, protocol: int) -> None:
        data = pickle.dumps(value, protocol)
        found = walked(data)
        assert found.opcode_count == sum(1 for _ in pickletools.genops(data))
        assert found.imports == ()
        assert found.problems == ()

    @pytest.mark.parametrize("protocol", range(6))
    @pytest.mark.parametrize("value", [os.system, {"a": [print, Path("x")]}, random.Random(1)])
    def test_lists_every_import(self, value: object, protocol: int) -> None:
        data = pickle.dumps(value, protocol)
        expected, texts = set(), []
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("GLOBAL", "INST"):
                expected.add(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                expected.add(".".join(texts[-2:]))
            elif "UNICODE" in opcode.name:
                texts.append(str(argument))
        found = walked(data)
        if not any(opcode.name == "BINGET" for opcode, _, _ in pickletools.genops(data)):
            assert {str(one) for one in found.imports} == expected
        assert found.imports
        assert not found.problems

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (b"N\x93", None),
            (text("os") + b"N\x93", "computed"),
            (b"\x82\x01", "registry"),
            (b"h\x05", "before it is made"),
        ],
    )
    def test_says_what_it_cannot_follow(self, body: bytes, problem: str | None) -> None:
        if problem is None:
            with pytest.raises(FormatError):
                walked(pickled(body, 4))
            return
        assert problem in walked(pickled(body, 4)).problems[0]

    def test_stops_at_its_bound(self) -> None:
        found = walked(pickled(b"N0" * MAX_OPCODES + b"N"))
        assert not found.is_complete
        assert found.opcode_count == MAX_OPCODES + 1

    @pytest.mark.parametrize(
        "data", [b".", b"N", b"\x80\x02", b"\x80\x02R.", b"\x80\x02t.", b"(.", b"\xff."]
    )
    def test_what_is_no_pickle_is_said(self, data: bytes) -> None:
        with pytest.raises(FormatError):
            walked(data)

    def test_never_runs_anything(self, tmp_path: Path) -> None:
        target = tmp_path / "owned"
        body = name("os", "system") + b"(" + text(f"touch {target}") + b"tR"
        for data in (pickled(body), torch_zip(pickled(body)), b"\x80\x04" + body + b"."):
            inspect_bytes(data)
        assert not target.exists()


class TestTensors:
    @pytest.mark.parametrize("version", ["", "_v2"])
    def test_come_with_name_type_and_shape(self, version: str) -> None:
        body = state_dict(
            weight=tensor("0", 2, 3, version=version), bias=tensor("1", 3, kind="HalfStorage")
        )
        assert tensors_in(walked(pickled(body)).result) == [
            Tensor("weight", "F32", (2, 3)),
            Tensor("bias", "F16", (3,)),
        ]

    def test_of_the_model_keep_their_names_and_others_get_a_path(self) -> None:
        inner = state_dict(a=tensor("0", 1))
        body = b"}(" + text("optimizer") + b"}" + text("x") + tensor("1", 2) + b"s"
        body += text("state_dict") + inner + b"u"
        assert tensors_in(walked(pickled(body)).result) == [
            Tensor("a", "F32", (1,)),
            Tensor("optimizer.x", "F32", (2,)),
        ]

    def test_of_python_2(self) -> None:
        pairs = b"]" + b"]" + text("a") + b"a" + tensor("0", 4) + b"a" + b"a"
        body = name("collections", "OrderedDict") + pairs + b"\x85R"
        assert tensors_in(walked(pickled(body)).result) == [Tensor("a", "F32", (4,))]

    def test_parameters_are_tensors(self) -> None:
        body = name("torch._utils", "_rebuild_parameter") + b"(" + tensor("0", 5) + b"\x88N" + b"tR"
        body = b"}" + text("w") + body + b"s"
        assert tensors_in(walked(pickled(body)).result) == [Tensor("w", "F32", (5,))]

    def test_a_dict_in_itself_ends(self) -> None:
        body = b"}q\0" + text("a") + b"h\0s" + text("b") + tensor("0", 1) + b"s"
        assert Tensor("b", "F32", (1,)) in tensors_in(walked(pickled(body)).result)

    @pytest.mark.parametrize("sizes", [64, 65])
    def test_of_a_size_beyond_counting_are_none(self, sizes: int) -> None:
        huge = b"\x8a\x10" + b"\xff" * 15 + b"\x7f"
        size = huge if sizes == 64 else b"K\1"
        body = state_dict(a=tensor("0", 1).replace(b"(J\1\0\0\0t", b"(" + size * sizes + b"t"))
        assert tensors_in(walked(pickled(body)).result) == []
        assert inspect_bytes(pickled(body)).refusal is None

    def test_of_a_zip_are_classified(self) -> None:
        body = b"}" + text("string_to_param") + state_dict(**{"*": tensor("0", 8, 768)}) + b"s"
        found = inspect_bytes(torch_zip(pickled(body), **{"0": 8 * 768 * 4}))
        assert found.format is FileFormat.TORCH_ZIP
        assert found.findings["type"].value == "embedding"
        assert found.findings["family"].value == "SD 1.x"
        assert found.security.verdict == "tensors_only"

    @pytest.mark.parametrize("size", [23, 0])
    def test_a_storage_that_is_too_small_is_refused(self, size: int) -> None:
        body = state_dict(a=tensor("0", 2, 3))
        assert inspect_bytes(torch_zip(pickled(body), **{"0": 24})).refusal is None
        refusal = inspect_bytes(torch_zip(pickled(body), **{"0": size})).refusal
        assert refusal is not None
        assert refusal.code == "damaged"

    def test_a_storage_that_is_missing_is_refused(self) -> None:
        refusal = inspect_bytes(torch_zip(pickled(state_dict(a=tensor("7", 2))))).refusal
        assert refusal is not None
        assert "is not there" in refusal.reason


class TestVerdict:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b"}", "tensors_only"),
            (state_dict(a=tensor("0", 1)), "tensors_only"),
            (name("argparse", "Namespace"), "known_classes"),
            (name("numpy.core.multiarray", "scalar"), "known_classes"),
            (name("my_project.models", "Net"), "unknown_imports"),
            (name("torch.nn.modules.made_up", "X"), "unknown_imports"),
            (name("os", "system"), "dangerous_imports"),
            (name("posix", "system"), "dangerous_imports"),
            (name("builtins", "eval"), "dangerous_imports"),
            (name("__builtin__", "exec"), "dangerous_imports"),
            (name("builtins", "getattr"), "dangerous_imports"),
            (name("pip", "main"), "dangerous_imports"),  # CVE-2025-1716
            (name("pip._internal.cli.main", "main"), "dangerous_imports"),
            (name("asyncio.unix_events", "_UnixSubprocessTransport._start"), "dangerous_imports"),
            (name("numpy.testing._private.utils", "runstring"), "dangerous_imports"),
            (name("torch", "load"), "dangerous_imports"),
            (name("functools", "partial"), "dangerous_imports"),
            (b"(i" + b"os\nsystem\n" + b"", None),
        ],
    )
    def test_on_imports(self, body: bytes, expected: str | None) -> None:
        if expected is not None:
            assert verdict(pickled(body)) == expected
            assert verdict(torch_zip(pickled(body), **{"0": 4})) == expected

    def test_names_what_it_found(self) -> None:
        found = inspect_bytes(pickled(attack())).security
        assert found.details == ("imports os.system",)

    def test_dotted_name_reaches_no_further(self) -> None:
        """STACK_GLOBAL may name an attribute of an attribute of something that is allowed."""
        body = text("torch") + text("serialization.os.system") + b"\x93"
        assert verdict(pickled(body, 4)) in ("unknown_imports", "dangerous_imports")

    def test_import_whose_name_goes_through_the_memo(self) -> None:
        body = text("system") + b"\x94" + b"0" + text("os") + b"h\0\x93"
        assert verdict(pickled(body, 4)) == "dangerous_imports"

    def test_old_opcode_inst(self) -> None:
        assert verdict(pickled(b"(" + text("x") + b"ios\nsystem\n")) in (
            "dangerous_imports",
            "unreadable",
        )
        found = walked(b"(S'x'\nios\nsystem\n.")
        assert [str(one) for one in found.imports] == ["os.system"]

    @pytest.mark.parametrize("protocol", [0, 1])
    def test_oldest_protocols_in_an_archive(self, protocol: int) -> None:
        data = torch_zip(pickle.dumps(os.system, protocol))
        assert verdict(data) == "dangerous_imports"

    def test_one_bad_import_among_many(self) -> None:
        body = (
            b"(" + b"".join(name("torch", "Size") for _ in range(50)) + name("nt", "system") + b"t"
        )
        assert verdict(pickled(body)) == "dangerous_imports"

    def test_second_pickle_counts(self) -> None:
        assert verdict(pickled(b"}") + pickled(attack())) == "dangerous_imports"

    def test_all_pickles_of_torchs_old_form_count(self) -> None:
        data = torch_legacy_file()
        assert verdict(data) == "tensors_only"
        assert (
            verdict(data.replace(b"ctorch\nByteStorage", b"cos\nsystem12345678"[:19]))
            != "tensors_only"
        )

    @pytest.mark.parametrize("body", [b"\x82\x01", text("os") + b"N\x93", b"h\x63"])
    def test_what_cannot_be_followed_is_unreadable(self, body: bytes) -> None:
        assert verdict(pickled(body, 4)) == "unreadable"

    def test_never_says_safe(self) -> None:
        for data in (pickled(b"}"), pickled(attack()), torch_zip(pickled(b"}"))):
            found = inspect_bytes(data)
            assert "safe" not in f"{found.security} {found.summary} {dict(found.facts)}".lower()


class TestArchives:
    """The tricks by which scanners were got round (note: each stands for a published advisory)."""

    def test_pickle_under_another_name(self) -> None:  # CVE-2025-1889, -10155
        entries = torch_zip_entries() | {"archive/config.p": pickled(attack())}
        assert verdict(zip_file(entries)) == "dangerous_imports"

    def test_name_in_the_entrys_own_header(self) -> None:  # CVE-2025-1944
        data = bytearray(torch_zip(pickled(b"}")))
        at = data.index(b"archive/version")
        data[at : at + 15] = b"archive/vErsion"
        assert verdict(bytes(data)) == "unreadable"

    def test_encrypted_flag(self) -> None:  # CVE-2025-1945
        data = bytearray(torch_zip(pickled(attack())))
        at = data.index(b"PK\x01\x02")
        data[at + 8] |= 1
        assert verdict(bytes(data)) in ("unreadable", "dangerous_imports")
        assert inspect_bytes(bytes(data)).security.verdict != "tensors_only"

    def test_wrong_checksum(self) -> None:  # CVE-2025-10156
        data = bytearray(torch_zip(pickled(b"}")))
        at = data.index(b"PK\x01\x02")
        data[at + 16] ^= 1
        assert verdict(bytes(data)) == "unreadable"

    def test_deflated_pickle_is_read(self) -> None:
        entries = {"archive/data.pkl": pickled(attack()), "archive/version": b"3\n"}
        assert verdict(zip_file(entries, method=zipfile.ZIP_DEFLATED)) == "dangerous_imports"

    def test_bomb_is_unreadable_and_bounded(self) -> None:
        bomb = pickled(b"N0" * 20_000_000)
        entries = {"archive/data.pkl": bomb, "archive/version": b"3\n"}
        assert verdict(zip_file(entries, method=zipfile.ZIP_DEFLATED)) == "unreadable"

    def test_torchscript_says_that_it_holds_code(self) -> None:
        entries = torch_zip_entries() | {"archive/code/__torch__.py": b"def f(): pass\n"}
        found = inspect_bytes(zip_file(entries))
        assert found.format is FileFormat.TORCHSCRIPT
        assert "code of its own" in found.security.details[0]


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_walk_or_an_error(data: bytes) -> None:
    try:
        walked(data)
    except FormatError:
        return


@given(st.data())
def test_mutated_pickles_are_never_less_than_they_were_or_unknown(data: st.DataObject) -> None:
    body = bytearray(pickled(state_dict(a=tensor("0", 2, 3)) + attack()))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    inspect_bytes(bytes(body))
    inspect_bytes(torch_zip(bytes(body), **{"0": 24}))
