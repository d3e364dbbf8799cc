"""Tokens: where they are found, and a value for them that never shows what it holds.

For the Hub the places are those of its own tools: https://huggingface.co/docs/huggingface_hub,
package reference, environment variables.
"""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

from modelcellar.network.http import origin_of
from modelcellar.network.secret import Secret

__all__ = ["authorization_for", "read_civitai_token", "read_hub_token"]

LONGEST_TOKEN = 4096
_TRUE = {"1", "on", "yes", "true"}
_LOG = logging.getLogger(__name__)


def read_hub_token(
    environ: Mapping[str, str] = os.environ, *, home: Path | None = None
) -> Secret | None:
    """The user's token: from ``HF_TOKEN``, or the file that ``hf auth login`` wrote.

    ``HF_HUB_DISABLE_IMPLICIT_TOKEN`` says that none is to be sent unasked. What cannot be a token
    is not used, because a header must not carry it.
    """
    if environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").strip().lower() in _TRUE:
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if (text := environ.get(name, "").strip()) != "":
            return _token(text, name)
    path = home / "token" if home and not environ.get("HF_TOKEN_PATH") else _token_path(environ)
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_TOKEN + 1).decode("ascii", "replace").strip()
    except OSError:
        return None
    return _token(text, path.name) if text else None


def read_civitai_token(environ: Mapping[str, str] = os.environ) -> Secret | None:
    """The user's API key of Civitai, from ``CIVITAI_API_TOKEN``."""
    text = environ.get("CIVITAI_API_TOKEN", "").strip()
    return _token(text, "CIVITAI_API_TOKEN") if text else None


def authorization_for(url: str, token: Secret | None, *, endpoint: str) -> dict[str, Secret]:
    """The header that signs a call in, empty where the token is none of that host's business.

    It is sent to the endpoint's own origin only: the same scheme, host and port as the endpoint's.
    """
    try:
        is_home = origin_of(url) == origin_of(endpoint)
    except ValueError:
        is_home = False
    return {"authorization": token.prefixed("Bearer ")} if token and is_home else {}


def _token_path(environ: Mapping[str, str]) -> Path:
    if chosen := environ.get("HF_TOKEN_PATH"):
        return Path(chosen).expanduser()
    if home := environ.get("HF_HOME"):
        return Path(home).expanduser() / "token"
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "token"


def _token(text: str, source: str) -> Secret | None:
    if len(text) > LONGEST_TOKEN or not re.fullmatch(r"[\x21-\x7e]+", text):
        _LOG.warning("what %s holds is no token and is not used", source)
        return None
    return Secret(text)
