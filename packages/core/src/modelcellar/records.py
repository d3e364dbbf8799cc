"""The frozen values that modules hand to each other.

Digests are lower-case hexadecimal. Sizes are bytes. Times are ISO 8601 in UTC with a ``Z``.
A ``path`` inside a model is relative, with ``/`` between its parts, and holds names that are not
UTF-8 the way ``os.fsdecode`` does (lone surrogates), so that ``os.fsencode`` gives the bytes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

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
    GGML = "ggml"
    CTRANSLATE2 = "ctranslate2"
    COREML = "coreml"
    TFJS = "tfjs"
    NUMPY = "numpy"
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
class Security:
    """What is known about code that loading the model would run. Never the word "safe".

    ``verdict``: ``no_pickle``, ``tensors_only``, ``known_classes``, ``unknown_imports``,
    ``dangerous_imports``, ``unreadable``; ``not_checked`` where nobody looked, as in what came in
    before there were verdicts. ``details`` name what a pickle imports.
    """

    verdict: str
    details: tuple[str, ...] = ()


NOT_CHECKED = Security("not_checked")
"""What holds until a reader says otherwise."""
NO_PICKLE = Security("no_pickle")


class Confidence(StrEnum):
    """How sure a finding is."""

    CERTAIN = "certain"
    LIKELY = "likely"
    GUESS = "guess"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that bytes tell about a model, the evidence in words, and how sure it is."""

    value: JsonValue
    evidence: str
    sure: Confidence = Confidence.CERTAIN


class Tensor(NamedTuple):
    """One tensor as its file describes it; ``shape`` outermost dimension first, as in torch."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the bytes of one file tell.

    ``technical`` is one short line of its structure ("15 tensors, F32, 309,633 parameters");
    ``summary`` has in front of it what model it is; ``facts`` are the same and more for machines,
    JSON values only, bounded in size. ``findings`` say what model it is, by field (see
    :mod:`modelcellar.formats.classify`). ``also`` are other formats that the same bytes can be read
    as. ``data_start`` is where the tensor data begin in a safetensors file. ``tensors`` are there
    only when they were asked for.
    """

    format: FileFormat
    summary: str = ""
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    refusal: Refusal | None = None
    findings: Mapping[str, Finding] = field(default_factory=dict)
    security: Security = NOT_CHECKED
    also: tuple[FileFormat, ...] = ()
    data_start: int | None = None
    tensors: tuple[Tensor, ...] = ()
    technical: str = ""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a model.

    ``tensor_sha256`` is the SHA-256 of a safetensors file's bytes after its header, which editing
    the header does not change (its first 12 digits are the image tools' "AutoV3"). ``autov1`` are
    the 8 digits that A1111 first called a model's hash. A companion is a preview, a note or a
    configuration beside the weights; it does not count for what the model is.

    ``digests`` are ``None`` for a file that was adopted and that nobody has read whole yet.
    ``claimed_sha256`` is what another tool (``claimed_by``) wrote down; it proves nothing.
    """

    path: str
    size_bytes: int
    digests: Digests | None
    format: FileFormat = FileFormat.UNKNOWN
    tensor_sha256: str | None = None
    autov1: str | None = None
    is_companion: bool = False
    claimed_sha256: str | None = None
    claimed_by: str | None = None

    @property
    def known_digests(self) -> Digests:
        """Its digests. Raises ValueError: it was not read yet, so nobody knows."""
        if self.digests is None:
            raise ValueError(f"{self.path!r} was not read yet")
        return self.digests


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
    security: Security = NOT_CHECKED
    tags: tuple[str, ...] = ()
    note: str = ""
    verified_at: str | None = None
    damaged_at: str | None = None
    findings: Mapping[str, Finding] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def is_read(self) -> bool:
        """Whether every file was read whole, so that its digests are known."""
        return all(file.digests is not None for file in self.files)


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error as data: a stable code, what happened, and what to do next."""

    code: str
    message: str
    hint: str = ""


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
class CopyJob:
    """A file to copy to a new name, and the byte ranges whose SHA-256 is wanted as well."""

    source: Path
    target: Path
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class HashedFile:
    """Both digests of a file anywhere on disk."""

    path: str
    size_bytes: int
    digests: Digests
    seconds: float
    range_sha256: tuple[str, ...] = ()
    """SHA-256 of each byte range that was asked for, in that order."""
    cloned: bool = False
    """Whether a copy shares its data with its source, so that no bytes were written."""


class DriveKind(StrEnum):
    """What a read at another place costs: nothing (``ssd``, and memory), a seek, or who knows."""

    SSD = "ssd"
    HDD = "hdd"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Drive:
    """What the storage under a path is, how sure that is, and why.

    ``devices`` are the kernel's names of the physical devices below everything in between; two
    paths with one of them in common share its head. ``concurrency`` is how many files are best
    read or written at a time to begin with. ``network`` tells storage that other machines may
    write to, or that may be hidden behind FUSE.
    """

    path: str
    kind: DriveKind
    confidence: Confidence
    devices: tuple[str, ...]
    reason: str
    concurrency: int
    file_system: str = ""
    network: bool = False
    removable: bool = False


@dataclass(frozen=True, slots=True)
class DriveOverride:
    """The user's word for a drive. ``place``: an absolute path, or a device (``sda``)."""

    place: str
    kind: DriveKind

    def __str__(self) -> str:
        return f"{self.place}={self.kind}"


class Level(StrEnum):
    """How bad a finding about a place is: it will not work, it may not, or good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class PlaceFinding:
    """One thing about a place that matters to whoever reads or writes there, and what to do."""

    level: Level
    code: str
    message: str
    hint: str = ""
