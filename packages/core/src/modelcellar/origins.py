"""Where files come from, as the frozen values that look-ups and providers hand to each other.

Digests are lower-case hexadecimal, sizes are bytes, times ISO 8601 in UTC with a ``Z``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from modelcellar.records import JsonValue

__all__ = ["WEB", "Claim", "Listing", "Match", "RepoFile", "Standing", "Subject"]

WEB = "web"
"""The provider of what came from an address that is of no repository."""


class Standing(StrEnum):
    """What an answer is worth.

    ``verified``: a digest of ours equals one that the provider publishes for that very file.
    ``claimed``: another tool wrote it down and nobody has checked it. ``candidate``: it may be.
    """

    VERIFIED = "verified"
    CLAIMED = "claimed"
    CANDIDATE = "candidate"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Subject:
    """One file whose origin is asked for, with all that is known of it; nothing has to be.

    ``name`` is its name, after the name of its model and the folders in that where it has them.
    ``sha256``, ``blake3`` and ``tensor_sha256`` are ours, computed from all bytes. ``git_sha1`` is
    git's name for a blob with these bytes (``sha1(b"blob <size>\\0" + bytes)``), known for small
    files only. ``facts`` are those of :class:`modelcellar.records.Inspection`.
    """

    name: str
    size_bytes: int | None = None
    sha256: str | None = None
    blake3: str | None = None
    tensor_sha256: str | None = None
    autov1: str | None = None
    git_sha1: str | None = None
    format: str = "unknown"
    facts: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RepoFile:
    """One file of a repository as its host lists it.

    ``sha256`` is the published SHA-256 of the content (``lfs.oid``), ``None`` where there is
    none; ``git_sha1`` is the blob's name in git, which is of the content only where ``sha256`` is
    ``None``.
    """

    path: str
    size_bytes: int
    sha256: str | None = None
    git_sha1: str | None = None
    scan: str | None = None
    """What the host's scanners say: ``safe``, ``unsafe``, ``suspicious``, ``queued``, ..."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of one repository at one commit."""

    repo_id: str
    commit: str
    files: tuple[RepoFile, ...]
    fetched_at: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What another tool wrote down about a file.

    ``provider`` is where the file is said to come from (``huggingface``, ``civitai``, ``ollama``),
    ``tool`` whose record it is, ``evidence`` names the record for people. ``sha256`` is what the
    record says it is, not what it was found to be.
    """

    provider: str
    tool: str
    evidence: str
    repo_id: str | None = None
    revision: str | None = None
    path: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    url: str | None = None
    facts: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """One answer to "where is this file from".

    ``facts`` is what the provider says about the model: ``author``, ``license``, ``tags``,
    ``base_model``, ``pipeline_tag``, ``description``, ``trigger_words``, ``gated``, ``scan``.
    ``fetched_at`` is when that was asked; ``is_stale`` that the host could not be asked again since
    the answer grew old.
    """

    provider: str
    status: Standing
    evidence: str
    repo_id: str | None = None
    revision: str | None = None
    path: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    url: str | None = None
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    fetched_at: str | None = None
    is_stale: bool = False
