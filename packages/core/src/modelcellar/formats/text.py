"""Recognises what is text rather than a model: pointers, saved web pages, error answers, notes."""

import json
import re
from dataclasses import dataclass

MAX_JSON_BYTES = 256 * 1024
MAX_ERROR_BYTES = 64 * 1024
MAX_POINTER_BYTES = 1024
"""The specification's own limit: github.com/git-lfs/git-lfs, ``docs/spec.md``."""

_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_POINTER = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v1\r?\n"
    rb"(?:ext-[0-9]-[^\n]*\n)*"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\r?\nsize (?P<size>[0-9]{1,18})\r?\n?"
)
# What is repeated here is never given back (``++``, ``(?>``): there is one way to read a text as
# spaces and comments, and a search for others would take time that doubles with each comment. A
# group repeated with ``+`` inside another one is read wrongly by Python 3.11.2, that of Debian 12.
_BEFORE = rb"\s++|(?><!--.{0,4000}?-->)|<\?xml[^>]{0,200}+>"
_HTML = re.compile(
    rb"(?:" + _BEFORE + rb")*+<(?:!doctype\s++html|html|head)[\s>]", re.IGNORECASE | re.DOTALL
)
_XML_ERROR = re.compile(rb"\s*+(?:<\?xml[^>]{0,200}+>)?+\s*+<Error>\s*+<Code>([^<]{1,200}+)</Code>")
_SVG = re.compile(
    rb"(?:" + _BEFORE + rb"|<!doctype\s++svg[^>]{0,400}+>)*+<svg[\s>]", re.IGNORECASE | re.DOTALL
)
_PYTHON = re.compile(
    r"\s*(?:#[^\n]*\n\s*|(?:[rRuUbB]{0,2})(?:\"\"\".*?\"\"\"|'''.*?''')\s*)*+"
    r"(?:import \w|from [\w.]+ import\b|def \w+\(|class \w+[(:]|@\w|if __name__)",
    re.DOTALL,
)
_SHEBANG = re.compile(r"#![^\n]*\bpython[\d.]*\b")

_ERROR_KEYS = {
    "code", "detail", "details", "documentation_url", "error", "error_code", "error_description",
    "errors", "message", "path", "reason", "request_id", "requestId", "status", "statusCode",
    "status_code", "success", "timestamp", "title", "trace_id", "type",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LfsPointer:
    """What a git-LFS pointer says about the file that it stands for."""

    sha256: str
    size_bytes: int


def is_text(head: bytes, *, is_whole: bool) -> bool:
    """Whether ``head`` is UTF-8 or UTF-16 text; a character may be cut at the end of a part."""
    if head.startswith(_BOMS[1:]):
        return True
    if _CONTROLS.search(head):
        return False
    for cut in range(1 if is_whole else 4):
        try:
            head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def lfs_pointer(head: bytes, size_bytes: int) -> LfsPointer | None:
    """The pointer that a file of ``size_bytes`` is, if it is one."""
    if size_bytes > MAX_POINTER_BYTES:
        return None
    match = _POINTER.fullmatch(head)
    return match and LfsPointer(match["oid"].decode(), int(match["size"]))


def is_html(head: bytes) -> bool:
    """Whether the text begins as an HTML document; a fragment, as in Markdown, is not one."""
    return _HTML.match(_without_bom(head)) is not None


def error_message(head: bytes, size_bytes: int) -> str | None:
    """What a saved error answer of a web service says, if the text is one."""
    if size_bytes > min(MAX_ERROR_BYTES, len(head)):
        return None
    text = _without_bom(head)
    if (match := _XML_ERROR.match(text)) is not None:
        return match.group(1).decode(errors="replace")
    answer = _json(text)
    if not isinstance(answer, dict) or not answer or not set(answer) <= _ERROR_KEYS:
        return None
    is_error = "error" in answer or "errors" in answer or set(answer) == {"detail"}
    is_status = "message" in answer and set(answer) & {
        "status",
        "statusCode",
        "status_code",
        "documentation_url",
    }
    if not is_error and not is_status:
        return None
    message = answer.get("error") or answer.get("message") or answer
    return message if isinstance(message, str) else json.dumps(message)


def kind_of(head: bytes, *, is_whole: bool) -> str:
    """``svg`` counts as ``image``; else ``html``, ``json``, ``python`` or ``text``."""
    plain = _without_bom(head)
    if _SVG.match(plain):
        return "image"
    if is_html(plain):
        return "html"
    if _is_json(plain, is_whole=is_whole):
        return "json"
    text = plain.decode(errors="replace")
    if _SHEBANG.match(text) or _PYTHON.match(text):
        return "python"
    return "text"


def _is_json(text: bytes, *, is_whole: bool) -> bool:
    if is_whole:
        return isinstance(_json(text), dict | list)
    return re.match(rb'\s*(?:\{\s*"|\[\s*[\[{"\d-])', text) is not None


def _json(text: bytes) -> object:
    if len(text) > MAX_JSON_BYTES or text.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _without_bom(head: bytes) -> bytes:
    return head.removeprefix(_BOMS[0])
