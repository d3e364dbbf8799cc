"""How many of all that was found are of each type, base and format."""

from collections import Counter

import apsw

from modelcellar.reports import Facet
from modelcellar.search.found import Found

__all__ = ["Facet", "counted"]

FIELDS = ("type", "base", "format")

_COUNTS = """
SELECT v.type, coalesce(v.family_key, v.base_key), v.format, count(*)
FROM ({found}) f CROSS JOIN model_fields v ON v.model = f.rowid GROUP BY 1, 2, 3
"""


def counted(connection: apsw.Connection, found: Found) -> tuple[Facet, ...]:
    """The counts of each field, the greatest first. What has no family or base counts nowhere.

    Each ``value`` can be asked for: ``base:sdxl``. Raises apsw.Error.
    """
    counts: dict[str, Counter[str]] = {name: Counter() for name in FIELDS}
    for *values, count in connection.execute(_COUNTS.format(found=found.sql), found.values):
        for name, value in zip(FIELDS, values, strict=True):
            if value is not None:
                counts[name][value] += count
    return tuple(
        Facet(name, value, count)
        for name, values in counts.items()
        for value, count in sorted(values.items(), key=lambda item: (-item[1], item[0]))
    )
