"""Civitai: model versions by the hash of a file or by number, and the way to a download."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.support.fake_hub.cdn import Cdn
from tests.support.fake_hub.clock import START, iso
from tests.support.fake_hub.messages import Request, Response, json_answer

__all__ = ["Civitai", "CivitaiFile", "CivitaiVersion", "known_hashes"]

MAX_VERSIONS = 100
MAX_IDS = 10_000
AUTOV1_FROM_BYTES = 2 << 20
AUTOV1_PART = slice(0x100000, 0x110000)


def known_hashes(data: bytes, *, blake3: str | None = None) -> dict[str, str]:
    """The hashes that the scanner stores, upper-case; BLAKE3 only if it is given.

    AutoV3 is computed for every file as if it were a safetensors one, and means nothing for others.
    """
    whole = hashlib.sha256(data).hexdigest().upper()
    tensors = data[8 + int.from_bytes(data[:8], "little") :]
    hashes = {
        "AutoV2": whole[:10],
        "AutoV3": hashlib.sha256(tensors).hexdigest().upper()[:12],
        "SHA256": whole,
        "CRC32": f"{zlib.crc32(data):08X}",
    }
    if len(data) >= AUTOV1_FROM_BYTES:
        hashes["AutoV1"] = hashlib.sha256(data[AUTOV1_PART]).hexdigest().upper()[:8]
    if blake3 is not None:
        hashes["BLAKE3"] = blake3.upper()
    return hashes


@dataclass(frozen=True)
class CivitaiFile:
    """One file of a version. ``hashes`` and ``size_kb`` given are shown instead of its own."""

    id: int
    name: str
    data: bytes
    type: str = "Model"
    primary: bool = True
    format: str = "SafeTensor"
    blake3: str | None = None
    hashes: Mapping[str, str] | None = None
    size: str = "pruned"
    fp: str = "fp16"
    size_kb: float | None = None
    scan: str = "Success"

    @cached_property
    def shown_hashes(self) -> Mapping[str, str]:
        return self.hashes or known_hashes(self.data, blake3=self.blake3)


@dataclass(frozen=True)
class CivitaiVersion:
    """One version of a model. ``mode`` is ``None``, ``"Archived"`` or ``"TakenDown"``.

    ``availability`` may be ``"EarlyAccess"``; ``wants_login`` is whether its files are for those
    who signed in.
    """

    id: int
    model_id: int
    files: tuple[CivitaiFile, ...] = ()
    name: str = "v1"
    base_model: str = "SDXL 1.0"
    model_name: str = "Toy"
    model_type: str = "LORA"
    status: str = "Published"
    mode: str | None = None
    published_at: float = START
    trained_words: tuple[str, ...] = ()
    nsfw: bool = False
    availability: str = "Public"
    wants_login: bool = False

    def shown(self, url: str) -> dict[str, Any]:
        """The version as the API answers it."""
        download = f"{url}/api/download/models/{self.id}"
        kind = f"{self.base_model.split()[0]}:{self.model_type}".lower()
        model = {
            "name": self.model_name,
            "type": self.model_type,
            "nsfw": self.nsfw,
            "poi": False,
            **({"mode": self.mode} if self.mode else {}),
        }
        shown: dict[str, Any] = {
            "id": self.id,
            "modelId": self.model_id,
            "name": self.name,
            "baseModel": self.base_model,
            "baseModelType": "Standard",
            "air": f"urn:air:{kind}:civitai:{self.model_id}@{self.id}",
            "status": self.status,
            "availability": self.availability,
            "publishedAt": iso(self.published_at),
            "trainedWords": list(self.trained_words),
            "stats": {"downloadCount": 1, "thumbsUpCount": 1},
            "model": model,
            "files": [],
            "images": [],
        }
        if self.mode != "Archived":
            shown["files"] = [_file(file, download) for file in self.files]
            shown["downloadUrl"] = download
        return shown


def _file(file: CivitaiFile, download: str) -> dict[str, Any]:
    query = "" if file.primary else f"?type={file.type}&format={file.format}"
    return {
        "id": file.id,
        "name": file.name,
        "type": file.type,
        "sizeKB": len(file.data) / 1024 if file.size_kb is None else file.size_kb,
        "primary": file.primary,
        "metadata": {"format": file.format, "size": file.size, "fp": file.fp},
        "pickleScanResult": file.scan,
        "virusScanResult": "Success",
        "hashes": dict(file.shown_hashes),
        "downloadUrl": download + query,
    }


class Civitai:
    """``url`` is set by whoever starts it. ``keys`` are the API keys there are, each with the
    numbers of the early versions that it opens."""

    name = "civitai"

    def __init__(self, versions: Iterable[CivitaiVersion] = (), *, cdn: Cdn) -> None:
        self.url = ""
        self.versions: list[CivitaiVersion] = list(versions)
        self.keys: dict[str, frozenset[int]] = {}
        self._cdn = cdn

    def label(self, request: Request) -> str:
        return request.path

    def answer(self, request: Request) -> Response:
        key = (request.header("authorization") or "").removeprefix("Bearer ")
        if key and key not in self.keys:
            return json_answer({"error": "Unauthorized"}, 401)
        match (request.method, *request.segments):
            case ("GET", "api", "v1", "model-versions", "by-hash", wanted):
                return self._by_hash(wanted)
            case ("POST", "api", "v1", "model-versions", "by-hash"):
                return self._many(request)
            case ("POST", "api", "v1", "model-versions", "by-hash", "ids"):
                return self._ids(request)
            case ("GET", "api", "v1", "model-versions", version_id):
                return self._version(version_id)
            case ("GET", "api", "v1", "models", model_id):
                return self._model(model_id)
            case ("GET", "api", "download", "models", version_id):
                return self._download(version_id, request, key)
            case _:
                return json_answer({"error": "Not found"}, 404)

    def _published(self) -> list[CivitaiVersion]:
        """Oldest first: a hash that several versions have finds the first of them."""
        found = [version for version in self.versions if version.status == "Published"]
        return sorted(found, key=lambda version: version.published_at)

    def _by_hash(self, wanted: str) -> Response:
        for version in self._published():
            if _has(version, wanted.upper()):
                if version.mode == "Archived":
                    return json_answer({"error": "Missing model file"}, 404)
                return json_answer(version.shown(self.url))
        return json_answer({"error": "Model not found"}, 404)

    def _version(self, version_id: str) -> Response:
        for version in self._published():
            if str(version.id) == version_id:
                return json_answer(version.shown(self.url))
        return json_answer({"error": f"No version with id {version_id}"}, 404)

    def _model(self, model_id: str) -> Response:
        """A model with its versions, the one first that its page shows first."""
        found = [one for one in self._published() if str(one.model_id) == model_id]
        if not found:
            return json_answer({"error": f"No model with id {model_id}"}, 404)
        first = found[0].shown(self.url)
        versions = [version.shown(self.url) for version in reversed(found)]
        shown = {"id": int(model_id), **first["model"], "tags": [], "modelVersions": versions}
        return json_answer(shown)

    def _many(self, request: Request) -> Response:
        hashes = _hashes_of(request, MAX_VERSIONS)
        if hashes is None:
            return json_answer({"error": f"Expected 1 to {MAX_VERSIONS} SHA-256 hashes"}, 400)
        found = {
            version.id: version.shown(self.url)
            for wanted in hashes
            for version in self._published()
            if _has(version, wanted, "SHA256")
        }
        return json_answer(list(found.values()))

    def _ids(self, request: Request) -> Response:
        hashes = _hashes_of(request, MAX_IDS)
        if hashes is None:
            return json_answer({"error": f"Expected 1 to {MAX_IDS} SHA-256 hashes"}, 400)
        found = [
            {"modelVersionId": version.id, "modelId": version.model_id, "hash": wanted}
            for wanted in hashes
            for version in self._published()
            if _has(version, wanted, "SHA256")
        ]
        return json_answer(found)

    def _download(self, version_id: str, request: Request, key: str) -> Response:
        """The way to one file of a version: the one that is asked for, or the primary one."""
        file_id = request.value("fileId")
        files = [
            (version, file)
            for version in self.versions
            for file in sorted(version.files, key=lambda file: not file.primary)
            if str(version.id) == version_id and (str(file.id) == file_id or not file_id)
        ]
        if not files:
            return json_answer({"error": "File not found"}, 404)
        version, file = files[0]
        if version.mode is not None:
            return json_answer({"error": "Model archived, not available for download"}, 410)
        if version.wants_login and not key:
            return json_answer({"error": "The creator of this asset requires you to log in"}, 401)
        if version.availability == "EarlyAccess" and version.id not in self.keys.get(key, ()):
            return json_answer({"error": "This asset is in Early Access"}, 403)
        location = self._cdn.signed_url(
            f"/civitai-delivery/model/{version.model_id}/{file.id}",
            file.data,
            etag=hashlib.md5(file.data, usedforsecurity=False).hexdigest(),
            label=f"civitai/{version.id}/{file.name}",
        )
        return Response(307, {"Location": location, "Cache-Control": "no-store"})


def _has(version: CivitaiVersion, wanted: str, kind: str = "") -> bool:
    return any(
        shown.upper() == wanted and kind in {"", name}
        for file in version.files
        for name, shown in file.shown_hashes.items()
    )


def _hashes_of(request: Request, most: int) -> list[str] | None:
    """The upper-case hashes of the body; ``None`` if it is not a list of that many SHA-256."""
    try:
        asked = json.loads(request.body)
    except ValueError:
        return None
    if not isinstance(asked, list) or not 0 < len(asked) <= most:
        return None
    if not all(isinstance(one, str) and len(one) == 64 for one in asked):
        return None
    return [one.upper() for one in asked]
