"""The ``cellar`` command: a thin shell over the ``modelcellar`` library."""

from modelcellar_cli._version import __version__

__all__ = ["__version__"]
