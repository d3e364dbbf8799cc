"""Which kinds of link an app may be given, and in which order they are tried."""

import os

from modelcellar.errors import UsageError
from modelcellar.link_records import App, LinkKind
from modelcellar.links.preset_values import Preset

__all__ = ["COMPANION_KINDS", "link_kinds"]

COMPANION_KINDS = (LinkKind.REFLINK, LinkKind.COPY)
"""Companions are small, and applications write to them: they are files of their own."""


def link_kinds(app: App, preset: Preset, *, system: str = os.name) -> tuple[LinkKind, ...]:
    """The kinds to try, the best first: what the app asks for, or all that its preset allows.

    On Windows a hard link comes first: a symlink needs a privilege there, and some applications
    show it as a file of 0 bytes.

    Raises:
        UsageError: the app asks for a link that its preset does not allow.
    """
    if app.link is None:
        first = LinkKind.HARDLINK if system == "nt" else None
        return tuple(sorted(preset.links, key=lambda kind: kind is not first))
    if app.link is LinkKind.COPY or app.link in preset.links:
        return (app.link,)
    because = "writes into model files" if preset.rewrites else "does not work with it"
    known = ", ".join([*preset.links, LinkKind.COPY])
    raise UsageError(
        f"{app.name}: no {app.link} for {preset.title}, which {because}",
        f"There are: {known}.",
    )
