"""Settings: a frozen value, read once at the edge, each knowing where it came from.

Order: flag, environment, ``config.toml`` in the user's configuration folder, default.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from modelcellar.errors import UsageError
from modelcellar.records import DriveKind, DriveOverride, JsonValue, Setting

__all__ = [
    "Settings",
    "cache_folder",
    "default_config_file",
    "is_loopback_host",
    "load_settings",
    "parse_size",
    "state_folder",
]

GIB = 1 << 30
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}
_DRIVE_HINT = "Write for example /mnt/models=hdd or sda=ssd, several with a semicolon between them."


def _default_hub_home() -> Path:
    """Where the Hub's own client keeps its things (huggingface_hub/constants.py)."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface"


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its value in force.

    ``library`` is the folder of the library; ``offline`` forbids the network; ``min_free_bytes`` is
    what an import leaves free on the library's disk (or 3 % of the import, if that is more);
    ``lock_timeout_s`` is how long to wait for another process that is changing the library;
    ``hub_cache`` is the Hub's own client's cache, in ``hub_home`` where it is ``None``;
    ``reflink`` is ``auto``, or ``never`` for copies whose every byte is written although the file
    system could share them; ``drive`` says what drives are, where the user knows better.
    """

    library: Path
    offline: bool = False
    min_free_bytes: int = GIB
    lock_timeout_s: float = 30.0
    reflink: str = "auto"
    drive: tuple[DriveOverride, ...] = ()
    lookup: bool = True
    hub_endpoint: str = "https://huggingface.co"
    hub_home: Path = field(default_factory=_default_hub_home)
    hub_cache: Path | None = None
    civitai_endpoint: str = "https://civitai.com"
    civarchive_endpoint: str = "https://civarchive.com"


def default_config_file() -> Path:
    """``config.toml`` in the user's configuration folder (XDG on Linux)."""
    import platformdirs

    return platformdirs.user_config_path("modelcellar") / "config.toml"


def state_folder() -> Path:
    """Where logs, and catalogs of libraries on network file systems, are kept."""
    import platformdirs

    return platformdirs.user_state_path("modelcellar")


def cache_folder() -> Path:
    """Where answers of hosts are kept; may be deleted at any time."""
    import platformdirs

    return platformdirs.user_cache_path("modelcellar")


def _default_library() -> Path:
    import platformdirs

    return platformdirs.user_data_path("modelcellar") / "library"


def parse_size(text: str | int) -> int:
    """Read a size in bytes: ``1073741824``, ``"500 MB"`` (10**6), ``"1.5GiB"`` (2**30).

    Raises:
        UsageError: the text is no size.
    """
    match = re.fullmatch(
        r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([kmgt]?)(i?)b?\s*", str(text), re.IGNORECASE
    )
    if match is None:
        raise UsageError(f"{text!r} is not a size", 'Write for example 500MB, "1.5 GiB" or 0.')
    number, unit, binary = match.groups()
    base = 1024 if binary else 1000
    # A float is exact up to 2**53 only.
    value = float(number) if "." in number else int(number)
    return int(value * base ** _UNITS[unit.lower()])


def _parse_bool(text: object) -> bool:
    if isinstance(text, bool):
        return text
    word = str(text).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise UsageError(f"{text!r} is neither yes nor no", "Write 1 or 0.")


def _parse_seconds(text: object) -> float:
    try:
        seconds = float(str(text))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{text!r} is not a number of seconds", "Write for example 30 or 0.5.")
    return seconds


def _parse_path(text: object) -> Path:
    if not isinstance(text, str | os.PathLike) or "\0" in os.fspath(text):
        raise UsageError(f"{text!r} is not a path", "Give a folder.")
    if not os.fspath(text):
        raise UsageError("the library path is empty", "Give a folder, or unset it.")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"{os.fspath(text)!r}: {error}", "Give the whole path.") from None


def _parse_endpoint(text: object) -> str:
    """Read the address of a host; plain http is for this machine only."""
    try:
        parts = urlsplit(str(text).rstrip("/"))
    except ValueError:
        parts = urlsplit("")
    is_loopback = parts.hostname is not None and is_loopback_host(parts.hostname)
    usable = parts.scheme == "https" or (parts.scheme == "http" and is_loopback)
    # A password would be shown, logged and kept with everything that the host says.
    has_user = "@" in parts.netloc
    if not usable or not parts.hostname or parts.query or parts.fragment or has_user:
        shown = "an address with a user in it" if has_user else repr(text)
        raise UsageError(
            f"{shown} is no address of a host",
            "Write for example https://huggingface.co; http:// is for this machine only.",
        )
    return parts.geturl()


def is_loopback_host(host: str) -> bool:
    """Whether a host name is this machine by itself, whatever a name server says."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parse_min_free(text: object) -> int:
    return parse_size(text if isinstance(text, int) else str(text))


def _parse_reflink(text: object) -> str:
    if text not in ("auto", "never"):
        raise UsageError(f"{text!r} is neither auto nor never", "Write auto or never.")
    return str(text)


def _parse_drives(text: object) -> tuple[DriveOverride, ...]:
    """Read ``PLACE=ssd`` or ``PLACE=hdd``, several with ``;`` or, in the file, as a list."""
    words: list[str] = []
    for one in text if isinstance(text, list) else [text]:
        if not isinstance(one, str):
            raise UsageError(f"{text!r} is not about drives", _DRIVE_HINT)
        words += (word.strip() for word in one.split(";"))
    return tuple(_parse_drive(word) for word in words if word)


def _parse_drive(word: str) -> DriveOverride:
    place, _, kind = (part.strip() for part in word.rpartition("="))
    if not place or "\0" in place or kind.lower() not in ("ssd", "hdd"):
        raise UsageError(f"{word!r} does not say that a drive is ssd or hdd", _DRIVE_HINT)
    device = re.fullmatch(r"(?:/dev/(?!shm$))?([\w!-]+)", place)
    where = device[1] if device else os.fspath(_parse_path(place))
    return DriveOverride(where, DriveKind(kind.lower()))


@dataclass(frozen=True, slots=True)
class _Rule:
    field: str
    environment: str
    parse: Callable[[object], JsonValue]


_RULES = (
    _Rule("library", "MODELCELLAR_LIBRARY", _parse_path),
    _Rule("offline", "HF_HUB_OFFLINE", _parse_bool),
    _Rule("min_free_bytes", "MODELCELLAR_MIN_FREE_BYTES", _parse_min_free),
    _Rule("lock_timeout_s", "MODELCELLAR_LOCK_TIMEOUT_S", _parse_seconds),
    _Rule("reflink", "MODELCELLAR_REFLINK", _parse_reflink),
    _Rule("drive", "MODELCELLAR_DRIVE", _parse_drives),
    _Rule("lookup", "MODELCELLAR_LOOKUP", _parse_bool),
    _Rule("hub_endpoint", "HF_ENDPOINT", _parse_endpoint),
    _Rule("hub_home", "HF_HOME", _parse_path),
    _Rule("hub_cache", "HF_HUB_CACHE", _parse_path),
    _Rule("civitai_endpoint", "MODELCELLAR_CIVITAI_ENDPOINT", _parse_endpoint),
    _Rule("civarchive_endpoint", "MODELCELLAR_CIVARCHIVE_ENDPOINT", _parse_endpoint),
)


def load_settings(
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
    config_file: Path | None = None,
) -> tuple[Settings, tuple[Setting, ...]]:
    """Resolve every setting and say where each value came from.

    Args:
        flags: values given on the command line, by field name; ``None`` values count as not given.
        environ: the environment to read.
        config_file: the TOML file to read instead of the user's own.

    Raises:
        UsageError: a value cannot be read, or the file has an unknown setting.
        OSError: the file is there but cannot be read.
    """
    path = config_file or default_config_file()
    file_values = _read_config_file(path)
    given = flags or {}
    settings = Settings(library=_default_library())
    shown = []
    for rule in _RULES:
        raw, origin = _pick(rule, given, environ, file_values, path)
        if origin != "default":
            try:
                settings = replace(settings, **{rule.field: rule.parse(raw)})
            except UsageError as error:
                raise UsageError(f"{rule.field} ({origin}): {error.message}", error.hint) from None
        elif rule.field == "hub_cache":
            settings = replace(settings, hub_cache=settings.hub_home / "hub")
        shown.append(Setting(rule.field, _shown(getattr(settings, rule.field)), origin))
    return settings, tuple(shown)


def _shown(value: object) -> JsonValue:
    """A value as it could be written in the environment."""
    if isinstance(value, tuple):
        return ";".join(map(str, value))
    return str(value) if isinstance(value, Path) else value


def _pick(
    rule: _Rule,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file_values: Mapping[str, object],
    path: Path,
) -> tuple[object, str]:
    if flags.get(rule.field) is not None:
        return flags[rule.field], f"flag --{rule.field.replace('_', '-')}"
    if rule.environment in environ:
        return environ[rule.environment], f"environment {rule.environment}"
    if rule.field in file_values:
        return file_values[rule.field], f"config file {path}"
    return None, "default"


def _read_config_file(path: Path) -> Mapping[str, object]:
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    import tomllib

    try:
        values = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}", "Mend or remove the file.") from None
    known = [field.name for field in fields(Settings)]
    for name in values:
        if name not in known:
            raise UsageError(
                f"{path} has an unknown setting {name!r}", f"Known: {', '.join(known)}."
            )
    return values
