"""CivArchive: where a file with a SHA-256 can be had, Hugging Face among other places."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tests.support.fake_hub.messages import Request, Response, json_answer, text

__all__ = ["ArchivedFile", "CivArchive", "Elsewhere"]


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One place. ``source`` is ``civitai``, ``huggingface``, ...; ``url`` may be relative."""

    source: str
    url: str
    filename: str
    model_id: int | None = None
    model_version_id: int | None = None
    is_gated: bool = False
    is_paid: bool = False
    deleted_at: str | None = None


class CivArchive:
    """``files`` and ``models`` map lower-case SHA-256 to what is answered for it."""

    name = "civarchive"

    def __init__(self) -> None:
        self.files: dict[str, tuple[ArchivedFile, ...]] = {}
        self.models: dict[str, tuple[Mapping[str, object], ...]] = {}

    def label(self, request: Request) -> str:
        return request.path

    def answer(self, request: Request) -> Response:
        match (request.method, *request.segments):
            case ("GET", "api", "v1", "sha256", sha256):
                # A miss is an empty answer, not a 404.
                files = [asdict(file) for file in self.files.get(sha256.lower(), ())]
                models = [dict(model) for model in self.models.get(sha256.lower(), ())]
                return json_answer({"files": files, "models": models})
            case _:
                return json_answer({"error": "Not found"}, 404)


class Elsewhere:
    """A stranger that redirects may lead to: answers anything, and must see no credential."""

    name = "elsewhere"

    def label(self, request: Request) -> str:
        return request.path

    def answer(self, request: Request) -> Response:
        return text(f"{request.method} {request.path} of somebody else\n")
