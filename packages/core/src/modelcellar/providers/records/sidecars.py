"""What managers of image models write beside a file about where it is on Civitai.

``<stem>.civitai.info`` (Civitai Helper and others) is a version as Civitai's API gives it;
``<stem>.metadata.json`` (ComfyUI LoRA Manager, ``py/utils/models.py``) holds one under ``civitai``;
``<stem>.cm-info.json`` is Stability Matrix's ``ConnectedModelInfo``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from modelcellar.answers.reading import dict_in, dicts_in
from modelcellar.naming import display
from modelcellar.origins import Claim
from modelcellar.providers.records.reading import (
    file_name_in,
    plain,
    read_object,
    sha256_in,
    text_in,
    texts_in,
    whole_in,
)
from modelcellar.records import JsonValue

__all__ = ["sidecar_claims"]

Record = Mapping[str, JsonValue]

PROVIDER = "civitai"
_PAGE = "https://civitai.com/models/"


def sidecar_claims(place: Path) -> tuple[Claim, ...]:
    """What the records beside the file at ``place`` say, one claim for each that names an origin.

    A record of a model that is not on Civitai makes none: it says nothing of an origin.
    """
    found = []
    stems = dict.fromkeys((place.stem, place.name))
    for ending, read in _READERS.items():
        for stem in stems:
            name = f"{stem}{ending}"
            record = read_object(place.with_name(name)) if stem else {}
            claim = read(record, place.name, display(name)) if record else None
            if claim is not None:
                found.append(claim)
                break
    return tuple(found)


def _civitai_info(record: Record, file_name: str, evidence: str) -> Claim | None:
    return _of_version(record, "civitai_helper", file_name, evidence, {})


def _lora_manager(record: Record, file_name: str, evidence: str) -> Claim | None:
    said = _facts(
        base_model=text_in(record.get("base_model")),
        description=plain(record.get("modelDescription")),
        tags=texts_in(record.get("tags")),
    )
    sha256, size_bytes = sha256_in(record.get("sha256")), whole_in(record.get("size"))
    version = dict_in(record.get("civitai"))
    return _of_version(
        version, "lora_manager", file_name, evidence, said, sha256=sha256, size_bytes=size_bytes
    )


def _stability_matrix(record: Record, file_name: str, evidence: str) -> Claim | None:
    del file_name
    facts = _facts(
        author=text_in(record.get("AuthorUsername")),
        base_model=text_in(record.get("BaseModel")),
        description=plain(record.get("ModelDescription")),
        tags=texts_in(record.get("Tags")),
        trigger_words=texts_in(record.get("TrainedWords")),
    )
    return _claim(
        "stability_matrix",
        evidence,
        model_id=whole_in(record.get("ModelId")),
        version_id=whole_in(record.get("VersionId")),
        path=file_name_in(record.get("RemoteFileName")),
        sha256=sha256_in(dict_in(record.get("Hashes")).get("SHA256")),
        facts=facts,
    )


_READERS: Mapping[str, Callable[[Record, str, str], Claim | None]] = {
    ".civitai.info": _civitai_info,
    ".metadata.json": _lora_manager,
    ".cm-info.json": _stability_matrix,
}


def _of_version(
    version: Record,
    tool: str,
    file_name: str,
    evidence: str,
    said: Mapping[str, JsonValue],
    *,
    sha256: str | None = None,
    size_bytes: int | None = None,
) -> Claim | None:
    """The claim of a version as Civitai's API gives it; ``said`` is what the tool says itself."""
    model = dict_in(version.get("model"))
    creator = dict_in(version.get("creator")) or dict_in(model.get("creator"))
    file = _file(version, file_name)
    facts = _facts(
        author=text_in(creator.get("username")),
        license=text_in(version.get("license")) or text_in(model.get("license")),
        base_model=text_in(version.get("baseModel")),
        description=plain(model.get("description")) or plain(version.get("description")),
        tags=texts_in(model.get("tags")),
        trigger_words=texts_in(version.get("trainedWords")),
    )
    return _claim(
        tool,
        evidence,
        model_id=whole_in(version.get("modelId")) or whole_in(model.get("id")),
        version_id=whole_in(version.get("id")),
        path=file_name_in(file.get("name")),
        sha256=sha256 or sha256_in(dict_in(file.get("hashes")).get("SHA256")),
        size_bytes=size_bytes,
        facts={**facts, **said},
    )


def _file(version: Record, file_name: str) -> Record:
    """Which of a version's files is meant: the one of this name, else the primary or only one."""
    files = dicts_in(version.get("files"))
    named = [one for one in files if one.get("name") == file_name]
    primary = [one for one in files if one.get("primary") is True]
    for some in (named, primary, files):
        if len(some) == 1:
            return some[0]
    return {}


def _claim(
    tool: str,
    evidence: str,
    *,
    model_id: int | None,
    version_id: int | None,
    path: str | None,
    sha256: str | None,
    facts: Mapping[str, JsonValue],
    size_bytes: int | None = None,
) -> Claim | None:
    if model_id is None and version_id is None:
        return None
    url = None if model_id is None else f"{_PAGE}{model_id}"
    if url is not None and version_id is not None:
        url += f"?modelVersionId={version_id}"
    ids = _facts(civitai_model_id=model_id, civitai_version_id=version_id)
    return Claim(
        PROVIDER,
        tool,
        evidence,
        path=path,
        sha256=sha256,
        size_bytes=size_bytes,
        url=url,
        facts={**facts, **ids},
    )


def _facts(**values: JsonValue) -> dict[str, JsonValue]:
    return {key: value for key, value in values.items() if value}
