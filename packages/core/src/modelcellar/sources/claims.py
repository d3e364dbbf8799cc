"""Which files a ``config.json`` and its like speak for: those that the libraries write.

transformers, diffusers, PEFT, optimum and sentence-transformers give their files fixed names. A
configuration that lies in a folder of downloads says nothing about the other weights there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelcellar.formats import parse_json
from modelcellar.records import FileFormat
from modelcellar.sources.parts import indexed
from modelcellar.sources.source import SourceFile

__all__ = ["MARKERS", "Claim", "has_library_name", "is_of_libraries", "read_claim"]

PIPELINE_MARKER = "model_index.json"
WEIGHTS_MARKERS = frozenset({"adapter_config.json", "config.json"})
MARKERS = WEIGHTS_MARKERS | {PIPELINE_MARKER}
MODULES = "modules.json"
MODEL_CONFIG_KEYS = frozenset(
    {"architectures", "auto_map", "base_model_name_or_path", "model_type", "peft_type"}
    | {"_class_name", "_diffusers_version", "transformers_version"}
)
"""Keys of the ``config.json`` that transformers, diffusers and PEFT write."""
MAX_CONFIG_BYTES = 4 << 20
EXPORT_FOLDERS = frozenset({"metal", "onnx", "openvino", "original"})
"""Where the Hub's repositories keep the same model for other programs."""

_PRECISION = r"(?:non_)?ema|[a-z]*(?:fp|bf|int|bnb|nf|q)\d\w*|\d+bits?|quantized"
_VARIANT = rf"(?:\.\w+|[-_](?:{_PRECISION}))?"
_SHARD = r"(?:--?\d{5}-of-\d{5})?"
_WEIGHTS = re.compile(
    rf"(?:(?:pytorch_|adapter_|diffusion_pytorch_)?model{_VARIANT}{_SHARD}{_VARIANT}\.(?:safetensors|bin)"
    rf"|(?:tf_|flax_|diffusion_flax_|rust_)model{_SHARD}\.(?:h5|msgpack|ot)"
    rf"|consolidated(?:\.\d+)?{_SHARD}\.(?:pth|pt|safetensors)"
    r"|gptq_model-[\w-]+\.(?:safetensors|bin)"
    r"|(?:training_args|optimizer(?:_\d+)?|random_states_\d+|rng_state(?:_\d+)?|scaler|scheduler)"
    r"\.(?:bin|pt|pth|pkl)"
    r"|(?:\w+_)?(?:model|encoder|decoder)(?:_merged|_with_past)?(?:_model)?(?:_\w+)?\.onnx"
    r"|openvino_\w*model\w*\.bin)"
)
_FIXED_NAMES = frozenset({"pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"})
"""What else diffusers calls a file; such a one is a model of its own."""
_INDEX = re.compile(
    r"(?:pytorch_|adapter_|diffusion_pytorch_|tf_|flax_)?model\.(?:safetensors|bin|h5|msgpack)"
    r"\.index(?:\.\w+)?\.json"
)
_OTHERS = re.compile(
    r"(?:.*_)?config(?:_.*)?\.json|(?:special_)?tokens_map\.json"
    r"|(?:added_tokens|all_results|eval_results|model_index|modules|normalizer|params|tekken)\.json"
    r"|(?:train_results|trainer_state)\.json|chat_template.*|.*\.jinja"
    r"|(?:tokenizer|vocab|vocabulary|merges|spiece|sentencepiece|preprocessor|source|target)\b.*"
    r"|.*\.(?:model|py|tiktoken|spm)|(?:readme|licen[cs]e|notice|use_policy)\b.*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What of a folder is one model by its own word.

    ``folders`` are subfolders that belong to it with all they hold; ``listed`` are weights that
    its index lists; ``is_described`` is whether there is a configuration of a single model.
    """

    folders: frozenset[str]
    listed: frozenset[str]
    is_described: bool

    def takes(self, relative: str) -> bool:
        """Whether weights of this name, relative to the folder, are a part of the model."""
        parent, _, name = relative.rpartition("/")
        if parent.partition("/")[0] in self.folders:
            return True
        if not self.is_described or parent not in {"", *EXPORT_FOLDERS}:
            return False
        return _WEIGHTS.fullmatch(name) is not None or relative in self.listed


def read_claim(files: Mapping[str, SourceFile], subfolders: frozenset[str]) -> Claim | None:
    """What a folder's configuration claims; ``None`` if it has none that counts.

    Args:
        files: the folder's files by name.
        subfolders: the names of the folders in it.

    Raises:
        OSError: a file cannot be read.
    """
    is_described = _is_ctranslate2(files) or any(
        not MODEL_CONFIG_KEYS.isdisjoint(_object(files[name].path))
        for name in sorted(WEIGHTS_MARKERS & files.keys())
    )
    pipeline = _object(files[PIPELINE_MARKER].path) if PIPELINE_MARKER in files else {}
    folders: set[str] = set()
    if isinstance(pipeline.get("_class_name"), str):
        folders |= {name for name, value in pipeline.items() if isinstance(value, list)}
    elif not is_described:
        return None
    if is_described and MODULES in files:
        folders |= _module_folders(files[MODULES].path)
    indices = [file for name, file in files.items() if _INDEX.fullmatch(name)]
    listed = frozenset().union(*map(indexed, indices))
    return Claim(frozenset(folders) & subfolders, listed, is_described)


def has_library_name(name: str) -> bool:
    """Whether weights have such a name in any repository, so that it says nothing of the model."""
    return _WEIGHTS.fullmatch(name) is not None or name in _FIXED_NAMES


def is_of_libraries(name: str) -> bool:
    """Whether configuration, tokenizers, code and cards have such a name in any repository."""
    return any(pattern.fullmatch(name) for pattern in (_INDEX, _OTHERS))


def _is_ctranslate2(files: Mapping[str, SourceFile]) -> bool:
    """Whether it is a converted model, which is not usable without the words beside it."""
    model = files.get("model.bin")
    has_words = any(
        name.startswith(("vocabulary.", "source_vocab", "shared_vocab")) for name in files
    )
    return has_words and model is not None and model.inspection.format is FileFormat.CTRANSLATE2


def _module_folders(path: Path) -> set[str]:
    """The folders that sentence-transformers names: ``[{"path": "1_Pooling", ...}]``."""
    modules = _parsed(path)
    if not isinstance(modules, list):
        return set()
    paths = [module.get("path") for module in modules if isinstance(module, dict)]
    return {path for path in paths if isinstance(path, str)}


def _object(path: Path) -> Mapping[str, object]:
    document = _parsed(path)
    return document if isinstance(document, dict) else {}


def _parsed(path: Path) -> object:
    """A small JSON file; ``None`` if it is none: many programs have a ``config.json``."""
    with path.open("rb") as file:
        try:
            return parse_json(file.read(MAX_CONFIG_BYTES))
        except ValueError:
            return None
