"""Names: model ids, paths that are good on every platform, and how names are shown and stored.

A name is judged under POSIX and Windows rules on every platform, because a library moves between
machines and because a check for one platform only has been a hole elsewhere (huggingface_hub
#3896). Windows rules: "Naming Files, Paths, and Namespaces" in the Win32 documentation.
"""

import posixpath
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "NameProblem",
    "caseless",
    "collisions",
    "display",
    "from_json_path",
    "is_digest",
    "is_model_id",
    "is_repo_id",
    "model_id",
    "portable_name",
    "relative_path_problems",
    "slug",
    "to_json_path",
]

MAX_PART_BYTES = 255
MAX_PATH_BYTES = 1000
MAX_SLUG_CHARACTERS = 80
MAX_SLUG_BYTES = 160
MIN_ID_DIGITS = 8

_SEPARATORS = "._-"
_FORBIDDEN = frozenset('<>"|?*:\\')
_RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [device + digit for device in ("COM", "LPT") for digit in "123456789¹²³"]
)
_BIDI = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
_DIGEST = re.compile("[0-9a-f]{64}")
_MODEL_ID = re.compile(f"(.{{1,{MAX_SLUG_CHARACTERS}}})-[0-9a-f]{{{MIN_ID_DIGITS},64}}", re.DOTALL)
_HEX_BYTES = re.compile("(?:[0-9a-f]{2})+")
_REPO_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")


@dataclass(frozen=True, slots=True)
class NameProblem:
    """Why a path is not taken: a stable code, the part that is wrong, and a sentence for people."""

    code: str
    part: str
    reason: str


def slug(name: str) -> str:
    """The readable half of a model id: lower case, letters and digits of every script.

    At most 80 characters and 160 UTF-8 bytes; ``model`` when nothing is left. ``slug`` of a slug
    is the slug. Followed by ``-`` and digits it is a good file name on every platform.
    """
    characters: list[str] = []
    for character in _lowered(name[:4096]):
        kind = unicodedata.category(character)[0]
        if kind == "M":
            # A combining mark belongs to the letter before it; without one it has no meaning.
            if characters and characters[-1] not in _SEPARATORS:
                characters.append(character)
        elif kind in "LN" or character in _SEPARATORS:
            characters.append(character)
        else:
            characters.append("-")
    text = re.sub(r"([-._])\1+", r"\1", "".join(characters))
    text = re.sub(r"[-._]{2,}", "-", text).strip(_SEPARATORS)
    head, dot, tail = text.partition(".")
    if dot and _is_reserved(head):
        # Windows takes "con.foo-1234abcd" for the console: it looks before the first dot only.
        text = f"{head}-{tail}"
    text = _cut(text[:MAX_SLUG_CHARACTERS], MAX_SLUG_BYTES)
    return text.rstrip(_SEPARATORS) or "model"


def model_id(name: str, digest_hex: str, digits: int = MIN_ID_DIGITS) -> str:
    """The id of a model: the slug of its name, ``-`` and the first digits of its digest.

    Raises ValueError unless ``digest_hex`` is a digest and ``digits`` is 8 to 64.
    """
    if not is_digest(digest_hex):
        raise ValueError(f"not a digest: {digest_hex[:80]!r}")
    if not MIN_ID_DIGITS <= digits <= len(digest_hex):
        raise ValueError(f"digits must be {MIN_ID_DIGITS} to {len(digest_hex)}, not {digits}")
    return f"{slug(name)}-{digest_hex[:digits]}"


def is_model_id(text: str) -> bool:
    """Whether ``text`` is what `model_id` gives, and so may become the name of a folder."""
    match = _MODEL_ID.fullmatch(text)
    if match is None:
        return False
    # A letter this Python's Unicode tables do not know yet may come from a newer Python's id.
    known = "".join("x" if unicodedata.category(c) == "Cn" else c for c in match[1])
    return slug(known) == known and not relative_path_problems(text)


def is_digest(text: str) -> bool:
    """Whether ``text`` is a BLAKE3 or SHA-256 digest as this library writes it."""
    return _DIGEST.fullmatch(text) is not None


def is_repo_id(text: str, *, bare: bool = False) -> bool:
    """Whether ``text`` may name a repository of the Hub, and so may become a part of an address.

    ``namespace/name``; with ``bare`` also a name alone, as the oldest repositories have. The rules
    are those of huggingface_hub's ``validate_repo_id``: at most 96 of the letters, digits, ``._-``
    of ASCII, no ``--``, no ``..``, no ``.git`` at the end.
    """
    parts = text.split("/")
    if len(parts) not in ((1, 2) if bare else (2,)) or "--" in text or ".." in text:
        return False
    return not text.endswith(".git") and all(map(_REPO_PART.fullmatch, parts))


def relative_path_problems(path: str) -> tuple[NameProblem, ...]:
    """Everything that keeps ``path`` from being a path inside a model; empty when it is good.

    ``path`` is relative, ``/`` between its parts, as ``os.fsdecode`` gives it: bytes that are not
    UTF-8 are lone surrogates U+DC80 to U+DCFF and are allowed. A good path stays below the folder
    it is joined to under POSIX and Windows rules, and names a plain file under both.
    """
    if not path:
        return (NameProblem("empty", path, "the path is empty"),)
    unreadable = _encoding_problem(path)
    if unreadable is not None:
        return (unreadable,)
    if len(_to_bytes(path)) > MAX_PATH_BYTES:
        return (NameProblem("path_too_long", path, f"longer than {MAX_PATH_BYTES} bytes"),)
    problems = list(_root_problems(path))
    for part in path.lstrip("/").split("/"):
        problems.extend(_part_problems(part))
    return tuple(problems)


def collisions(paths: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of paths that cannot be kept apart on every file system, the earlier path first.

    Compared by the canonical caseless match of the Unicode Standard (definition D145). A pair is
    two files of one name, a file and a folder of one name, or two spellings of one folder. Every
    path is in at most one pair as the later one.
    """
    files: dict[str, str] = {}
    folders: dict[str, tuple[str, str]] = {}
    pairs: list[tuple[str, str]] = []
    for path in paths:
        other = _collides_with(path, files, folders)
        if other is not None:
            pairs.append((other, path))
        files.setdefault(caseless(path), path)
        for folder in _folders(path):
            folders.setdefault(caseless(folder), (folder, path))
    return tuple(pairs)


def caseless(path: str) -> str:
    """The same for all spellings that are one name on Windows or macOS (definition D145)."""
    if path.isascii():
        return path.lower()
    folded = unicodedata.normalize("NFD", path).casefold()
    return unicodedata.normalize("NFD", folded)


def portable_name(part: str) -> str:
    """A name like ``part`` that is good on every platform, to suggest in an error message."""
    text = "".join("_" if _is_refused(c) or c == "/" else c for c in part[:4096]).rstrip(". ")
    head, dot, tail = text.partition(".")
    if _is_reserved(head):
        text = f"{head.rstrip(' ')}_{dot}{tail}"
    stem, extension = posixpath.splitext(text)
    if len(extension.encode()) > 32:
        stem, extension = text, ""
    shorter = _cut(stem, MAX_PART_BYTES - len(extension.encode())) + extension
    return shorter.rstrip(". ") or "_"


def display(path: str) -> str:
    r"""A printable form for terminals and messages, always encodable as UTF-8.

    A byte that is not UTF-8 becomes ``\xNN``; controls, bidi and other invisible characters become
    ``\uNNNN``. It is for people: two different paths can look alike.
    """
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else _escaped(c) for c in path)


def to_json_path(path: str) -> dict[str, str]:
    """The form of a path in a manifest: ``path``, and ``path_hex`` when its bytes are not UTF-8.

    The bytes are those of ``os.fsencode`` on a UTF-8 system, whatever this system's encoding is.
    Raises ValueError when ``path`` cannot have come from ``os.fsdecode``.
    """
    if _encoding_problem(path) is not None:
        raise ValueError(f"not a path of os.fsdecode: {path!r}")
    raw = _to_bytes(path)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"path": display(path), "path_hex": raw.hex()}
    return {"path": path}


def from_json_path(mapping: Mapping[str, object]) -> str:
    """The path that `to_json_path` wrote, exactly. It is not judged: see `relative_path_problems`.

    Raises ValueError when the mapping is not of that form.
    """
    path, path_hex = mapping.get("path"), mapping.get("path_hex")
    if path_hex is None and isinstance(path, str) and _encoding_problem(path) is None:
        return path
    if isinstance(path_hex, str) and _HEX_BYTES.fullmatch(path_hex):
        return bytes.fromhex(path_hex).decode("utf-8", "surrogateescape")
    raise ValueError("not a path: 'path' must be text, 'path_hex' lower-case hexadecimal bytes")


def _lowered(name: str) -> Iterator[str]:
    visible = "".join(c for c in name if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))
    composed = unicodedata.normalize("NFC", visible)
    return iter(unicodedata.normalize("NFC", composed.lower()))


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode("utf-8", "ignore")


def _to_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _encoding_problem(path: str) -> NameProblem | None:
    try:
        # Surrogates that would together spell valid UTF-8 never come from a file system.
        if _to_bytes(path).decode("utf-8", "surrogateescape") == path:
            return None
    except UnicodeEncodeError:
        pass
    return NameProblem("surrogate", path, "holds a surrogate that stands for no byte of a name")


def _root_problems(path: str) -> Iterator[NameProblem]:
    if path[:2].replace("\\", "/") == "//":
        yield NameProblem("unc", path, "a network path, not relative to the model")
    elif path.startswith("/"):
        yield NameProblem("absolute", path, "absolute, not relative to the model")
    elif path.startswith("\\"):
        yield NameProblem("root_relative", path, "relative to the root of a Windows drive")
    elif re.match("[A-Za-z]:", path):
        yield NameProblem("drive", path, "begins with a Windows drive")


def _part_problems(part: str) -> Iterator[NameProblem]:
    if not part:
        yield NameProblem("empty_part", part, "has an empty part")
        return
    if part in (".", ".."):
        yield NameProblem("dot_part", part, f"has a part {part!r}, which is a place, not a name")
        return
    characters = set(part)
    if any(map(_is_control, characters)):
        yield NameProblem("control", part, "holds a control character")
    if characters & _BIDI:
        yield NameProblem("bidi", part, "holds a character that changes the direction of text")
    if "\\" in characters:
        yield NameProblem("backslash", part, "holds a backslash, which parts folders on Windows")
    if ":" in characters:
        yield NameProblem("colon", part, "holds ':', which names a drive or a stream on Windows")
    refused = "".join(sorted((characters & _FORBIDDEN) - {"\\", ":"}))
    if refused:
        yield NameProblem("forbidden_character", part, f"holds {refused}, not allowed on Windows")
    if part[-1] in ". ":
        yield NameProblem("trailing", part, "ends in a dot or a space, which Windows takes away")
    if _is_reserved(part.partition(".")[0]):
        yield NameProblem("reserved", part, "is the name of a device on Windows")
    # No name has more UTF-16 units than UTF-8 bytes, so this is the NTFS limit as well.
    if len(_to_bytes(part)) > MAX_PART_BYTES:
        yield NameProblem("part_too_long", part, f"has a name longer than {MAX_PART_BYTES} bytes")


def _is_reserved(head: str) -> bool:
    return head.rstrip(" ").upper() in _RESERVED


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"


def _is_refused(character: str) -> bool:
    return (
        character in _FORBIDDEN
        or character in _BIDI
        or unicodedata.category(character) in ("Cc", "Cs")
    )


def _folders(path: str) -> Iterator[str]:
    end = path.find("/")
    while end != -1:
        yield path[:end]
        end = path.find("/", end + 1)


def _collides_with(
    path: str, files: Mapping[str, str], folders: Mapping[str, tuple[str, str]]
) -> str | None:
    key = caseless(path)
    if key in files:
        return files[key]
    if key in folders:
        return folders[key][1]
    for folder in _folders(path):
        folder_key = caseless(folder)
        if folder_key in files:
            return files[folder_key]
        spelling, owner = folders.get(folder_key, (folder, path))
        if spelling != folder:
            return owner
    return None


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
