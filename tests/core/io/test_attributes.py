"""What a file has besides its bytes, kept and given to another."""

import json
import os
from pathlib import Path

from modelcellar.io.attributes import Attributes
from modelcellar.io.bytewise import PIECE_BYTES, are_equal


def test_all_of_it_is_given_to_another_file(tmp_path: Path) -> None:
    one, other = tmp_path / "a", tmp_path / "b"
    one.touch()
    other.touch()
    one.chmod(0o4711)
    os.setxattr(one, "user.tags", b"\x00\xff")
    os.utime(one, ns=(123, 456_000_000_789))
    found = Attributes.of(one)
    again = Attributes.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    again.put_on(other)
    now = other.stat()
    assert (now.st_mode & 0o7777, now.st_mtime_ns) == (0o4711, 456_000_000_789)
    assert os.getxattr(other, "user.tags") == b"\x00\xff"
    assert (now.st_uid, now.st_gid) == (one.stat().st_uid, one.stat().st_gid)


def test_bytes_are_compared_to_the_last(tmp_path: Path) -> None:
    data = bytes(2 * PIECE_BYTES)
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(data)
    for changed, is_equal in (
        (data, True),
        (data[:-1], False),
        (data + b"\0", False),
        (data[:-1] + b"x", False),
        (b"x" + data[1:], False),
        (b"", False),
    ):
        other.write_bytes(changed)
        assert are_equal(one, other) is is_equal
