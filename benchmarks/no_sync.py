"""Switches fsync off for a process and all it starts, the same for every contender.

A seccomp filter answers the flushing system calls with success and does not run them. Unlike a
preloaded library it also works for programs that call the kernel directly, and it costs nothing
elsewhere.
"""

import ctypes
import os
import platform
import struct

# System call numbers of fsync, fdatasync, sync_file_range, syncfs, sync (Linux, by machine).
SYNC_CALLS = {
    "x86_64": (0xC000003E, (74, 75, 277, 306, 162)),
    "aarch64": (0xC00000B7, (82, 83, 84, 267, 81)),
}
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
RET_ALLOW, RET_ERRNO_0 = 0x7FFF0000, 0x00050000
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER_OFFSET, ARCHITECTURE_OFFSET = 0, 4


def filter_program(architecture: int, calls: tuple[int, ...]) -> bytes:
    """The filter in classic BPF (linux/filter.h): ``calls`` succeed at once, the rest is run."""
    code = [
        (LOAD_WORD, 0, 0, ARCHITECTURE_OFFSET),
        (JUMP_IF_EQUAL, 0, len(calls) + 1, architecture),
        (LOAD_WORD, 0, 0, NUMBER_OFFSET),
        *((JUMP_IF_EQUAL, len(calls) - place, 0, call) for place, call in enumerate(calls)),
        (RETURN, 0, 0, RET_ALLOW),
        (RETURN, 0, 0, RET_ERRNO_0),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in code)


def available() -> bool:
    """Whether the filter is known for this machine."""
    return platform.system() == "Linux" and platform.machine() in SYNC_CALLS


def switch_fsync_off() -> None:
    """Put the filter on this process, for good.

    Raises:
        OSError: the kernel does not take it.
    """
    architecture, calls = SYNC_CALLS[platform.machine()]
    program = filter_program(architecture, calls)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    one, mode = ctypes.c_ulong(1), ctypes.c_ulong(SECCOMP_MODE_FILTER)
    for option, value, argument in (
        (PR_SET_NO_NEW_PRIVS, one, zero),
        (PR_SET_SECCOMP, mode, ctypes.c_char_p(header)),
    ):
        if libc.prctl(option, value, argument, zero, zero) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), "prctl")
