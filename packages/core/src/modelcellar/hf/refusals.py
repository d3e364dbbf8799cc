"""What the Hub means when it says no, as an error with the next step.

``X-Error-Code`` and ``X-Error-Message`` say more than the status: a repository that is missing or
private is a 401 without a code to those whom the Hub does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelcellar import naming
from modelcellar.answers.reading import text_in
from modelcellar.errors import (
    AnswerRefusedError,
    CellarError,
    NotPublishedError,
    SignInNeededError,
)
from modelcellar.network.http import origin_of

__all__ = ["Refused", "refusal"]

_SIGN_IN = "run: hf auth login (or set HF_TOKEN)"
_NO_ACCESS = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Refused:
    """What was asked for. ``page`` is the repository's address for people; ``path`` is of a file.

    ``has_token`` is whether the Hub was asked with a token.
    """

    repo_id: str
    page: str
    has_token: bool
    path: str | None = None
    revision: str | None = None


def refusal(status: int, headers: Mapping[str, str], what: Refused) -> CellarError:
    """The error that an answer of the Hub stands for; header names are in lower case."""
    code = headers.get("x-error-code", "")
    message = naming.display(text_in(headers.get("x-error-message")) or "")[:300]
    if status in _NO_ACCESS and "disabled" in message.lower():
        # Said with the code of a gated one as well, of which no terms could be accepted.
        return NotPublishedError(
            f"{what.repo_id} has been disabled on the Hub",
            f"Nothing of it can be downloaded. What is said of it: {what.page}",
        )
    if code == "GatedRepo":
        return _gated(status, what)
    if code == "RevisionNotFound":
        return NotPublishedError(
            f"{what.repo_id} has no revision {naming.display(what.revision or '')!r}",
            f"Its branches, tags and commits are at {what.page}/tree/main",
        )
    if status == 401 and what.has_token:
        return SignInNeededError(
            "the Hub does not accept your token",
            "Run hf auth login again, or take HF_TOKEN away: public repositories need none.",
        )
    if code == "RepoNotFound" or status == 401 or (status == 404 and what.path is None):
        return _missing(what)
    if status == 404:
        return NotPublishedError(
            f"{naming.display(what.path or '')} is gone from {what.repo_id} meanwhile",
            "Run the download again: the repository is listed anew.",
        )
    said = f": {message}" if message else ""
    return AnswerRefusedError(
        f"the Hub refuses {_shown(what)} ({status}){said}",
        f"See {what.page} in a browser, or try again later.",
        origin=origin_of(what.page),
    )


def _gated(status: int, what: Refused) -> CellarError:
    if status == 403:
        return SignInNeededError(
            f"{what.repo_id} is gated, and your account has no access to it",
            f"Ask for it at {what.page}. If you have it, the token is another account's, or may "
            "not read gated repositories.",
        )
    return SignInNeededError(
        f"{what.repo_id} is gated: its files are for those who accepted its terms",
        f"Accept them at {what.page}, then {_SIGN_IN}",
    )


def _missing(what: Refused) -> CellarError:
    if what.has_token:
        return NotPublishedError(
            f"there is no {what.repo_id} on the Hub, or your token may not see it",
            "Check the name. If it is private, the token has to be of somebody who may read it.",
        )
    return NotPublishedError(
        f"there is no {what.repo_id} on the Hub, or it is private",
        f"Check the name. If it is private, {_SIGN_IN}",
    )


def _shown(what: Refused) -> str:
    return f"{naming.display(what.path)} of {what.repo_id}" if what.path else what.repo_id
