"""Paths of somebody's machine, cut down to their last name.

Folders of the machine that a model was trained on tell its owner's name.
"""

import re
from collections.abc import Callable

__all__ = ["without_home_paths", "without_private_paths"]

# A path is two or more names, each after a separator; one in a home folder may follow anything,
# and its owner's name may have spaces; others must not be the middle of an address
# ("https://host/a/b") or of a relative path.
_CHARACTER = r"[^\\/\s\"',;:*?<>|\[\](){}]"
_NAMES = rf"(?:[\\/]+{_CHARACTER}+)"
_OWNER = rf"[\\/]+{_CHARACTER}+(?:(?: {_CHARACTER}+){{1,3}}(?=[\\/]))?"
_FLAG = r"(?<=[ \t\"'=]-[A-Za-z])|(?<=\A-[A-Za-z])"
_DRIVE = r"(?:[A-Za-z]:)?"
_HOME = re.compile(
    rf"(?:(?<![\w/\\])|{_FLAG}){_DRIVE}[\\/]+(?:home|Users|root)(?:{_OWNER}{_NAMES}*)"
    rf"|(?<![\w/\\])~{_CHARACTER}+{_NAMES}+",
    re.IGNORECASE,
)
_PATH = re.compile(
    rf"(?<![\w.:/\\-])[A-Za-z]:{_NAMES}+|(?:(?<![\w./\\-])|{_FLAG})(?!(?<=:)//){_NAMES}{{2,}}"
)
_WHOLE_PATH = re.compile(r"(?:[A-Za-z]:[\\/]|\\\\|/(?:home|Users|root)/)[^\n]*", re.IGNORECASE)
_SEPARATOR = re.compile(r"[\\/]+")
_ENCODED = re.compile(r"%(?:25)*(?:2f|5c)", re.IGNORECASE)


def without_private_paths(text: str) -> str:
    """``text`` with each path of somebody's machine cut down to its last name."""
    if "/" not in text and "\\" not in text and "%" not in text:
        return text
    if _WHOLE_PATH.fullmatch(text.strip()):
        return _last_name(text.strip())
    return _decoded(text, lambda one: _PATH.sub(_last_of, _HOME.sub(_last_of, one)))


def without_home_paths(text: str) -> str:
    """The same for a name, which may well begin with a slash: only home folders are cut out."""
    if "/" not in text and "\\" not in text and "%" not in text:
        return text
    return _decoded(text, lambda one: _HOME.sub(_last_of, one))


def _decoded(text: str, cut: Callable[[str], str]) -> str:
    """``text`` after the cut; left as it is where only its encoded separators were the paths."""
    plain = _ENCODED.sub("/", text)
    found = cut(plain)
    return text if found == plain else found


def _last_of(match: re.Match[str]) -> str:
    return _last_name(match[0])


def _last_name(path: str) -> str:
    names = _SEPARATOR.split(path.rstrip("\\/"))
    is_home = len(names) >= 2 and names[-2].lower() in ("home", "users")
    return "~" if is_home or len(names) == 1 else names[-1]
