"""What the text after ``cellar download`` means: a repository, a Civitai version, an address."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from modelcellar.config import is_loopback_host
from modelcellar.downloads.civitai_targets import (
    CivitaiTarget,
    civitai_target_of_page,
    civitai_target_of_text,
)
from modelcellar.downloads.hub_targets import (
    HubTarget,
    hub_target_of_page,
    hub_target_of_text,
    is_revision,
)
from modelcellar.errors import UsageError
from modelcellar.naming import is_digest
from modelcellar.network.http import display_url

__all__ = ["CivitaiTarget", "HubTarget", "Target", "WebTarget", "parse_target"]


@dataclass(frozen=True, slots=True)
class WebTarget:
    """One file at an address, and the SHA-256 of what must come from there."""

    url: str = field(repr=False)
    sha256: str


Target: TypeAlias = HubTarget | CivitaiTarget | WebTarget
LONGEST = 4096
EXAMPLE = (
    "Give a repository (owner/name, owner/name:Q4_K_M), a link of the Hub or of Civitai, "
    "civitai:VERSION, or an https address with --sha256."
)
_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co")
_CIVITAI_HOSTS = ("civitai.com", "www.civitai.com", "civitai.green", "civitai.red", "civitai.blue")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE | re.ASCII)
_AIR = re.compile(
    r"(?:urn:)?(?:air:)?(?:[a-z0-9_.-]+:[a-z0-9_.-]+:)?(?P<source>civitai|huggingface):(?P<id>.*)",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)


def parse_target(
    text: str,
    *,
    hub_endpoint: str,
    civitai_endpoint: str,
    revision: str | None = None,
    sha256: str | None = None,
) -> Target:
    """What ``text`` means. Nothing is asked of any host.

    Args:
        text: a name, a link or an address, as people type and paste them.
        hub_endpoint: where the Hub is; links below it are links of the Hub.
        civitai_endpoint: the same for Civitai.
        revision: given beside the text; a Hub link may say the same one.
        sha256: what an address must turn out to be, 64 hexadecimal digits.

    Raises:
        UsageError: it means nothing that can be downloaded; the hint is what to write.
    """
    text = text.strip()
    _refuse_unreadable(text)
    target = _read(text, hub_endpoint, civitai_endpoint, sha256)
    if not isinstance(target, WebTarget) and sha256 is not None:
        raise UsageError(
            "--sha256 is for addresses of which nothing is known",
            "Leave it out: this is checked against the digests that are published for it.",
        )
    if revision is None:
        return target
    if not isinstance(target, HubTarget):
        raise UsageError("--revision is for repositories of the Hub", "Leave it out.")
    return _with_revision(target, revision)


def _read(text: str, hub_endpoint: str, civitai_endpoint: str, sha256: str | None) -> Target:
    lowered = text.lower()
    scheme = _SCHEME.match(text)
    if scheme is not None and scheme[1].lower() != "hf":
        return _of_address(text, hub_endpoint, civitai_endpoint, sha256)
    if lowered.startswith("hf:"):
        rest = text[3:]
        return hub_target_of_text(rest.lstrip("/"), has_path=rest.startswith("//"))
    if (air := _AIR.fullmatch(text)) is not None:
        if air["source"].lower() == "huggingface":
            return hub_target_of_text(air["id"])
        return civitai_target_of_text(text)
    for host, start in _hosts(hub_endpoint, civitai_endpoint):
        if lowered.startswith(f"{host}/"):
            return _of_address(start + text[len(host) :], hub_endpoint, civitai_endpoint, sha256)
    _refuse_path(text)
    return hub_target_of_text(text)


def _hosts(hub_endpoint: str, civitai_endpoint: str) -> list[tuple[str, str]]:
    """Hosts that an address may begin with, and how it begins with its scheme."""
    known = [(host, f"https://{host}") for host in (*_HUB_HOSTS, *_CIVITAI_HOSTS)]
    ours = [(urlsplit(one).netloc.lower(), one) for one in (hub_endpoint, civitai_endpoint)]
    return [(host, f"{urlsplit(one).scheme}://{host}") for host, one in ours] + known


def _of_address(text: str, hub_endpoint: str, civitai_endpoint: str, sha256: str | None) -> Target:
    parts = _split(text)
    hub_path = _path_below(parts, hub_endpoint, _HUB_HOSTS)
    civitai_path = _path_below(parts, civitai_endpoint, _CIVITAI_HOSTS)
    query = parse_qs(parts.query)
    if hub_path is not None:
        return hub_target_of_page(_parts_of(hub_path), query)
    if civitai_path is not None:
        return civitai_target_of_page(_parts_of(civitai_path), query)
    is_near = parts.scheme == "http" and is_loopback_host(parts.hostname or "")
    if parts.scheme != "https" and not is_near:
        raise UsageError(
            f"{display_url(text)!r} is no https address",
            "Only https is fetched from; http:// is for this machine only.",
        )
    if sha256 is None:
        raise UsageError(
            f"nothing is known of what {display_url(text)!r} must turn out to be",
            "Add --sha256 with the 64 digits that whoever publishes it states.",
        )
    return WebTarget(parts._replace(fragment="").geturl(), _digest(sha256))


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # both raise for what cannot be one
    except ValueError as error:
        raise UsageError(f"{display_url(text)!r} is no address: {error}", EXAMPLE) from None
    if parts.scheme == "file":
        raise UsageError(
            f"{display_url(text)!r} is on this machine", "What is here comes in with cellar import."
        )
    if not host or parts.scheme not in ("http", "https"):
        raise UsageError(f"{display_url(text)!r} is no https address", EXAMPLE)
    if "@" in parts.netloc:
        raise UsageError(
            f"{display_url(text)!r} was given with a user or a password in it",
            "It would be shown, logged and kept; give the address without.",
        )
    if re.search(r"\s", text):
        raise UsageError(f"{display_url(text)!r} has a blank in it", "Write a blank as %20.")
    return parts


def _path_below(parts: SplitResult, endpoint: str, hosts: Sequence[str]) -> str | None:
    """The path of a page of a host: one of its names, or a place below its endpoint."""
    home = urlsplit(endpoint)
    same = (parts.scheme, parts.netloc.lower()) == (home.scheme, home.netloc.lower())
    if same and parts.path.startswith(f"{home.path}/"):
        return parts.path[len(home.path) :]
    return parts.path if parts.hostname in hosts and parts.port in (None, 80, 443) else None


def _parts_of(path: str) -> list[str]:
    try:
        parts = [unquote(part, errors="strict") for part in path.split("/") if part]
    except ValueError:
        raise UsageError(f"{path!r} is not written in UTF-8", EXAMPLE) from None
    if any(one in (".", "..") for part in parts for one in part.split("/")):
        raise UsageError(f"{path!r} leads out of its place", EXAMPLE)
    return parts


def _with_revision(target: HubTarget, revision: str) -> HubTarget:
    if not is_revision(revision):
        raise UsageError(
            f"{revision!r} is no revision", "Give a branch, a tag or a commit, for example main."
        )
    if target.revision not in (None, revision):
        raise UsageError(
            f"two revisions are given, {target.revision!r} and {revision!r}",
            "Give one of them.",
        )
    return replace(target, revision=revision)


def _digest(text: str) -> str:
    digest = text.strip().lower().removeprefix("sha256:")
    if not is_digest(digest):
        raise UsageError(f"{text!r} is no SHA-256", "It has 64 hexadecimal digits.")
    return digest


def _refuse_unreadable(text: str) -> None:
    if not text:
        raise UsageError("nothing is named that could be downloaded", EXAMPLE)
    if len(text) > LONGEST or not text.isprintable():
        raise UsageError("that is neither a name nor an address", EXAMPLE)


def _refuse_path(text: str) -> None:
    """What stands on this disk is hardly meant as a repository, unless it has the form of one."""
    is_written_as_path = text.startswith((".", "/", "~", "\\")) or re.match(r"[A-Za-z]:[\\/]", text)
    try:
        is_here = Path(text).exists()
    except (OSError, ValueError):
        is_here = False
    if is_here and (is_written_as_path or text.count("/") != 1 or Path(text).is_file()):
        raise UsageError(
            f"{text!r} is on this disk",
            f"To take it in: cellar import {text}\nFor the repository of that name: hf:{text}",
        )
    if is_written_as_path:
        raise UsageError(f"{text!r} is written as a path, and nothing is there", EXAMPLE)
