"""When something goes wrong: which requests meet which faults."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from tests.support.fake_hub.messages import Request, Response

__all__ = ["Chaos", "Fault", "Rule"]


class Fault:
    """Something that changes a request before it is answered, or an answer before it is sent."""

    def before(self, request: Request) -> Request:
        return request

    def after(self, request: Request, response: Response) -> Response:
        del request
        return response


class Door(Protocol):
    """What can stop listening and begin again on the same port."""

    def close_door(self) -> None: ...
    def open_door(self) -> None: ...


@dataclass(eq=False, slots=True)
class Rule:
    """Faults for some requests, in the order in which they are applied.

    ``path`` is a pattern with ``*`` for the path or the label of a request (on the CDN, where
    paths say nothing, the label is ``namespace/name/path``). The ``nth`` request that fits and
    the ``times - 1`` after it are hit, all of them with ``times=None``.
    """

    faults: tuple[Fault, ...]
    host: str
    path: str
    method: str
    nth: int
    times: int | None
    seen: int = 0
    hits: int = 0

    def fits(self, site: str, request: Request, label: str) -> bool:
        return (
            self.host in {"*", site}
            and self.method in {"*", request.method}
            and any(fnmatchcase(name, self.path) for name in (request.path, label))
        )

    def is_due(self) -> bool:
        """Count one request that fits; whether it is one to be hit."""
        self.seen += 1
        due = self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)
        self.hits += due
        return due


class Chaos:
    """The rules in force; safe in many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._doors: dict[str, Door] = {}

    def add(
        self,
        *faults: Fault,
        host: str = "*",
        path: str = "*",
        method: str = "*",
        nth: int = 1,
        times: int | None = 1,
    ) -> Rule:
        """Let requests meet ``faults``; the rule that comes back counts them (see there)."""
        rule = Rule(faults, host, path, method, nth, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        with self._lock:
            self._rules.remove(rule)

    def clear(self) -> None:
        """Everything works again."""
        with self._lock:
            self._rules.clear()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those in force, with their counts."""
        with self._lock:
            return tuple(self._rules)

    def faults_for(self, site: str, request: Request, label: str) -> tuple[Fault, ...]:
        """The faults that this request meets; counts it for every rule that it fits."""
        with self._lock:
            if not self._rules:
                return ()
            fitting = [rule for rule in self._rules if rule.fits(site, request, label)]
            return tuple(fault for rule in fitting if rule.is_due() for fault in rule.faults)

    def answer(
        self, site: str, request: Request, label: str, make: Callable[[Request], Response]
    ) -> Response:
        """What ``make`` answers, changed by the faults that the request meets."""
        faults = self.faults_for(site, request, label)
        changed = request
        for fault in faults:
            changed = fault.before(changed)
        response = make(changed)
        for fault in faults:
            response = fault.after(request, response)
        return response

    def add_door(self, site: str, door: Door) -> None:
        """Name the listener that :meth:`refused` closes."""
        self._doors[site] = door

    @contextmanager
    def refused(self, site: str) -> Iterator[None]:
        """Connections to a site are refused, and those that were open are gone."""
        self._doors[site].close_door()
        try:
            yield
        finally:
            self._doors[site].open_door()
