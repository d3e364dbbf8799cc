"""Open circuits outlive the process, so that ten runs do not each find out the same outage."""

import math
from pathlib import Path

from modelcellar.network.circuit_breaker import Circuit, CircuitState
from modelcellar.network.http import origin_of
from modelcellar.network.shared_file import Document, SharedFile
from modelcellar.records import JsonValue

__all__ = ["CircuitStore"]

FORMAT = 1
FILE_NAME = "circuits.json"
MOST_ORIGINS = 256
LONGEST_CAUSE = 200


class CircuitStore:
    """The circuits that are not closed, kept in ``folder`` (``None``: nowhere)."""

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else SharedFile(folder / FILE_NAME)

    def load(self) -> dict[str, Circuit]:
        """What the last runs found out; whatever is not understood is left out."""
        document = {} if self._file is None else self._file.read()
        return {
            origin: circuit
            for origin, entry in _entries(document).items()
            if (circuit := _circuit(origin, entry)) is not None
        }

    def save(self, origin: str, circuit: Circuit) -> None:
        """Note the state of one origin, and leave those of all others as they are now."""
        if self._file is None:
            return

        def change(document: Document) -> Document:
            entries = dict(_entries(document))
            entries.pop(origin, None)
            if circuit.state is not CircuitState.CLOSED:
                entries[origin] = {
                    "since": circuit.since,
                    "until": circuit.until,
                    "trips": circuit.trips,
                    "cause": circuit.cause[:LONGEST_CAUSE],
                }
            newest = list(entries.items())[-MOST_ORIGINS:]
            return {"format": FORMAT, "circuits": dict(newest)}

        self._file.update(change)


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
