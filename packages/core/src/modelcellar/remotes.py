"""What can be downloaded from one place, as frozen values: what it must turn out to be, and where.

Addresses here are those that stay: a signed one is asked for anew each time and never kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelcellar.network.secret import Secret
from modelcellar.records import JsonValue

__all__ = ["Remote", "RemoteFile"]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file, known before its first byte comes.

    ``sha256`` is of the content; where there is none ``git_sha1`` is git's name for a blob with it
    (``sha1(b"blob <size>\\0" + bytes)``). ``size_bytes`` is ``None`` where only the answer tells.
    ``is_default``: wanted also where nothing particular is asked for.
    """

    path: str
    url: str = field(repr=False)
    size_bytes: int | None
    sha256: str | None = None
    git_sha1: str | None = None
    scan: str | None = None
    """What the host's scanners say of it, as in :class:`modelcellar.origins.RepoFile`."""
    is_default: bool = True
    shortcut: str | None = field(default=None, repr=False)
    """Another address of the same bytes, without a redirect; not every mirror has it."""

    @property
    def key(self) -> str:
        """What the content is known by, as a name of a file."""
        return self.sha256 or f"git-{self.git_sha1}"


@dataclass(frozen=True, slots=True)
class Remote:
    """Files at one place in one version: a repository at a commit, a version, one address.

    ``provider`` is ``huggingface``, ``civitai`` or ``web``; ``title`` what people call it. ``page``
    is the address for people. ``authorization`` is the value of that header (``Bearer ...``), sent
    to the origin of a file's ``url`` only. ``notes`` are for people: it was renamed, say.
    ``left_out`` are files that are published there and cannot be kept under their path, each with
    the reason; ``notes`` tell of them.
    """

    provider: str
    title: str
    files: tuple[RemoteFile, ...]
    repo_id: str | None = None
    revision: str | None = None
    page: str | None = None
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    fetched_at: str = ""
    authorization: Secret | None = None
    notes: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
