"""Builders of files that are two things, or hide what they hold."""

import struct
import zlib
from collections.abc import Sequence

from tests.core.formats.builders import safetensors_file, tensor_entry
from tests.core.formats.test_pickles import pickled

OLD = b"cos\nsystem\n(S'echo owned'\ntR."
"""A pickle of protocol 0, which is text."""
MAGIC_3 = b"\x80\x03\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
MAGIC_0 = b"I119547037146038801333356\n."


def record(entries: int, size_bytes: int, start: int, comment: int = 0) -> bytes:
    return struct.pack(
        "<4s4H2IH", b"PK\x05\x06", 0, 0, entries, entries, size_bytes, start, comment
    )


def record64(entries: int, size_bytes: int, start: int) -> bytes:
    return struct.pack(
        "<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size_bytes, start
    )


def local(entry: bytes, data: bytes) -> bytes:
    return (
        struct.pack(
            "<4s5H3I2H",
            *(b"PK\x03\x04", 20, 0, 0, 0, 0x21, zlib.crc32(data), len(data), len(data)),
            *(len(entry), 0),
        )
        + entry
        + data
    )


def central(entry: bytes, data: bytes, at: int) -> bytes:
    return (
        struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\x01\x02", 20, 20, 0, 0, 0, 0x21, zlib.crc32(data), len(data), len(data)),
            *(len(entry), 0, 0, 0, 0, 0, at),
        )
        + entry
    )


def archive(entries: Sequence[tuple[bytes, bytes]], base: int = 0) -> tuple[bytes, bytes]:
    """The entries, and the listing of them if they begin at byte ``base``."""
    body, listing = b"", b""
    for entry, data in entries:
        listing += central(entry, data, base + len(body))
        body += local(entry, data)
    return body, listing


GOOD = [(b"a/data.pkl", pickled(b"}")), (b"a/version", b"3\n")]
EVIL = [(b"a/data.pkl", OLD), (b"a/version", b"3\n")]


def zip_with_second_end(more: bytes = b"Z") -> bytes:
    """Its comment holds another listing and another end."""
    body, good = archive(GOOD)
    hidden, evil = archive(EVIL, len(body))
    body += hidden
    inner_at = len(body) + len(good) + 22
    inner = evil + record(2, len(evil), inner_at) + more
    return body + good + record(2, len(good), len(body), len(inner)) + inner


def zip_with_second_record() -> bytes:
    """The locator names one 64-bit record, and right before it lies another."""
    body, good = archive(GOOD)
    hidden, evil = archive(EVIL, len(body))
    data = body + hidden
    good_at = len(data)
    data += good
    good64 = len(data)
    data += record64(2, len(good), good_at)
    evil_at = len(data)
    data += evil + record64(2, len(evil), evil_at)
    data += struct.pack("<4sIQI", b"PK\x06\x07", 0, good64, 1)
    return data + record(2, 0xFFFFFFFF, 0xFFFFFFFF)


def object_array(descr: str = "'|O'", body: bytes = OLD) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,)}}".encode()
    return b"\x93NUMPY\x03\0" + struct.pack("<I", len(header)) + header + body


def in_safetensors(data: bytes) -> bytes:
    return safetensors_file({"w": tensor_entry(0, len(data))}, data)


def safetensors_pickle() -> bytes:
    """The 8 bytes of its length are BINUNICODE, and short strings lead from there to the data."""
    length = 0x58 | 0x20 << 8
    front = b'{"__metadata__":{"a":"'
    front += b"q" * (5 + 0x20 - 8 - len(front))
    end = b'"},"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(OLD), len(OLD))
    room = length - len(front) - len(end) - 2
    chain = b""
    while room:
        count = 98 if room >= 200 else room // 2 - 2 if room > 126 else room - 2
        chain += b"U" + bytes([count]) + b"z" * count
        room -= count + 2
    return safetensors_file(front + chain + b"U" + bytes([len(end)]) + end, OLD)
