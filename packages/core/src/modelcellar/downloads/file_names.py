"""What a file is called that is published at a mere address."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from modelcellar import naming

__all__ = ["file_name"]

MAX_HEADER = 4096
# RFC 6266 and 8187: filename*=UTF-8''a%20b, filename="a \"b\"", filename=token
_EXTENDED = re.compile(r"filename\*\s*=\s*([\w!#$&+.^`{}~-]{0,40})'[^']{0,40}'([^;\s]+)", re.I)
_QUOTED = re.compile(r"filename\s*=\s*\"((?:[^\"\\]|\\.)*)\"", re.I)
_TOKEN = re.compile(r"filename\s*=\s*([^\s\";]+)", re.I)


def file_name(headers: Mapping[str, str], urls: tuple[str, ...]) -> str:
    """The name that the answer gives, else the last part of the first address that has one.

    It is good on every platform. Header names are in lower case.
    """
    for text in (*_in_header(headers.get("content-disposition", "")[:MAX_HEADER]), *_in(urls)):
        name = naming.portable_name(re.split(r"[/\\]", text)[-1].strip())
        if name.strip("_. ") and not naming.relative_path_problems(name):
            return name
    return "download"


def _in_header(header: str) -> Iterator[str]:
    """Names in a ``Content-Disposition``, the best first."""
    if (match := _EXTENDED.search(header)) is not None:
        charset = "latin-1" if match[1].lower() == "iso-8859-1" else "utf-8"
        yield unquote_to_bytes(match[2]).decode(charset, "replace")
    if (match := _QUOTED.search(header)) is not None:
        yield _as_utf8(re.sub(r"\\(.)", r"\1", match[1]))
    elif (match := _TOKEN.search(header)) is not None:
        yield _as_utf8(match[1])


def _as_utf8(text: str) -> str:
    """Many send UTF-8 where only Latin-1 is allowed."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _in(urls: tuple[str, ...]) -> Iterator[str]:
    for url in urls:
        yield unquote(urlsplit(url).path.rpartition("/")[2], errors="replace")
