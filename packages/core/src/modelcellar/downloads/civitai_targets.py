"""What a name or an address means as a version on Civitai."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelcellar.errors import UsageError

__all__ = ["FILTERS", "CivitaiTarget", "civitai_target_of_page", "civitai_target_of_text"]


@dataclass(frozen=True, slots=True)
class CivitaiTarget:
    """Files of one version on Civitai.

    One of the two ids is there: without ``version_id`` the newest version of the model is meant.
    ``file_id`` is one file of it; ``filters`` choose among its files as Civitai's download links
    do: pairs of one of `FILTERS` and what the file has there (``("format", "SafeTensor")``).
    """

    version_id: int | None = None
    model_id: int | None = None
    file_id: int | None = None
    filters: tuple[tuple[str, str], ...] = ()


FILTERS = ("type", "format", "size", "fp")
EXAMPLE = "Write for example civitai:12345, where 12345 is the version: modelVersionId in the link."
_ID = r"[0-9]{1,15}"
_TEXT = re.compile(
    rf"(?:(?:urn:)?(?:air:)?[a-z0-9_.-]+:[a-z0-9_.-]+:)?civitai:(?:(?P<model>{_ID})@)?(?P<id>{_ID})",
    re.IGNORECASE | re.ASCII,
)
_VERSION_PATHS = (
    ("api", "download", "models"),
    ("api", "v1", "model-versions"),
    ("model-versions",),
)
_MODEL_PATHS = (("models",), ("api", "v1", "models"))


def civitai_target_of_text(text: str) -> CivitaiTarget:
    """What ``civitai:VERSION``, ``civitai:MODEL@VERSION`` and an AIR (``urn:air:...``) mean.

    An AIR without a version means the newest one of its model
    (https://developer.civitai.com/docs/getting-started/ai-resource-identifier).

    Raises:
        UsageError: it is none of these.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no version on Civitai", EXAMPLE)
    first = int(found["id"])
    if found["model"] is not None:
        return CivitaiTarget(version_id=first, model_id=int(found["model"]))
    is_air = not text.lower().startswith("civitai:")
    return CivitaiTarget(model_id=first) if is_air else CivitaiTarget(version_id=first)


def civitai_target_of_page(
    parts: Sequence[str], query: Mapping[str, Sequence[str]]
) -> CivitaiTarget:
    """What a page or a download link of Civitai is about; ``parts`` of its path are decoded.

    Raises:
        UsageError: it is not about the files of a model.
    """
    version = _id_in(query, "modelVersionId")
    for path in _VERSION_PATHS:
        if tuple(parts[: len(path)]) == path and len(parts) == len(path) + 1:
            filters = tuple((name, query[name][0]) for name in FILTERS if query.get(name))
            return CivitaiTarget(
                version_id=_number(parts[len(path)]),
                file_id=_id_in(query, "fileId"),
                filters=filters,
            )
    for path in _MODEL_PATHS:
        if tuple(parts[: len(path)]) == path and len(parts) > len(path):
            return CivitaiTarget(version_id=version, model_id=_number(parts[len(path)]))
    raise UsageError(f"{'/'.join(parts)!r} of Civitai is no model", EXAMPLE)


def _id_in(query: Mapping[str, Sequence[str]], name: str) -> int | None:
    return _number(query[name][0]) if query.get(name) else None


def _number(text: str) -> int:
    if not re.fullmatch(_ID, text):
        raise UsageError(f"{text!r} is no number of a model or version on Civitai", EXAMPLE)
    return int(text)
