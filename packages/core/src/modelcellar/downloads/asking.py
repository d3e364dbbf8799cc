"""Asks a host what there is of a target, and which of it is wanted."""

from dataclasses import dataclass, replace
from typing import assert_never

from modelcellar import naming
from modelcellar.downloads.attempts import Refuse
from modelcellar.downloads.selection import select
from modelcellar.downloads.sizing import probe
from modelcellar.downloads.targets import CivitaiTarget, HubTarget, Target, WebTarget
from modelcellar.downloads.web import WebFiles
from modelcellar.errors import CellarError, NotPublishedError
from modelcellar.hosts import Hosts
from modelcellar.network.http import Response
from modelcellar.remotes import Remote, RemoteFile

__all__ = ["Selecting", "Wanted", "ask"]


@dataclass(frozen=True, slots=True)
class Selecting:
    """Which files are wanted, in the words of the user."""

    patterns: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted files of a remote; ``refuse`` is what it means when it gives one not.

    ``bucket`` is the host's quota that asking for files counts against.
    """

    remote: Remote
    files: tuple[RemoteFile, ...]
    refuse: Refuse
    bucket: str = ""
    notes: tuple[str, ...] = ()


async def ask(hosts: Hosts, target: Target, selecting: Selecting) -> Wanted:
    """What there is of ``target``, and which of it is wanted.

    Raises:
        NotPublishedError: there is nothing, or nothing of it is wanted.
        SignInNeededError: it is only for those whom the host knows.
        NetworkError: the host could not be asked.
    """
    match target:
        case HubTarget():
            return await _ask_hub(hosts, target, selecting)
        case CivitaiTarget():
            return await _ask_civitai(hosts, target, selecting)
        case WebTarget():
            return await _ask_web(hosts, target, selecting)
    assert_never(target)


async def _ask_hub(hosts: Hosts, target: HubTarget, selecting: Selecting) -> Wanted:
    remote = await hosts.files.remote(target.repo_id, revision=target.revision)
    repo_id = remote.repo_id or target.repo_id

    def refuse(response: Response, file: RemoteFile) -> CellarError:
        return hosts.files.refusal(
            response.status, response.headers, repo_id=repo_id, path=file.path
        )

    patterns = (*target.patterns, *selecting.patterns)
    chosen = Selecting(patterns, selecting.include, selecting.exclude)
    return _wanted(remote, chosen, refuse, bucket="resolvers", label=target.label)


async def _ask_civitai(hosts: Hosts, target: CivitaiTarget, selecting: Selecting) -> Wanted:
    remote = await hosts.civitai_files.remote(
        target.version_id,
        model_id=target.model_id,
        file_id=target.file_id,
        filters=target.filters,
    )

    def refuse(response: Response, file: RemoteFile) -> CellarError:
        return hosts.civitai_files.refusal(
            response.status, response.headers, repo_id=remote.repo_id or "", path=file.path
        )

    wanted = _wanted(remote, selecting, refuse)
    sized = [await _sized(hosts, file, remote, refuse) for file in wanted.files]
    return replace(wanted, files=tuple(sized))


async def _ask_web(hosts: Hosts, target: WebTarget, selecting: Selecting) -> Wanted:
    web = WebFiles(hosts.network)
    remote = await web.remote(target.url, target.sha256)

    def refuse(response: Response, file: RemoteFile) -> CellarError:
        return web.refusal(response.status, response.headers, repo_id=remote.page, path=file.path)

    return _wanted(remote, selecting, refuse)


async def _sized(hosts: Hosts, file: RemoteFile, remote: Remote, refuse: Refuse) -> RemoteFile:
    """The file with its size, asked for where it was not told."""
    if file.size_bytes is not None:
        return file
    _, size = await probe(
        hosts.network,
        file.url,
        refuse=lambda response: refuse(response, file),
        authorization=remote.authorization,
    )
    return replace(file, size_bytes=size)


def _wanted(
    remote: Remote,
    selecting: Selecting,
    refuse: Refuse,
    *,
    bucket: str = "",
    label: str | None = None,
) -> Wanted:
    if not remote.files and remote.left_out:
        path, reason = remote.left_out[0]
        more = len(remote.left_out) - 1
        others = f", and so are {more:,} more" if more else ""
        raise NotPublishedError(
            f"{naming.display(path[:200])} is left out: its name {reason}{others}",
            "There is nothing else. Ask whoever published it for a name that every system takes.",
        )
    selection = select(
        remote.files,
        patterns=selecting.patterns,
        include=selecting.include,
        exclude=selecting.exclude,
        label=label,
        repo=remote.repo_id or remote.title,
    )
    notes = (*remote.notes, *selection.notes)
    return Wanted(remote, tuple(selection.files), refuse, bucket, notes)
