"""Open circuits outlive the process, so that ten runs do not each find out the same outage."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from modelcellar.network.circuit_breaker import Circuit, CircuitState
from modelcellar.network.http import origin_of
from modelcellar.network.shared_file import Document, SharedFile
from modelcellar.records import JsonValue

__all__ = ["CircuitStore"]

FORMAT = 1
FILE_NAME = "circuits.json"
MOST_ORIGINS = 256
FORGOTTEN_AFTER_S = 3600.0
LONGEST_CAUSE = 200


class CircuitStore:
    """The circuits that are not closed, kept in ``folder`` (``None``: nowhere)."""

    def __init__(self, folder: Path | None, *, wall: Callable[[], float] = time.time) -> None:
        self._file = None if folder is None else SharedFile(folder / FILE_NAME)
        self._wall = wall

    def load(self) -> dict[str, Circuit]:
        """What the last runs found out; whatever is not understood is left out."""
        return {} if self._file is None else self._circuits(self._file.read())

    def save(self, origin: str, circuit: Circuit) -> None:
        """Note the state of one origin, and leave those of all others as they are now."""
        if self._file is None:
            return

        def change(document: Document) -> Document:
            circuits = self._circuits(document)
            circuits.pop(origin, None)
            if circuit.state is not CircuitState.CLOSED:
                circuits[origin] = circuit
            newest = list(circuits.items())[-MOST_ORIGINS:]
            return {"format": FORMAT, "circuits": {name: _entry(one) for name, one in newest}}

        self._file.update(change)

    def _circuits(self, document: Document) -> dict[str, Circuit]:
        """The circuits of a document that still say something."""
        oldest = self._wall() - FORGOTTEN_AFTER_S
        return {
            origin: circuit
            for origin, entry in _entries(document).items()
            if (circuit := _circuit(origin, entry)) is not None and (circuit.until or 0) >= oldest
        }


def _entry(circuit: Circuit) -> JsonValue:
    return {
        "since": circuit.since,
        "until": circuit.until,
        "trips": circuit.trips,
        "cause": circuit.cause[:LONGEST_CAUSE],
    }


def _entries(document: Document) -> Document:
    """The part of the document that holds the circuits."""
    entries = document.get("circuits")
    return entries if document.get("format") == FORMAT and isinstance(entries, dict) else {}


def _circuit(origin: str, entry: JsonValue) -> Circuit | None:
    try:
        if origin_of(origin) != origin:
            return None
        since, until, trips, cause = (entry[name] for name in ("since", "until", "trips", "cause"))
    except (ValueError, KeyError, TypeError):
        return None
    if not (_is_moment(since) and _is_moment(until) and isinstance(cause, str)):
        return None
    if not isinstance(trips, int) or isinstance(trips, bool) or not 0 < trips < 1000:
        return None
    return Circuit(CircuitState.OPEN, float(since), float(until), trips, cause[:LONGEST_CAUSE])


def _is_moment(value: JsonValue) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value < 1e11
