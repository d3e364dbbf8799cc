"""What model a file, or a set of files, is: type, family, adapter, precision, and what it says.

The fields of a finding:

``type``             value of :class:`~modelcellar.records.ModelType`
``kind``             finer than the type ("LoKr", "tiny VAE", "CLIP-L", "reranker", "mmproj")
``family``           base family as people write it ("SDXL", "Flux.1", "Llama"); ``family_child`` a
                     child of it that only metadata tells ("Pony")
``rank``, ``alpha``  of an adapter; numbers; ``layout`` whose spelling its names have
``precision``        of the weights ("F16", "F8_E4M3"); ``quantization`` by name ("Q4_K_M")
``parameter_count``, ``context_length``, ``expert_count``   whole numbers
``title``, ``author``, ``description``, ``date``, ``base_model``, ``licence``, ``quantized_by``,
``size_label``, ``usage_hint``, ``training_comment``, ``task``   as its maker says
``trigger_words``, ``card_tags``   lists of texts; ``tag_frequency`` text -> count, highest first
``resolution``       "1024x1024"
``chat_template``, ``runs_own_code``   true where it is so
``recorded_tensor_sha256``   what a header says its tensor data hash to; checked by the import
``not_a_model``      why it is none ("optimizer state")

Each judge looks at one kind of evidence and never raises on what a file says. A later judge does
not overrule an earlier one unless it is surer.
"""

from collections.abc import Callable, Mapping, Sequence

from modelcellar.formats.classify import configs, gguf, headers, leftovers, others, tensors
from modelcellar.formats.reading import Reading
from modelcellar.records import Confidence, Finding, JsonValue

__all__ = ["classify", "merge"]

_Judge = Callable[[Sequence[Reading], Mapping[str, JsonValue]], Mapping[str, Finding]]
_JUDGES: tuple[_Judge, ...] = (
    leftovers.judge,
    tensors.judge,
    gguf.judge,
    others.judge,
    configs.judge,
    headers.judge,
)
_ORDER = (Confidence.GUESS, Confidence.LIKELY, Confidence.CERTAIN)


def classify(
    readings: Sequence[Reading], documents: Mapping[str, JsonValue] | None = None
) -> dict[str, Finding]:
    """What the files of one model tell together.

    Args:
        readings: its weights; the parts of a split model in their order.
        documents: parsed configuration beside them by relative path (``config.json``,
            ``unet/config.json``, ``adapter_config.json``, ``model_index.json``, ``README.md``:
            the front matter of a model card).
    """
    found: dict[str, Finding] = {}
    for judge in _JUDGES:
        merge(found, judge(readings, documents or {}))
    return found


def merge(into: dict[str, Finding], more: Mapping[str, Finding]) -> None:
    """Adds what is new or surer."""
    for name, finding in more.items():
        known = into.get(name)
        if known is None or _ORDER.index(finding.sure) > _ORDER.index(known.sure):
            into[name] = finding
