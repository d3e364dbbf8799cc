"""What in the given paths is a model: one file, files that belong together, or a whole folder.

``walk`` goes through what the user named, ``folders`` knows the folders that are one model,
``groups`` and ``companions`` put together the files of a folder that are not.
"""

from modelcellar.sources.source import NotTaken, Source, SourceFile, Stamp
from modelcellar.sources.walk import find_sources

__all__ = ["NotTaken", "Source", "SourceFile", "Stamp", "find_sources"]
