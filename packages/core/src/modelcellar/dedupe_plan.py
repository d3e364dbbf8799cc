"""What is to be done about files of one content: which is kept, and what becomes of the others."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelcellar.dedupe_records import DedupeAction, DedupeGroup, DedupeKind, DiskFile
from modelcellar.equal_files import SameContent
from modelcellar.io.cloning import can_share
from modelcellar.io.extents import extents_of
from modelcellar.link_records import LinkKind

__all__ = ["Planner"]

NO_SHARING = "this file system cannot share data; --link hardlink makes one file of both"
OTHER_NAMES = "it has other names elsewhere, so nothing is freed until they are gone too"


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans with one kind of link. ``library``: its folder, whose files are never replaced."""

    link: LinkKind
    library: Path | None = None

    def groups(self, same: SameContent) -> Iterator[DedupeGroup]:
        """What is to be kept and what to be done, for the files of each disk by themselves."""
        part_of = {file: part for part in same.parts for file in part}
        left = sorted(part_of, key=lambda file: self._rank(file, part_of[file]))
        while left:
            keep, others = left[0], left[1:]
            here = [file for file in others if self._is_in_reach(keep, file)]
            left = [file for file in others if file not in here]
            actions = [self._action(keep, file, file in part_of[keep]) for file in here]
            if any(one.file.names for one in actions):
                yield DedupeGroup(keep.size_bytes, same.digests, keep, tuple(actions))

    def _rank(self, file: DiskFile, part: Sequence[DiskFile]) -> tuple[object, ...]:
        """First the library's file, then the one that most others share, then the oldest."""
        is_foreign = not file.library_names
        return (is_foreign, -len(part), -file.link_count, file.mtime_ns, os.fsencode(file.path))

    def _is_in_reach(self, keep: DiskFile, file: DiskFile) -> bool:
        if keep.device == file.device:
            return True
        # The subvolumes of one btrfs have several device numbers.
        return self.link is LinkKind.REFLINK and can_share(keep.path, file.path)

    def _action(self, keep: DiskFile, file: DiskFile, is_shared: bool) -> DedupeAction:
        if is_shared:
            return DedupeAction(file, DedupeKind.SHARED, reason="they share their data already")
        if self.link is LinkKind.REFLINK:
            if not can_share(keep.path, file.path):
                return DedupeAction(file, DedupeKind.SKIP, reason=NO_SHARING)
            return DedupeAction(file, DedupeKind.SHARE, _own_bytes(file))
        if not file.names:
            return DedupeAction(file, DedupeKind.SKIP, reason="it is the library's")
        if file.library_names:
            return DedupeAction(file, DedupeKind.LINK, reason=self._in_library(file))
        if len(file.names) < file.link_count:
            return DedupeAction(file, DedupeKind.LINK, reason=OTHER_NAMES)
        return DedupeAction(file, DedupeKind.LINK, _own_bytes(file))

    def _in_library(self, file: DiskFile) -> str:
        assert self.library is not None
        model_id = file.path.relative_to(self.library / "models").parts[0]
        return f"the library has it as {model_id}; nothing is freed until that is removed there"


def _own_bytes(file: DiskFile) -> int:
    """Bytes on the disk that this file has for itself, as far as the disk tells."""
    try:
        found = extents_of(file.path)
    except OSError:
        return 0
    if found is None or not any(one.is_shared for one in found):
        return file.disk_bytes
    return sum(one.size_bytes for one in found if not one.is_shared)
