"""Writes down which models a library holds, so that another machine can have the same."""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from modelcellar import manifest as manifests
from modelcellar.link_records import App, Link
from modelcellar.links.app_list import app_to_json
from modelcellar.manifest import Fact, Manifest
from modelcellar.model_set import FROM_FILES, ModelSet, SetModel, SetSource
from modelcellar.naming import to_json_path
from modelcellar.origins import WEB
from modelcellar.records import Identity, JsonValue

__all__ = ["export_set", "without_secrets"]

HUB = "https://huggingface.co"
CIVITAI = "https://civitai.com"

_URL = re.compile(r"https?://[^\s<>\"']+")
_SECRET = re.compile(r"token|secret|passw|signature|credential|auth|api_?key|^key$|^sig$", re.I)
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")


def export_set(
    found: Iterable[Manifest], apps: Iterable[App] = (), links: Iterable[Link] = ()
) -> ModelSet:
    """The set of these models, with the applications that are given links of them.

    A model that nobody has read whole yet has no digests and is left out.
    """
    models = [
        (manifest, manifest.content_digest)
        for manifest in found
        if manifest.content_digest is not None
    ]
    digests = {manifest.id: digest for manifest, digest in models}
    return ModelSet(
        tuple(_model(manifest, digest) for manifest, digest in models),
        tuple(app_to_json(app) for app in apps),
        tuple(_link(link, digests[link.model_id]) for link in links if link.model_id in digests),
    )


def without_secrets(value: JsonValue) -> JsonValue:
    """A value with the passwords, tokens and signatures taken out of addresses and texts."""
    if isinstance(value, str):
        return _TOKEN.sub("hf_...", _URL.sub(lambda found: _clean_url(found[0]), value))
    if isinstance(value, Mapping):
        return {key: without_secrets(one) for key, one in value.items()}
    return [without_secrets(one) for one in value] if isinstance(value, list) else value


def _model(manifest: Manifest, content_digest: str) -> SetModel:
    record = manifests.to_record(manifest)
    name = manifest.facts.get("name")
    said = {
        key: Fact(without_secrets(fact.value), fact.source, fact.at, fact.evidence, fact.sure)
        for key, fact in manifest.facts.items()
        if fact.source not in FROM_FILES
    }
    return SetModel(
        content_digest=content_digest,
        name=str(name.value) if name is not None else record.name,
        type=record.type.value,
        format=record.format.value,
        files=manifest.files,
        identity=manifest.identity,
        sources=tuple(dict.fromkeys(_sources(manifest.identity, said))),
        facts=said,
        edits=manifest.edits,
    )


def _sources(identity: Identity, facts: Mapping[str, Fact]) -> Iterator[SetSource]:
    page = facts.get("page")
    url = page.value if page is not None and isinstance(page.value, str) else None
    if identity.provider is not None:
        yield SetSource(
            identity.provider,
            identity.repo_id,
            identity.revision,
            identity.path,
            url if identity.provider == WEB else _url_of(identity),
        )
    if page is not None and url is not None and page.source != identity.provider:
        yield SetSource(page.source, url=url)


def _url_of(identity: Identity) -> str | None:
    """Where a person or a program gets the file from."""
    if identity.repo_id is None:
        return None
    revision = quote(identity.revision or "main", safe="")
    if identity.provider == "huggingface":
        repo = f"{HUB}/{quote(identity.repo_id)}"
        if identity.path is None:
            return f"{repo}/tree/{revision}"
        return f"{repo}/resolve/{revision}/{quote(identity.path)}"
    if identity.provider == "civitai":
        version = f"?modelVersionId={revision}" if identity.revision else ""
        return f"{CIVITAI}/models/{quote(identity.repo_id, safe='')}{version}"
    return None


def _link(link: Link, digest: str) -> dict[str, JsonValue]:
    return {
        "app": link.app,
        "content_digest": digest,
        **to_json_path(link.path),
        **{key.replace("path", "target"): v for key, v in to_json_path(str(link.target)).items()},
        "kind": link.kind.value,
    }


def _clean_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return url
    kept = [(key, value) for key, value in pairs if not _SECRET.search(key)]
    host = parts.netloc.rpartition("@")[2]
    if host == parts.netloc and len(kept) == len(pairs):
        return url
    return urlunsplit(parts._replace(netloc=host, query=urlencode(kept)))
