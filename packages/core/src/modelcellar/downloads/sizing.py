"""How large a file is, where only the answer of its host tells."""

import re
from collections.abc import Callable

from modelcellar.answers.cached import Network
from modelcellar.errors import AnswerRefusedError, CellarError
from modelcellar.network.http import Request, Response, display_url, origin_of
from modelcellar.network.secret import Secret

__all__ = ["probe"]

MAX_PROBE_BYTES = 64 << 10
"""Of a host that answers a request for one byte with the whole file, however small that is."""
_TOTAL = re.compile(r"bytes\s+(?:\d+-\d+|\*)/(\d{1,18})", re.ASCII | re.IGNORECASE)


async def probe(
    network: Network,
    url: str,
    *,
    refuse: Callable[[Response], CellarError],
    authorization: Secret | None = None,
) -> tuple[Response, int]:
    """An answer about the file at ``url``, and its size in bytes.

    ``refuse`` is what it means that the host gives it not. ``authorization`` is the value of that
    header, for the origin of ``url`` only.

    Raises:
        NetworkError: the host could not be asked, or does not tell the size.
        CellarError: what ``refuse`` makes of a refusal.
    """
    headers: dict[str, str | Secret] = {"Accept-Encoding": "identity"}
    if authorization is not None:
        headers["Authorization"] = authorization
    # Signed links are often good for GET only; and who ignores a range is asked with HEAD.
    part = {**headers, "Range": "bytes=0-0"}
    refused: AnswerRefusedError | None = None
    try:
        response = await network.request(Request("GET", url, part, max_bytes=MAX_PROBE_BYTES))
    except AnswerRefusedError as error:
        refused = error
    else:
        size = _size(response)
        if size is not None:
            return response, size
        if response.status >= 400:
            raise refuse(response)
    response = await network.request(Request("HEAD", url, headers))
    length = response.headers.get("content-length", "")
    is_told = response.status == 200 and "content-encoding" not in response.headers
    if is_told and re.fullmatch(r"[0-9]{1,18}", length):
        return response, int(length)
    raise AnswerRefusedError(
        f"{display_url(url)}: the host does not tell how large it is",
        "Download it with a browser, then: cellar import FILE.",
        origin=origin_of(url),
    ) from refused


def _size(response: Response) -> int | None:
    """The size of the whole file, out of the answer to a request for its first byte."""
    match = _TOTAL.fullmatch(response.headers.get("content-range", "").strip())
    is_empty = response.status == 416 and match is not None and int(match[1]) == 0
    if match is not None and (response.status == 206 or is_empty):
        return int(match[1])
    is_whole = response.status == 200 and "content-encoding" not in response.headers
    return len(response.body) if is_whole else None
