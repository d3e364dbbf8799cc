"""Times as people write them on the command line."""

import re

import click

__all__ = ["read_duration"]

_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def read_duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Read a time like ``90s``, ``30m``, ``1h30m`` or a plain number of seconds, as seconds.

    Raises:
        click.BadParameter: it is not a time, or none at all.
    """
    if value is None:
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", value, re.ASCII)
    seconds = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != value or seconds <= 0:
        message = f"{value!r} is not a time; write for example 90s, 30m or 1h30m."
        raise click.BadParameter(message, ctx, param)
    return seconds
