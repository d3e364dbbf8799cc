"""The one place where exceptions become a message and an exit code."""

import io
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelcellar_cli import __version__

if TYPE_CHECKING:
    from modelcellar.errors import CellarError
    from modelcellar.records import ErrorInfo

__all__ = ["ExitCode", "Failure", "describe", "exit_code_for", "exit_code_of", "report", "run"]


class ExitCode(IntEnum):
    """How a command ended. Numbers not listed here are never used."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTLY_DONE = 3
    SIGN_IN_NEEDED = 4
    NOT_FOUND = 5
    VERIFICATION_FAILED = 6
    LIBRARY_BUSY = 7
    NO_SPACE = 8
    UNAVAILABLE = 9
    CANCELLED = 130


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, for people and machines, and the exit code when nothing else was done."""

    info: "ErrorInfo"
    exit_code: ExitCode


NO_SPACE = "no_space"
EXIT_CODES = {
    NO_SPACE: ExitCode.NO_SPACE,
    "library_busy": ExitCode.LIBRARY_BUSY,
    "not_published": ExitCode.NOT_FOUND,
    "sign_in_needed": ExitCode.SIGN_IN_NEEDED,
    "wrong_content": ExitCode.VERIFICATION_FAILED,
    **dict.fromkeys(
        (
            "network",
            "offline",
            "host_unavailable",
            "rate_limited",
            "answer_refused",
            "transfer_broken",
        ),
        ExitCode.UNAVAILABLE,
    ),
}
"""Code of an error in a report -> how a command ends where nothing else was done."""
GO_ON = {
    "import": "Run the same command again: what is already in is skipped.",
    "download": "Run the same command again: what has come is used.",
}
"""Verb -> how to go on after Ctrl-C."""


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; never raises for what went wrong in it."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in (given[: given.index("--")] if "--" in given else given)
    _make_streams_safe()
    try:
        code = command.main(given, prog_name="cellar", standalone_mode=False)
        sys.stdout.flush()
        return int(code or ExitCode.DONE)
    except SystemExit as end:  # click ends so for a reader that went away, and after completion
        return end.code if isinstance(end.code, int) else ExitCode.FAILED
    except BrokenPipeError:
        return ExitCode.FAILED
    except (click.Abort, KeyboardInterrupt):
        return report(_cancelled(given), as_json=as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except Exception as error:
        return report(describe(error), as_json=as_json)
    finally:
        _let_go_of_output()


def describe(error: Exception) -> Failure:
    """What to tell about an exception and the exit code that belongs to it."""
    from modelcellar.errors import CellarError
    from modelcellar.records import ErrorInfo

    if isinstance(error, click.ClickException):
        return _describe_click(error)
    if isinstance(error, CellarError):
        return Failure(ErrorInfo(error.code, error.message, error.hint), exit_code_for(error))
    if isinstance(error, OSError):
        from modelcellar.failures import failure

        info = failure(error)
        return Failure(info, ExitCode.NO_SPACE if info.code == NO_SPACE else ExitCode.FAILED)
    message = f"unexpected error: {type(error).__name__}: {error}"
    hint = f"This is a bug in cellar. Please report it with this file: {_write_log(error)}"
    return Failure(ErrorInfo("unexpected", message, hint), ExitCode.FAILED)


def exit_code_for(error: "CellarError") -> ExitCode:
    """The exit code of one of the library's own errors."""
    from modelcellar import errors

    match error:
        case errors.UsageError():
            return ExitCode.USAGE
        case errors.ModelNotFoundError() | errors.LibraryNotFoundError():
            return ExitCode.NOT_FOUND
        case errors.NothingToUndoError() | errors.LibraryMovedError():
            return ExitCode.NOT_FOUND
        case errors.NotPublishedError():
            return ExitCode.NOT_FOUND
        case errors.ContentDamagedError() | errors.WrongContentError():
            return ExitCode.VERIFICATION_FAILED
        case errors.LibraryBusyError():
            return ExitCode.LIBRARY_BUSY
        case errors.SignInNeededError():
            return ExitCode.SIGN_IN_NEEDED
        case errors.NetworkError():
            return ExitCode.UNAVAILABLE
    return ExitCode.NO_SPACE if error.code == NO_SPACE else ExitCode.FAILED


def exit_code_of(code: str) -> ExitCode:
    """The exit code for one of the library's own errors of which only the code is known."""
    return EXIT_CODES.get(code, ExitCode.FAILED)


def report(failure: Failure, *, as_json: bool) -> int:
    """Write the failure to standard error and return its exit code."""
    from modelcellar_cli.output import error_lines, error_to_json, json_text

    if as_json:
        text = json_text({"error": error_to_json(failure.info)})
    else:
        text = "\n".join(error_lines(failure.info))
    # Whoever closed standard error does not want to hear of it.
    with suppress(BrokenPipeError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    return failure.exit_code


def _describe_click(error: click.ClickException) -> Failure:
    from modelcellar.records import ErrorInfo

    if isinstance(error, click.UsageError):
        place = error.ctx.command_path if error.ctx else "cellar"
        info = ErrorInfo("usage", error.format_message(), f"Run: {place} --help")
        return Failure(info, ExitCode.USAGE)
    return Failure(ErrorInfo("error", error.format_message()), ExitCode.FAILED)


def _cancelled(given: Sequence[str]) -> Failure:
    from modelcellar.records import ErrorInfo

    hint = next((GO_ON[word] for word in given if word in GO_ON), "Run the same command again.")
    return Failure(ErrorInfo("cancelled", "cancelled", hint), ExitCode.CANCELLED)


def _write_log(error: Exception) -> str:
    """Write the traceback to the user's state folder; returns the path, or why there is none."""
    import traceback
    from datetime import UTC, datetime

    from modelcellar.config import state_folder

    stamp = datetime.now(UTC)
    heading = (
        f"cellar {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{stamp.isoformat()}\n{sys.argv!r}\n\n"
    )
    text = heading + "".join(traceback.format_exception(error))
    folder = state_folder() / "log"
    path = folder / f"error-{stamp:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as problem:
        return f"(no log could be written: {problem})"
    return str(path)


def _make_streams_safe() -> None:
    """Let no name make the output itself fail, whatever the terminal's encoding is."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started us closed it
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_output() -> None:
    """Point an output that takes no more nowhere, or Python complains at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
