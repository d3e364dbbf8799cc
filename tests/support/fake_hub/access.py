"""Who is asking, and what they may see."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.fake_hub.messages import Request
from tests.support.fake_hub.refusals import disabled, gated, invalid_token, repo_missing
from tests.support.fake_hub.repos import FakeRepo

__all__ = ["Access", "Caller", "Token"]


@dataclass(frozen=True, slots=True)
class Token:
    """One account's token. ``may_read`` are the private and gated repositories it opens."""

    name: str
    plan: str = "free"
    may_read: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. ``is_invalid``: with a token that nobody has."""

    client: str
    token: Token | None = None
    is_invalid: bool = False

    @property
    def plan(self) -> str:
        return self.token.plan if self.token else "anonymous"

    def may_read(self, repo: FakeRepo) -> bool:
        return self.token is not None and repo.repo_id in self.token.may_read


class Access:
    """The tokens there are. ``disabled_status`` is what a disabled repository is refused with."""

    def __init__(self, tokens: Mapping[str, Token] | None = None) -> None:
        self.tokens: dict[str, Token] = dict(tokens or {})
        self.disabled_status = 403

    def caller(self, request: Request) -> Caller:
        """Whoever the ``Authorization`` header says."""
        scheme, _, secret = (request.header("authorization") or "").partition(" ")
        if not scheme:
            return Caller(request.client)
        token = self.tokens.get(secret) if scheme.lower() == "bearer" else None
        return Caller(secret if token else request.client, token, token is None)

    def check(self, caller: Caller, repo: FakeRepo | None, *, wants_bytes: bool) -> FakeRepo:
        """The repository, if the caller may see it; for a gated one that includes its listing.

        Raises:
            RefusalError: it is missing, private, disabled, or gated and bytes of it are wanted.
        """
        # A token that nobody has opens no gate, but it was not seen to be called invalid there.
        if repo is not None and repo.gated and wants_bytes and not caller.may_read(repo):
            raise gated(repo.repo_id, has_token=caller.token is not None)
        if caller.is_invalid:
            raise invalid_token()
        if repo is None or (repo.private and not caller.may_read(repo)):
            raise repo_missing(has_token=caller.token is not None)
        if repo.disabled:
            raise disabled(self.disabled_status)
        return repo
