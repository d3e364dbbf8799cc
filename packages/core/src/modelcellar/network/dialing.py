"""Opens a connection over whichever address of a host answers first.

After RFC 8305 ("happy eyeballs"): where the line to one kind of address is dead, as IPv6 often is,
the next one is tried after a quarter of a second and not after the whole time limit.
"""

import errno
import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

__all__ = ["dial"]

STAGGER_S = 0.25
_PENDING = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, errno.EINTR})

_Info = tuple[Any, Any, int, str, tuple[Any, ...]]


def dial(
    address: tuple[str, int],
    timeout_s: float,
    source: object = None,
    *,
    resolve: Callable[..., Sequence[_Info]] | None = None,
) -> socket.socket:
    """A connected socket, blocking with ``timeout_s``; as ``socket.create_connection`` otherwise.

    Args:
        address: host name and port.
        timeout_s: for all attempts together, the look-up of the name not counted.
        source: must be ``None``.
        resolve: finds the addresses of a name; by default the operating system.

    Raises:
        OSError: no address answers; the error of the first that said so, else ``TimeoutError``.
    """
    assert source is None
    host, port = address
    waiting = _in_turns((resolve or socket.getaddrinfo)(host, port, 0, socket.SOCK_STREAM))
    ends_at = time.monotonic() + timeout_s
    failure: OSError | None = None
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                if waiting:
                    failure = _begin(waiting.pop(0), selector) or failure
                left_s = ends_at - time.monotonic()
                if left_s <= 0:
                    break
                for key, _ in selector.select(min(left_s, STAGGER_S) if waiting else left_s):
                    handle = key.fileobj
                    assert isinstance(handle, socket.socket)
                    selector.unregister(handle)
                    code = handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        handle.settimeout(timeout_s)
                        return handle
                    handle.close()
                    failure = failure or OSError(code, os.strerror(code))
        finally:
            for key in list((selector.get_map() or {}).values()):
                with suppress(OSError):
                    key.fileobj.close()  # type: ignore[union-attr]
    raise failure or TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _begin(info: _Info, selector: selectors.BaseSelector) -> OSError | None:
    """Begin to connect; the error if that ends at once."""
    family, kind, protocol, _, place = info
    try:
        handle = socket.socket(family, kind, protocol)
    except OSError as error:
        return error  # this machine does not know that kind of address
    handle.setblocking(False)
    code = handle.connect_ex(place)
    if code not in (0, *_PENDING):
        handle.close()
        return OSError(code, os.strerror(code))
    selector.register(handle, selectors.EVENT_WRITE)
    return None


def _in_turns(infos: Sequence[_Info]) -> list[_Info]:
    """The addresses of both families by turns, in the order of each, that of the first first."""
    first = [one for one in infos if one[0] == infos[0][0]]
    others = [one for one in infos if one[0] != infos[0][0]]
    pairs = zip_longest(first, others)
    return [one for one in chain.from_iterable(pairs) if one is not None]
