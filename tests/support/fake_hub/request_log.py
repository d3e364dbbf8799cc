"""What was asked of the fake and what it sent: the main thing that tests look at."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from tests.support.fake_hub.messages import Request

__all__ = ["Entry", "RequestLog"]

# Whoever else gets to see a credential has it for ever: signed links need none.
NEVER_WITH_CREDENTIALS = frozenset({"cdn", "elsewhere", "civarchive"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One request and how far its answer got.

    ``site`` is ``hub``, ``cdn``, ``civitai``, ``civarchive`` or ``elsewhere``; ``label`` the path,
    or on the CDN ``namespace/name/path`` of the file. ``sent_bytes`` counts the body only, and is
    right as soon as the client has all of it. ``connection`` numbers the connections of a site.
    """

    site: str
    host: str
    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    label: str
    at: float
    connection: int
    status: int = 0
    sent_bytes: int = 0
    is_complete: bool = False

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        return tuple(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")

    @property
    def range(self) -> str | None:
        return self.headers.get("range")

    @property
    def line(self) -> str:
        """For messages: ``GET cdn acme/toy/model.safetensors 206 4096``."""
        return f"{self.method} {self.site} {self.label} {self.status} {self.sent_bytes}"


class RequestLog:
    """Every request in the order of its arrival; safe in many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._forgotten = 0

    def begin(self, site: str, request: Request, *, label: str, at: float, connection: int) -> int:
        """Note a request; the number is for :meth:`progress`."""
        entry = Entry(
            site,
            request.headers.get("host", ""),
            request.method,
            request.path,
            request.raw_query,
            request.headers,
            label,
            at,
            connection,
        )
        with self._lock:
            self._entries.append(entry)
            return self._forgotten + len(self._entries) - 1

    def progress(self, number: int, *, status: int, sent_bytes: int, is_complete: bool) -> None:
        """Note how far the answer to a request got."""
        with self._lock:
            place = number - self._forgotten
            if place >= 0:
                self._entries[place] = replace(
                    self._entries[place],
                    status=status,
                    sent_bytes=sent_bytes,
                    is_complete=is_complete,
                )

    @property
    def entries(self) -> tuple[Entry, ...]:
        with self._lock:
            return tuple(self._entries)

    def of(self, site: str = "", method: str = "", *, containing: str = "") -> tuple[Entry, ...]:
        """The requests to a site, with a method, whose path or label contains a text."""
        return tuple(
            entry
            for entry in self.entries
            if site in {"", entry.site}
            and method in {"", entry.method}
            and (containing in entry.path or containing in entry.label)
        )

    @property
    def leaks(self) -> tuple[Entry, ...]:
        """Requests that took a credential to a host that must never see one."""
        return tuple(
            entry
            for entry in self.entries
            if entry.site in NEVER_WITH_CREDENTIALS and entry.authorization is not None
        )

    def bytes_sent(self, site: str = "") -> int:
        """Bytes of bodies, all answers together."""
        return sum(entry.sent_bytes for entry in self.of(site))

    def clear(self) -> None:
        """Forget everything; answers still being sent are not noted any more."""
        with self._lock:
            self._forgotten += len(self._entries)
            self._entries.clear()
