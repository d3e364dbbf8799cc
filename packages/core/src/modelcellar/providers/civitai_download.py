"""What of a version on Civitai can be downloaded.

Addresses and fields: civitai's ``src/pages/api/v1/model-versions/[id].ts``, ``models/[id].ts`` and
``api/download/models``.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from modelcellar import naming
from modelcellar.answers.cached import Answer, CachedNetwork
from modelcellar.answers.reading import dict_in, dicts_in, document_of, text_in
from modelcellar.answers.signed import SignedNetwork
from modelcellar.errors import (
    AnswerRefusedError,
    CellarError,
    NotPublishedError,
    RateLimitedError,
    SignInNeededError,
    UsageError,
)
from modelcellar.network.headers import retry_after_s
from modelcellar.network.http import Request, origin_of
from modelcellar.network.secret import Secret
from modelcellar.providers.civitai import PROVIDER, scan_of, version_facts
from modelcellar.providers.civitai_versions import VersionFile, chosen, files_in, own_name
from modelcellar.records import JsonValue
from modelcellar.remotes import Remote, RemoteFile

__all__ = ["CivitaiFiles"]

RETRY_S = 60.0


class CivitaiFiles:
    """Versions on Civitai, or a host with the same API, as what can be downloaded.

    Args:
        endpoint: address without a slash at the end.
        token: an API key; sent to the endpoint's own origin, and nowhere else.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        network: CachedNetwork,
        *,
        endpoint: str,
        token: Secret | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.endpoint = endpoint
        self._signed = SignedNetwork(network, endpoint=endpoint, token=token)
        self._wall = wall

    async def remote(
        self,
        version_id: int | None = None,
        *,
        model_id: int | None = None,
        file_id: int | None = None,
        filters: Iterable[tuple[str, str]] = (),
    ) -> Remote:
        """The files of a version, asked for anew; the one that is meant first.

        By default that is the primary file, and VAE and config with it; other files are for those
        who ask for them by name.

        Args:
            version_id: ``None``: the version that the page of ``model_id`` shows first.
            file_id: one file of it that is meant instead.
            filters: those of a download link: pairs of ``type``, ``format``, ``size`` or ``fp``
                and what the file has there; of those that they fit, the first is meant instead.

        Raises:
            UsageError: neither a version nor a model is named, or one that cannot be.
            NotPublishedError: it is not there (any more), or has no such file.
            SignInNeededError: Civitai shows it to some only.
            NetworkError: Civitai could not be asked, or its answer makes no sense.
        """
        notes: list[str] = []
        if version_id is None:
            version_id, note = await self._first_version(_require_id(model_id))
            notes += [note] if note else []
        path = f"model-versions/{_require_id(version_id)}"
        answer = await self._ask(path, f"version {version_id}", f"model-versions/{version_id}")
        version = dict_in(document_of(answer.response))
        found_id, found_model = version.get("id"), version.get("modelId")
        if found_id != version_id or type(found_model) is not int:
            raise self._refused(f"what {self.endpoint} says of version {version_id} makes no sense")
        if model_id is not None and model_id != found_model:
            notes.append(f"version {version_id} is of model {found_model}, not of {model_id}")
        page = f"{self.endpoint}/models/{found_model}?modelVersionId={version_id}"
        title = _title(version)
        self._require_there(version, title, page)
        meant, others = chosen(list(files_in(version)), title, file_id, dict(filters))
        files, more, left_out = self._remote_files(meant, others, version_id)
        notes += more
        if str(version.get("availability")) == "EarlyAccess":
            notes.append(f"{title} is in early access: its files are for those who have bought it")
        facts = version_facts(version, meant[0].entry)
        return Remote(
            PROVIDER,
            title,
            files,
            repo_id=f"{found_model}",
            revision=f"{version_id}",
            page=page,
            facts={name: value for name, value in facts.items() if value is not None},
            fetched_at=answer.fetched_at,
            authorization=self._signed.authorization,
            notes=tuple(notes),
            left_out=left_out,
        )

    def refusal(
        self, status: int, headers: Mapping[str, str], *, repo_id: str, path: str
    ) -> CellarError:
        """What it means that Civitai answers the request for a file with ``status``.

        ``repo_id`` is the number of the model. A page for people with status 200 is a refusal too.
        """
        page = f"{self.endpoint}/models/{repo_id}"
        return self._refusal(status, headers, naming.display(path), page)

    async def _first_version(self, model_id: int) -> tuple[int, str]:
        """The version that the model's page shows, and a note if there are others."""
        answer = await self._ask(f"models/{model_id}", f"model {model_id}", f"models/{model_id}")
        model = dict_in(document_of(answer.response))
        versions = [
            one
            for one in dicts_in(model.get("modelVersions"))
            if one.get("status", "Published") == "Published" and type(one.get("id")) is int
        ]
        if not versions:
            name = text_in(model.get("name")) or f"model {model_id}"
            self._require_there({"model": model}, name, f"{self.endpoint}/models/{model_id}")
            raise NotPublishedError(
                f"{name} has no published version on Civitai", "Look at its page in a browser."
            )
        number = versions[0]["id"]
        if len(versions) == 1:
            return number, ""
        name = text_in(versions[0].get("name")) or "?"
        return number, f"of {len(versions)} versions this is {name} (civitai:{number})"

    async def _ask(self, path: str, what: str, page: str) -> Answer:
        request = Request("GET", f"{self.endpoint}/api/v1/{path}", timeout_s=30.0)
        answer = await self._signed.ask(request, None)
        if 400 <= answer.response.status < 500:
            raise self._refusal(
                answer.response.status, answer.response.headers, what, f"{self.endpoint}/{page}"
            )
        return answer

    def _require_there(self, version: Mapping[str, JsonValue], title: str, page: str) -> None:
        mode = dict_in(version.get("model")).get("mode", version.get("mode"))
        if mode in ("Archived", "TakenDown"):
            done = "archived" if mode == "Archived" else "taken down"
            raise NotPublishedError(
                f"{title} has been {done}: Civitai has no files of it any more",
                f"See {page}; other places may have it: cellar lookup SHA256.",
            )

    def _remote_files(
        self, meant: Sequence[VersionFile], others: Sequence[VersionFile], version_id: int
    ) -> tuple[tuple[RemoteFile, ...], list[str], tuple[tuple[str, str], ...]]:
        """The files with names of their own, notes on them, and those that cannot be verified."""
        files, notes, left_out = [], [], []
        taken: set[str] = set()
        for one in (*meant, *others):
            is_default = one in meant
            if one.sha256 is None:
                if one is meant[0]:
                    raise NotPublishedError(
                        f"Civitai has published no SHA-256 of {naming.display(one.name)}",
                        "It may still be scanning it: try again in an hour.",
                    )
                left_out.append((one.name, "Civitai has published no SHA-256 of it"))
                continue
            path = own_name(one, taken)
            taken.add(naming.caseless(path))
            if path != one.name:
                notes.append(f"{naming.display(one.name[:200])} is kept as {path}")
            scan = scan_of(one.entry)
            if is_default and scan not in (None, "no issue found"):
                notes.append(f"{path}: {scan}")
            url = f"{self.endpoint}/api/download/models/{version_id}?fileId={one.number}"
            files.append(
                RemoteFile(path, url, one.size_bytes, sha256=one.sha256, is_default=is_default)
            )
        notes += [f"{naming.display(name)} is left out: {reason}" for name, reason in left_out]
        return tuple(files), notes, tuple(left_out)

    def _refusal(
        self, status: int, headers: Mapping[str, str], what: str, page: str
    ) -> CellarError:
        is_page = headers.get("content-type", "").lower().startswith("text/html")
        account = f"{self.endpoint}/user/account"
        sign_in = f"Make an API key at {account} and set CIVITAI_API_TOKEN to it."
        if status == 401 or (status == 200 and is_page):
            if self._signed.authorization is not None or self._signed.is_token_refused:
                return SignInNeededError(
                    f"Civitai does not give {what} to the account of your CIVITAI_API_TOKEN",
                    f"Check the key at {account}; its author may have disabled downloads: {page}",
                )
            return SignInNeededError(f"Civitai gives {what} to those who signed in", sign_in)
        if status == 403 and not is_page:
            return SignInNeededError(
                f"{what} is in early access, or for those to whom its author gives it",
                f"See {page}. If your account has it: {sign_in}",
            )
        if status == 404:
            return NotPublishedError(
                f"there is no {what} on Civitai",
                f"Check the number, or see {page} in a browser. Or try again: it may pass.",
            )
        if status == 410:
            return NotPublishedError(
                f"{what} has been archived: Civitai has no files of it any more",
                f"See {page}; other places may have it: cellar lookup SHA256.",
            )
        if status == 429:
            seconds = retry_after_s(headers, self._wall())
            return RateLimitedError(
                "Civitai takes no more calls for now",
                "Run it again later.",
                origin=origin_of(self.endpoint),
                retry_at=self._wall() + (RETRY_S if seconds is None else seconds),
            )
        return self._refused(f"Civitai refuses {what} ({status})")

    def _refused(self, message: str) -> AnswerRefusedError:
        return AnswerRefusedError(
            message,
            "Something between you and Civitai may have answered. Try again later.",
            origin=origin_of(self.endpoint),
        )


def _require_id(number: int | None) -> int:
    if number is None or number <= 0:
        raise UsageError(
            "no version or model of Civitai is named", "Give its number: civitai:VERSION."
        )
    return number


def _title(version: Mapping[str, JsonValue]) -> str:
    names = text_in(dict_in(version.get("model")).get("name")), text_in(version.get("name"))
    return " ".join(name for name in names if name) or f"version {version.get('id')}"
