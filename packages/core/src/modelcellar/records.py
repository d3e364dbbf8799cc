"""The frozen values that modules hand to each other.

Digests are lower-case hexadecimal. Sizes are bytes. Times are ISO 8601 in UTC with a ``Z``.
A ``path`` inside a model is relative, with ``/`` between its parts, and holds names that are not
UTF-8 the way ``os.fsdecode`` does (lone surrogates), so that ``os.fsencode`` gives the bytes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

JsonValue = Any
"""What ``json.loads`` returns; narrowed by whoever reads it."""


class FileFormat(StrEnum):
    """What a file is, by its bytes."""

    SAFETENSORS = "safetensors"
    GGUF = "gguf"
    ONNX = "onnx"
    TORCH_ZIP = "torch_zip"
    TORCH_LEGACY = "torch_legacy"
    TORCHSCRIPT = "torchscript"
    TFLITE = "tflite"
    MEDIAPIPE_TASK = "mediapipe_task"
    UNKNOWN = "unknown"


class ModelType(StrEnum):
    """What a model is for, in the words the applications use."""

    CHECKPOINT = "checkpoint"
    DIFFUSION_MODEL = "diffusion_model"
    LORA = "lora"
    VAE = "vae"
    CONTROLNET = "controlnet"
    IP_ADAPTER = "ip_adapter"
    EMBEDDING = "embedding"
    TEXT_ENCODER = "text_encoder"
    CLIP_VISION = "clip_vision"
    UPSCALER = "upscaler"
    LLM = "llm"
    EMBEDDING_MODEL = "embedding_model"
    VISION = "vision"
    AUDIO = "audio"
    OTHER = "other"
    UNKNOWN = "unknown"


class ImportMode(StrEnum):
    """What happens to the original of an import."""

    COPY = "copy"
    MOVE = "move"


class ImportStatus(StrEnum):
    """What became of one source."""

    IMPORTED = "imported"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Digests:
    """Both digests of one whole file."""

    blake3: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the bytes of a file are not taken for a model, and what the user can do."""

    code: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the bytes of one file tell.

    ``summary`` is one short line for people ("15 tensors, F32, 309,633 parameters"); ``facts``
    are the same and more for machines, JSON values only, bounded in size.
    """

    format: FileFormat
    summary: str = ""
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a model."""

    path: str
    size_bytes: int
    digests: Digests
    format: FileFormat = FileFormat.UNKNOWN


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a model comes from, with the evidence; ``unknown`` until something is proved."""

    status: str = "unknown"
    provider: str | None = None
    repo_id: str | None = None
    revision: str | None = None
    path: str | None = None
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class Security:
    """What is known about code that loading the model would run. Never the word "safe"."""

    verdict: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One model as users see it: guesses with the user's own edits laid over them."""

    id: str
    name: str
    files: tuple[FileRecord, ...]
    added_at: str
    type: ModelType = ModelType.UNKNOWN
    format: FileFormat = FileFormat.UNKNOWN
    base_model: str | None = None
    family: str | None = None
    summary: str = ""
    identity: Identity = field(default_factory=Identity)
    security: Security = Security("not_checked")
    tags: tuple[str, ...] = ()
    note: str = ""
    verified_at: str | None = None
    damaged_at: str | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of one source: a file, or a folder that is one model.

    ``format``, ``summary`` and ``size_bytes`` say what it is, as far as it was looked at.
    """

    source: str
    status: ImportStatus
    model_id: str | None = None
    error: "ErrorInfo | None" = None
    format: FileFormat = FileFormat.UNKNOWN
    summary: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error as data: a stable code, what happened, and what to do next."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file in an imported folder that was left alone because it is not a model."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What one import did. ``bytes_written`` counts content only, not the library's own records."""

    results: tuple[ImportResult, ...]
    models: tuple[ModelRecord, ...]
    skipped: tuple[Skipped, ...] = ()
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float = 0.0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class SearchReport:
    """One page of models and how many there are in all."""

    query: str
    total: int
    models: tuple[ModelRecord, ...]
    took_ms: float


@dataclass(frozen=True, slots=True)
class Damage:
    """One file of the library that is not what it was when it came in."""

    model_id: str
    path: str
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found. ``checked`` and ``ok`` count models."""

    checked: int
    ok: int
    damaged: tuple[Damage, ...]
    missing: tuple[Damage, ...]
    not_reached: int = 0


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One change that can be taken back."""

    id: str
    at: str
    command: str
    model_ids: tuple[str, ...]
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    undone_at: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long piece of work is. Totals may grow while folders are still being read."""

    phase: str
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    current: str = ""


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


@dataclass(frozen=True, slots=True)
class EditChanges:
    """What a user changes about a model; ``None`` leaves a field, ``""`` takes the edit back."""

    name: str | None = None
    model_type: ModelType | None = None
    base_model: str | None = None
    note: str | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, its value in force and where that comes from."""

    name: str
    value: JsonValue
    origin: str


@dataclass(frozen=True, slots=True)
class HashedFile:
    """Both digests of a file anywhere on disk."""

    path: str
    size_bytes: int
    digests: Digests
    seconds: float
