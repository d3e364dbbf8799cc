"""Files of torch that are no models: what a training program keeps to go on with later."""

from collections.abc import Iterator, Mapping, Sequence

from modelcellar.formats.reading import Reading
from modelcellar.records import Finding, JsonValue, ModelType

__all__ = ["judge"]

_BY_KEYS = (
    ({"state", "param_groups"}, "optimizer state"),
    ({"_step_count", "last_epoch"}, "scheduler state"),
    ({"python", "numpy", "cpu"}, "random number state"),
)
"""Top-level keys that only such a file has: torch.optim, torch's schedulers, transformers."""
_ARGUMENTS = "TrainingArguments"


def judge(readings: Sequence[Reading], documents: Mapping[str, JsonValue]) -> dict[str, Finding]:
    """``not_a_model`` with the reason, for a single file that is one of these."""
    del documents
    if len(readings) != 1:
        return {}
    return dict(_judge_one(readings[0].facts))


def _judge_one(facts: Mapping[str, JsonValue]) -> Iterator[tuple[str, Finding]]:
    keys = set(facts.get("top_level_keys", ()))
    for wanted, kind in _BY_KEYS:
        if wanted <= keys:
            yield from _not_a_model(kind, f"its keys are {', '.join(sorted(wanted))}")
            return
    imports = facts.get("pickle_imports", ())
    if not facts.get("tensor_count") and any(name.endswith(_ARGUMENTS) for name in imports):
        yield from _not_a_model("training arguments", f"it holds {_ARGUMENTS} and no tensors")


def _not_a_model(kind: str, evidence: str) -> Iterator[tuple[str, Finding]]:
    yield "type", Finding(ModelType.OTHER.value, evidence)
    yield "kind", Finding(kind, evidence)
    yield "not_a_model", Finding(kind, evidence)
