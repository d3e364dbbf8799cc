"""Errors of the operating system as data: a stable code, what happened, and what to do next."""

import errno
import os

from modelcellar import naming
from modelcellar.records import ErrorInfo

__all__ = ["failure"]

_PERMISSION = ("permission_denied", "Check the permissions of the file and its folders.")
_OTHER = ("io_error", "Try it again. `cellar verify` tells whether all is well.")
_CODES = {
    errno.ENOSPC: ("no_space", "Free some space on that disk and run it again."),
    errno.EDQUOT: ("no_space", "Your quota on that disk is used up."),
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: ("read_only", "It is mounted read-only. Mount it for writing and run it again."),
    errno.ENOENT: ("not_found", "Check the path; a link may point to nothing."),
    errno.ELOOP: ("link_loop", "Remove the link that leads back to itself."),
    errno.EISDIR: ("is_a_folder", "Give files here, not folders."),
    errno.EINVAL: ("not_a_file", "Give ordinary files, not devices or pipes."),
    errno.ESTALE: ("source_changed", "Wait until it is complete and import it again."),
    errno.EOPNOTSUPP: (
        "not_supported",
        "Cloning needs both on one file system that can do it, such as btrfs or XFS. "
        "Copy instead: --mode copy.",
    ),
    errno.EIO: ("read_error", "The disk could not be read or written. Check it and its cables."),
}


def failure(error: OSError) -> ErrorInfo:
    """The error as data, with a code that scripts can rely on."""
    code, hint = _CODES.get(error.errno or 0, _OTHER)
    where = f"{naming.display(os.fsdecode(error.filename))}: " if error.filename else ""
    return ErrorInfo(code, f"{where}{error.strerror or error}", hint)
