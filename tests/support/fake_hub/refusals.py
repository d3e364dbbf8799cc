"""The ways in which the Hub says no: its statuses, codes and messages."""

from collections.abc import Mapping

from tests.support.fake_hub.messages import Response, json_answer

__all__ = ["RefusalError", "bad_request", "disabled", "entry_missing", "gated", "invalid_token",
           "repo_missing", "revision_missing"]  # fmt: skip


class RefusalError(Exception):
    """An answer that ends the work on a request."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def _refusal(
    status: int, message: str, code: str = "", *, headers: Mapping[str, str] | None = None
) -> RefusalError:
    shown = {"X-Error-Message": message, **(headers or {})}
    if code:
        shown["X-Error-Code"] = code
    return RefusalError(json_answer({"error": message}, status, headers=shown))


def repo_missing(*, has_token: bool) -> RefusalError:
    """Missing, or private: nobody may learn which. Without a token no code says what is wrong."""
    if has_token:
        return _refusal(404, "Repository not found", "RepoNotFound")
    return _refusal(401, "Invalid username or password.")


def revision_missing(revision: str) -> RefusalError:
    # It goes into a header, whatever is in it.
    return _refusal(404, f"Invalid rev id: {ascii(revision)[1:-1]}", "RevisionNotFound")


def entry_missing(commit_id: str) -> RefusalError:
    """The commit is sent all the same, because clients remember that a file is not there."""
    return _refusal(404, "Entry not found", "EntryNotFound", headers={"X-Repo-Commit": commit_id})


def gated(repo_id: str, *, has_token: bool) -> RefusalError:
    """403 for a token without access; 401 for no token, and for one that is not known."""
    if has_token:
        message = f"Access to model {repo_id} is restricted and you are not in the authorized list."
        return _refusal(403, message, "GatedRepo")
    message = f"Access to model {repo_id} is restricted. You must have access to it."
    return _refusal(401, message, "GatedRepo")


def disabled(status: int) -> RefusalError:
    """403, or the 401 of a gated repository, which has been seen as well."""
    code = "GatedRepo" if status == 401 else ""
    return _refusal(status, "Access to this resource is disabled.", code)


def invalid_token() -> RefusalError:
    return _refusal(401, "Invalid credentials in Authorization header")


def bad_request(message: str) -> RefusalError:
    return _refusal(400, message)
