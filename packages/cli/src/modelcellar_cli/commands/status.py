"""``cellar status``: the library in numbers, and how the hosts are."""

import shlex
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from modelcellar_cli.findings import line
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    human_size,
    local_day,
    path_fields,
    show_text,
)
from modelcellar_cli.session import open_library

if TYPE_CHECKING:
    from modelcellar.network.manager import NetworkStatus, OriginStatus


@click.command("status", cls=CellarCommand)
@click.pass_obj
def command(options: Options) -> None:
    """Show what the library holds, what is still to be looked up, and how the hosts are.

    No host is asked. A circuit that is open means that a host failed so often that it is left alone
    for a while; the next call after that finds out whether it is well again. With -q prints the
    addresses of such hosts.
    """
    from modelcellar.config import load_settings
    from modelcellar.errors import LibraryNotFoundError
    from modelcellar.hosts import network_status

    settings, _ = load_settings(flags=options.flags())
    network, repositories, files = network_status(settings)
    try:
        with open_library(options) as library:
            models, size_bytes = library.totals()
            unread, unread_bytes = library.unread_totals()
            totals: dict[str, Any] | None = {
                **path_fields("path", str(library.path)),
                "library_id": library.library_id,
                "models": models,
                "size_bytes": size_bytes,
                "pending_lookups": library.never_looked_up(),
                "unread_models": unread,
                "unread_bytes": unread_bytes,
                "unfinished_downloads": list(map(asdict, library.unfinished_downloads())),
            }
    except LibraryNotFoundError:
        totals = None
    if options.json:
        known = {"repositories": repositories, "files": files}
        emit_json({"library": totals, "network": {**_to_json(network), "known": known}})
    elif options.quiet:
        emit_lines(show_text(one.origin) for one in network.origins if one.state != "closed")
    else:
        _show(totals, network, repositories, files)


def _show(
    totals: dict[str, Any] | None, network: "NetworkStatus", repositories: int, files: int
) -> None:
    if totals is None:
        emit_lines([line("library", "none yet; cellar import makes one")])
    else:
        size = human_size(totals["size_bytes"])
        emit_lines(
            [
                line("library", totals["path"]),
                line("holds", f"{counted(totals['models'], 'model')}, {size}"),
                line("to look up", f"{counted(totals['pending_lookups'], 'model')}"),
            ]
        )
        if totals["unread_models"]:
            unread = f"{counted(totals['unread_models'], 'adopted model')}, "
            unread += human_size(totals["unread_bytes"])
            emit_lines([line("to read", f"{unread}; cellar adopt --finish")])
        emit_lines(map(_unfinished, totals["unfinished_downloads"]))
        if totals["unfinished_downloads"]:
            again = "that command goes on with it; with --discard it gives it up"
            emit_lines([line("", again)])
    known = f"{counted(files, 'file')} of {repositories:,} repositories, by digest"
    emit_lines([line("known", known)])
    if network.is_offline:
        emit_lines([line("network", "not to be used (--offline or HF_HUB_OFFLINE)")])
    elif network.offline_s > 0:
        emit_lines([line("network", "no host could be reached")])
    now = time.time()
    for one in network.origins:
        emit_lines([line("host", f"{one.origin}: {_state(one, now)}")])
        for quota in one.quotas:
            limit = "" if quota.limit is None else f" of {quota.limit:,}"
            left = f"{quota.left:,}{limit} calls left"
            emit_lines([line("", f"{quota.bucket}: {left}, anew in {quota.reset_s:.0f} s")])


def _unfinished(one: dict[str, Any]) -> str:
    """What was begun of a download and is not in the library yet."""
    here = f"{human_size(one['held_bytes'])} of {human_size(one['size_bytes'])}"
    if one["is_under_way"]:
        here = f"{human_size(one['size_bytes'])}, another process is at it"
    what = f"{counted(one['files'], 'file')}, {here}, since {local_day(one['began_at'])}"
    command = shlex.join(["cellar", "download", one["target"], *one["arguments"]])
    return line("unfinished", f"{show_text(command)}: {what}")


def _state(one: "OriginStatus", now: float) -> str:
    if one.since is None:
        return "well, as far as is known"
    left = max(0.0, (one.until or now) - now)
    since = time.strftime("%H:%M:%S", time.localtime(one.since))
    return f"left alone since {since} for {left:.0f} s more: {one.cause}"


def _to_json(network: "NetworkStatus") -> dict[str, Any]:
    return {
        "is_offline": network.is_offline,
        "unreachable_s": network.offline_s,
        "hosts": [
            {
                "origin": one.origin,
                "circuit": one.state.value,
                "since": one.since,
                "until": one.until,
                "cause": one.cause,
                "quotas": [
                    {
                        "bucket": quota.bucket,
                        "left": quota.left,
                        "limit": quota.limit,
                        "reset_s": quota.reset_s,
                    }
                    for quota in one.quotas
                ],
            }
            for one in network.origins
        ],
    }
