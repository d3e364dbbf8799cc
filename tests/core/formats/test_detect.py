"""What is refused and why, what is no model, and that names do not matter."""

import errno
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from modelcellar import formats
from modelcellar.formats import inspect_file
from modelcellar.formats.detect import ZERO_PIECE_BYTES
from modelcellar.records import FileFormat, Refusal
from tests.core.formats.builders import inspect_bytes, refusal_code, samples, zip_file

OID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
POINTER = (
    f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 5120000000\n".encode()
)


def refused(data: bytes) -> Refusal:
    refusal = inspect_bytes(data).refusal
    assert refusal is not None
    return refusal


def test_public_names() -> None:
    assert formats.__all__ == sorted(formats.__all__)
    assert all(hasattr(formats, name) for name in formats.__all__)


@pytest.mark.parametrize("name", samples())
@pytest.mark.parametrize("ending", [".safetensors", ".gguf", ".bin", ".txt", ""])
def test_the_name_of_a_file_does_not_matter(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / f"model{ending}"
    path.write_bytes(samples()[name])
    found = inspect_file(path)
    assert found.format == name
    assert found.refusal is None
    assert found == inspect_file(os.fsencode(path)) == inspect_file(str(path))
    json.dumps(dict(found.facts), allow_nan=False)


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"model-\xff.gguf")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(samples()["gguf"])
    assert inspect_file(path).format is FileFormat.GGUF
    assert inspect_file(os.fsdecode(path)).format is FileFormat.GGUF


class TestWhatCannotBeRead:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError) as caught:
            inspect_file(tmp_path / "none")
        assert caught.value.filename == str(tmp_path / "none")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match=str(tmp_path)):
            inspect_file(tmp_path)

    def test_named_pipe_does_not_hang(self, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        os.mkfifo(path)
        with pytest.raises(OSError, match="Not a regular file") as caught:
            inspect_file(path)
        assert caught.value.errno == errno.EINVAL

    def test_device(self) -> None:
        with pytest.raises(OSError, match="/dev/zero"):
            inspect_file("/dev/zero")

    def test_socket(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # The path of a socket may have about 100 bytes.
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s")
            with pytest.raises(OSError, match="s"):
                inspect_file("s")

    def test_descriptors_are_closed(self, tmp_path: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for path in (tmp_path, tmp_path / "file"):
            (tmp_path / "file").write_bytes(b"x")
            try:
                inspect_file(path)
            except OSError:
                assert path is tmp_path
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
    def test_not_allowed(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"x")
        path.chmod(stat.S_IWUSR)
        with pytest.raises(PermissionError):
            inspect_file(path)


class TestLfsPointer:
    @pytest.mark.parametrize("name", ["model.safetensors", "model.gguf", "anything"])
    def test_whatever_it_is_called(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(POINTER)
        found = inspect_file(path)
        assert found.format is FileFormat.UNKNOWN
        assert found.refusal is not None
        assert found.refusal.code == "lfs_pointer"
        assert "5,120,000,000 bytes" in found.refusal.reason
        assert f"{len(POINTER)} bytes" in found.refusal.reason
        assert OID in found.refusal.reason
        assert "git lfs pull" in found.refusal.remedy
        assert found.facts["lfs_sha256"] == OID
        assert found.facts["lfs_size_bytes"] == 5_120_000_000

    def test_with_extensions_and_other_line_ends(self) -> None:
        first, rest = POINTER.split(b"\n", 1)
        extended = first + b"\next-0-foo sha256:" + b"a" * 64 + b"\n" + rest
        assert refused(extended).code == "lfs_pointer"
        assert refused(POINTER.replace(b"\n", b"\r\n")).code == "lfs_pointer"
        assert refused(POINTER.removesuffix(b"\n")).code == "lfs_pointer"

    @pytest.mark.parametrize(
        "data",
        [
            POINTER + b"more text\n",
            POINTER.replace(OID.encode(), b"short"),
            b"See " + POINTER,
            POINTER.replace(b"oid", b"ext-0-x sha256:0\n" * 60 + b"oid"),
        ],
    )
    def test_text_about_pointers_is_none(self, data: bytes) -> None:
        assert inspect_bytes(data).facts == {"kind": "text"}


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html>\n<html><body>Sign in</body></html>",
        b"\xef\xbb\xbf\n  <HTML lang='en'>",
        b"<!-- cached -->\n<!doctype HTML>",
        b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC 'x'><html>",
        b"<html>" + b"x" * 200_000,
    ],
)
def test_saved_pages_are_refused(page: bytes) -> None:
    refusal = refused(page)
    assert refusal.code == "html_page"
    assert f"{len(page):,} bytes" in refusal.reason
    assert "download" in refusal.remedy


@pytest.mark.parametrize(
    "answer",
    [
        b'{"error": "Invalid username or password."}',
        b'{"error":{"code":404,"message":"Model not found"}}',
        b'{"message": "Not Found", "documentation_url": "docs", "status": "404"}',
        b'{"detail": "Not authenticated"}',
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    ],
)
def test_saved_error_answers_are_refused(answer: bytes) -> None:
    refusal = refused(answer)
    assert refusal.code == "error_page"
    assert any(word in refusal.reason for word in ("Invalid", "not found", "Not", "AccessDenied"))


@pytest.mark.parametrize(
    "settings",
    [
        {"error": 1, "hidden_size": 768},
        {"architectures": ["LlamaForCausalLM"]},
        {"detail": "x", "name": "y"},
        {"message": "hello"},
        {},
        [],
    ],
)
def test_other_json_is_just_json(settings: object) -> None:
    found = inspect_bytes(json.dumps(settings).encode())
    assert found.refusal is None
    assert found.facts == {"kind": "json"}


def test_empty() -> None:
    assert refused(b"").code == "empty"


class TestAllZero:
    @pytest.mark.parametrize("size", [1, 8, 1024, 65_536, 65_537, 3 * ZERO_PIECE_BYTES + 5])
    def test_refused(self, size: int) -> None:
        refusal = refused(bytes(size))
        assert refusal.code == "all_zero"
        assert f"{size:,}" in refusal.reason

    @pytest.mark.parametrize("size", [65_537, 3 * ZERO_PIECE_BYTES + 5])
    def test_not_decided_before_the_last_byte(self, size: int) -> None:
        assert inspect_bytes(bytes(size - 1) + b"\1").refusal is None

    def test_sparse_file(self, tmp_path: Path) -> None:
        path = tmp_path / "sparse"
        with path.open("wb") as file:
            file.truncate(50_000_000)
        found = inspect_file(path)
        assert found.refusal is not None
        assert found.refusal.code == "all_zero"
        with path.open("r+b") as file:
            file.seek(40_000_000)
            file.write(b"x")
        assert inspect_file(path).refusal is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"# A model card\n\nHow to use it:\n\nimport torch\n", "text"),
        (b"---\nlicense: mit\n---\n<div align='center'>\n<h1>Model</h1></div>", "text"),
        (b"<p align='center'><img src='x'></p>\n# Title", "text"),
        ("Grüße, 世界".encode(), "text"),
        (b"x" + ("ü" * 40_000).encode(), "text"),
        ("text in UTF-16".encode("utf-16"), "text"),
        (b"{% if x %}template{% endif %}", "text"),
        (b'{"a": 1}', "json"),
        (b'[\n  {"a": 1}]', "json"),
        (b'{"tokens": [' + b'"x", ' * 60_000 + b'"x"]}', "json"),
        (b"[" * 60_000, "text"),
        (b'{"a":' * 10_000, "text"),
        (b'#!/usr/bin/env python3\nprint("x")', "python"),
        (b'"""Doc."""\n\n# note\nfrom torch import nn\n', "python"),
        (b"import os\n", "python"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "image"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "image"),
        (b"BM" + bytes((54, 0, 0, 0)) + bytes(48), "image"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(50), "image"),
        (b"\0\0\0\x1cftypavif" + bytes(50), "image"),
        (b"\0\0\0\x20ftypisom" + bytes(50), "video"),
        (b"<svg xmlns='x'><path/></svg>", "image"),
        (b"\x1f\x8b\x08\0" + bytes(50), "archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "archive"),
        (b"x" * 257 + b"ustar\x0000" + bytes(250), "archive"),
        (b"%PDF-1.7\n%\xe2\xe3", "document"),
        (zip_file({"[Content_Types].xml": b"<x/>", "word/document.xml": b"<x/>"}), "archive"),
    ],
)
def test_what_is_no_model_has_a_kind(data: bytes, kind: str) -> None:
    found = inspect_bytes(data)
    assert found.format is FileFormat.UNKNOWN
    assert found.refusal is None
    assert found.facts["kind"] == kind


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("1500000002000000") + bytes(56) + b"\xef\xbe\xad\xdf" * 40,  # not CoreML
        bytes.fromhex("0600000013000000") + b"TransformerSpec\0" + bytes(40),  # a wrong length
        b"\x89HDF\r\n\x1a\n" + bytes(range(100)),
        b"\0\0\0\0\0\0\0\1",
        b"\x80",
    ],
)
def test_other_binary_files_are_unknown(data: bytes) -> None:
    assert inspect_bytes(data).security.verdict == "not_checked"
    found = inspect_bytes(data)
    assert found.format is FileFormat.UNKNOWN
    assert found.refusal is None
    assert "kind" not in found.facts


def test_every_refusal_says_what_to_do() -> None:
    for data in (
        b"",
        bytes(9),
        POINTER,
        b"<html>",
        samples()["gguf"][:100],
        samples()["gguf"][:40],
    ):
        refusal = refused(data)
        assert refusal.reason
        assert refusal.remedy.endswith(".")
        assert refusal.reason.isprintable()


@pytest.mark.parametrize("name", samples())
def test_a_cut_file_is_never_taken_for_a_model(name: str) -> None:
    data = samples()[name]
    for end in range(len(data)):
        found = inspect_bytes(data[:end])
        assert found.refusal is not None or found.format is FileFormat.UNKNOWN, end


@pytest.mark.parametrize("name", samples())
def test_the_larger_half_of_a_file_is_called_truncated(name: str) -> None:
    data = samples()[name]
    assert refusal_code(data[: len(data) * 3 // 4]) == "truncated"
