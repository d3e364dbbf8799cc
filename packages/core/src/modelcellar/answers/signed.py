"""Asks one host with the user's token, and without a token that the host does not accept."""

import logging
from dataclasses import replace

from modelcellar.answers.cached import MISS_S, Answer, CachedNetwork
from modelcellar.network.http import Request
from modelcellar.network.secret import Secret
from modelcellar.network.tokens import authorization_for

__all__ = ["SignedNetwork"]

log = logging.getLogger(__name__)


class SignedNetwork:
    """One host, with a token that goes to its own origin and nowhere else.

    Args:
        endpoint: address without a slash at the end.

    ``is_token_refused``: there was a token, and the host did not accept it.
    """

    def __init__(self, network: CachedNetwork, *, endpoint: str, token: Secret | None) -> None:
        self.endpoint = endpoint
        self.is_token_refused = False
        self._network = network
        self._token = token

    @property
    def authorization(self) -> Secret | None:
        """The value of the ``Authorization`` header; ``None`` where there is no good token."""
        signed = authorization_for(self.endpoint, self._token, endpoint=self.endpoint)
        return signed.get("authorization")

    async def ask(
        self, request: Request, lifetime_s: float | None, *, miss_lifetime_s: float = MISS_S
    ) -> Answer:
        """The host's answer to a request that carries no credential itself.

        ``lifetime_s`` and ``miss_lifetime_s`` are those of
        :func:`modelcellar.answers.cached.cached_request`; ``None``: asked anew, and not kept.

        Raises:
            NetworkError: the host could not be asked.
        """
        headers = authorization_for(request.url, self._token, endpoint=self.endpoint)
        signed = replace(request, headers={**request.headers, **headers})
        answer = await self._send(signed, lifetime_s, miss_lifetime_s)
        is_refused = answer.response.status == 401
        if not (headers and is_refused) or "x-error-code" in answer.response.headers:
            return answer
        # A token that is no good is worse than none: what is public is refused with it as well.
        log.warning("%s does not accept the token; it is asked without", self.endpoint)
        self._token, self.is_token_refused = None, True
        return await self._send(request, lifetime_s, miss_lifetime_s)

    async def _send(
        self, request: Request, lifetime_s: float | None, miss_lifetime_s: float
    ) -> Answer:
        if lifetime_s is None:
            return await self._network.anew(request)
        return await self._network.request(
            request, lifetime_s=lifetime_s, miss_lifetime_s=miss_lifetime_s
        )
