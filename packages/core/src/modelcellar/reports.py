"""What commands did, as frozen values: results, reports, and progress while they run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from modelcellar.link_records import LinkKind
from modelcellar.origins import Listing, Match
from modelcellar.records import (
    NOT_CHECKED,
    Drive,
    ErrorInfo,
    FileFormat,
    FileRecord,
    Finding,
    Identity,
    JournalEntry,
    ModelRecord,
    Security,
)


class ImportMode(StrEnum):
    """What happens to the original of an import, and whether its copy must share its data."""

    COPY = "copy"
    MOVE = "move"
    REFLINK = "reflink"


class ImportStatus(StrEnum):
    """What became of one source."""

    IMPORTED = "imported"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of one source: a file, or a folder that is one model.

    ``format``, ``summary``, ``findings``, ``security`` and ``size_bytes`` say what it is, as far as
    it was looked at; ``files`` are the relative names of all that belong together. ``same_tensors``
    are models of the library with the same tensors under another header.
    """

    source: str
    status: ImportStatus
    model_id: str | None = None
    error: ErrorInfo | None = None
    format: FileFormat = FileFormat.UNKNOWN
    summary: str = ""
    size_bytes: int | None = None
    files: tuple[str, ...] = ()
    findings: Mapping[str, Finding] = field(default_factory=dict)
    security: Security = NOT_CHECKED
    same_tensors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file in an imported folder that was left alone because it is not a model."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What one import did. ``bytes_written`` counts content only, not the library's own records;
    ``bytes_cloned`` is content that shares its data with the originals and was not written."""

    results: tuple[ImportResult, ...]
    models: tuple[ModelRecord, ...]
    skipped: tuple[Skipped, ...] = ()
    bytes_read: int = 0
    bytes_written: int = 0
    bytes_cloned: int = 0
    seconds: float = 0.0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Facet:
    """So many of all models found have this ``value`` in the field (``type``, ``base``, ...)."""

    field: str
    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Highlight:
    """Where the words of a query are in one ``field`` of a model: ``name``, ``tag``, ``note``, ...

    ``text`` is what stands there, of a long text the part around the first hit; ``spans`` are
    [start, end) in characters of it.
    """

    field: str
    text: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class SearchReport:
    """One page of models and how many there are in all."""

    query: str
    total: int
    models: tuple[ModelRecord, ...]
    took_ms: float
    notes: tuple[str, ...] = ()
    """What of the query was not understood as it may have been meant, in words."""
    did_you_mean: str | None = None
    """A query that finds something, where this one finds nothing."""
    highlights: tuple[tuple[Highlight, ...], ...] = ()
    """For each of ``models`` where the words are; empty where nothing was searched for."""
    facets: tuple[Facet, ...] = ()
    """Counts over all that was found, where they were asked for."""


NOT_READ = "not read yet"
"""What is expected of a file that was adopted and has no digests."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One file of the library that is not what it was when it came in."""

    model_id: str
    path: str
    expected: str
    actual: str

    @property
    def is_unread(self) -> bool:
        """Whether nobody ever read the model whole: an import of the same bytes is another then."""
        return self.expected == NOT_READ


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found. ``checked`` and ``ok`` count models."""

    checked: int
    ok: int
    damaged: tuple[Damage, ...]
    missing: tuple[Damage, ...]
    not_reached: int = 0
    first_read: tuple[str, ...] = ()
    """Ids of adopted models that were read whole for the first time, and have digests now."""
    false_claims: tuple[Damage, ...] = ()
    """Files of those with another SHA-256 than some tool had written down."""
    twins: tuple[tuple[str, str], ...] = ()
    """Those whose content another model has too: their id, and that of the other."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long piece of work is. Totals may grow while folders are still being read.

    ``bytes_before`` of ``bytes_done`` were there without any work: they are no speed.
    """

    phase: str
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    current: str = ""
    bytes_before: int = 0


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild of the catalog found; ``problems`` names manifests that could not be read."""

    models: int
    seconds: float
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge deleted for good (or, in a dry run, would): removed models and their bytes."""

    model_ids: tuple[str, ...]
    size_bytes: int
    dry_run: bool = False


class RestoreStatus(StrEnum):
    """What became of one model of a set.

    ``same``: it is there, and nothing new is known. ``found``: its files are, and a run that is not
    a dry one would import them. ``failed``: they were, and could not be imported.
    """

    SAME = "same"
    CHANGED = "changed"
    IMPORTED = "imported"
    FOUND = "found"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """One model of a set. ``changed`` are fields that were brought, ``kept`` those that the user
    has changed since; ``files`` are missing, and ``sources`` say where the model can be had."""

    content_digest: str
    name: str
    status: RestoreStatus
    model_id: str | None = None
    changed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    files: tuple[FileRecord, ...] = ()
    sources: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What became of each model of a set; ``entry`` is the change of the journal, if any."""

    results: tuple[RestoreResult, ...]
    entry: JournalEntry | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RelocateReport:
    """How the library at ``old`` was moved to ``new``.

    ``how``: ``renamed``, ``copied`` or ``moved before``. ``kept_bytes`` were there from an earlier
    run, ``damaged`` are files that are not what is on record, ``left`` is what is not of a library
    and was not copied. ``switched``: ``new`` is the library now.
    """

    old: str
    new: str
    how: str = ""
    models: int = 0
    size_bytes: int = 0
    copied_bytes: int = 0
    kept_bytes: int = 0
    damaged: tuple[Damage, ...] = ()
    left: tuple[str, ...] = ()
    switched: bool = False
    old_is_kept: bool = False
    old_is_marked: bool = False
    has_links: bool = False
    """Whether applications of this machine are given links, some of which lead to the old place."""
    seconds: float = 0.0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class LookupReport:
    """What a look-up found, best first; ``pending`` is who could not be asked, and why."""

    target: str
    matches: tuple[Match, ...]
    pending: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class EnrichResult:
    """What a look-up found about one model of the library, and which of its fields are new."""

    model_id: str
    identity: Identity
    matches: tuple[Match, ...] = ()
    fields: tuple[str, ...] = ()
    pending: ErrorInfo | None = None
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class EnrichReport:
    """What became of each model that was asked about."""

    results: tuple[EnrichResult, ...]
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class IndexReport:
    """Which repositories were taken into the index of digests.

    ``missing`` are names that lead nowhere, ``known_files`` all that the index holds now.
    """

    listings: tuple[Listing, ...]
    missing: tuple[str, ...] = ()
    known_files: int = 0
    pending: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class BenchCase:
    """One way to work on the same bytes: ``seconds`` is the median of ``rounds``, in seconds."""

    name: str
    size_bytes: int
    seconds: float
    rounds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What a drive does. ``bottleneck`` names the case that one copy waits for."""

    path: str
    drive: Drive
    cases: tuple[BenchCase, ...]
    bottleneck: str
    sha256_backend: str


@dataclass(frozen=True, slots=True)
class AdoptResult:
    """What became of one source: taken in where it lies, there before, refused or failed.

    ``link`` is how it came in, or would. ``claims`` is how many of its files another tool has
    written a SHA-256 down for, ``claimed_from`` whose record says where the model is from.
    """

    source: str
    status: ImportStatus
    model_id: str | None = None
    link: LinkKind | None = None
    error: ErrorInfo | None = None
    format: FileFormat = FileFormat.UNKNOWN
    summary: str = ""
    size_bytes: int | None = None
    files: tuple[str, ...] = ()
    claims: int = 0
    claimed_from: str = ""


@dataclass(frozen=True, slots=True)
class AdoptReport:
    """What an adoption did (or, in a dry run, would do). No content was read or written."""

    results: tuple[AdoptResult, ...]
    models: tuple[ModelRecord, ...]
    skipped: tuple[Skipped, ...] = ()
    seconds: float = 0.0
    dry_run: bool = False
