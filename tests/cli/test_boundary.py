"""What becomes of each exception: a message, a hint and an exit code."""

import errno
import json
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from modelcellar import errors
from modelcellar_cli import boundary
from modelcellar_cli.boundary import ExitCode


def run(error: BaseException, arguments: Sequence[str] = ()) -> int:
    """Run a command that raises ``error``."""

    @click.command(context_settings={"ignore_unknown_options": True})
    @click.argument("rest", nargs=-1)
    def command(rest: tuple[str, ...]) -> None:
        assert rest == tuple(arguments)
        raise error

    return boundary.run(command, list(arguments))


@pytest.mark.parametrize(
    ("error", "exit_code", "code"),
    [
        (errors.UsageError("m", "h"), 2, "usage"),
        (errors.AmbiguousModelError("a", ["a-1", "a-2"]), 2, "ambiguous_model"),
        (errors.ModelNotFoundError("m", "h"), 5, "model_not_found"),
        (errors.LibraryNotFoundError("m", "h"), 5, "library_not_found"),
        (errors.LibraryMovedError("m", "h"), 5, "library_moved"),
        (errors.NothingToUndoError("m", "h"), 5, "nothing_to_undo"),
        (errors.LibraryFormatError("m", "h"), 1, "library_format"),
        (errors.NewerLibraryError("m", "h"), 1, "library_format"),
        (errors.LibraryBusyError("m", "h"), 7, "library_busy"),
        (errors.ContentDamagedError("m", "h"), 6, "content_damaged"),
        (errors.SourceRefusedError("empty", "m", "h"), 1, "empty"),
        (errors.SourceRefusedError("no_space", "m", "h"), 8, "no_space"),
        (errors.CellarError("m", "h"), 1, "error"),
        (errors.SignInNeededError("m", "h"), 4, "sign_in_needed"),
        (errors.NetworkError("m", "h"), 9, "network"),
        (errors.OfflineError("m", "h"), 9, "offline"),
        (errors.HostUnavailableError("m", "h"), 9, "host_unavailable"),
        (errors.RateLimitedError("m", "h"), 9, "rate_limited"),
        (errors.AnswerRefusedError("m", "h"), 9, "answer_refused"),
        (OSError(errno.ENOSPC, "full", "/x"), 8, "no_space"),
        (OSError(errno.EDQUOT, "quota", "/x"), 8, "no_space"),
        (PermissionError(errno.EACCES, "denied", "/x"), 1, "permission_denied"),
        (FileNotFoundError(errno.ENOENT, "gone", "/x"), 1, "not_found"),
        (click.UsageError("m"), 2, "usage"),
        (click.ClickException("m"), 1, "error"),
        (KeyboardInterrupt(), 130, "cancelled"),
        (click.Abort(), 130, "cancelled"),
        (RuntimeError("m"), 1, "unexpected"),
    ],
    ids=repr,
)
def test_the_table(
    error: BaseException, exit_code: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(error, ["--json"]) == exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    told = json.loads(captured.err)["error"]
    assert told["code"] == code
    assert told["message"]
    assert run(error) == exit_code
    assert told["message"].splitlines()[0] in capsys.readouterr().err


def test_every_error_of_the_library_is_in_the_table() -> None:
    table = {
        errors.UsageError,
        errors.AmbiguousModelError,
        errors.ModelNotFoundError,
        errors.LibraryNotFoundError,
        errors.LibraryMovedError,
        errors.NothingToUndoError,
        errors.LibraryFormatError,
        errors.NewerLibraryError,
        errors.LibraryBusyError,
        errors.ContentDamagedError,
        errors.SourceRefusedError,
        errors.SignInNeededError,
        errors.NotPublishedError,
        errors.WrongContentError,
        errors.NetworkError,
        errors.OfflineError,
        errors.HostUnavailableError,
        errors.RateLimitedError,
        errors.AnswerRefusedError,
        errors.TransferBrokenError,
        errors.CellarError,
    }
    assert {getattr(errors, name) for name in errors.__all__} == table


def test_people_get_what_why_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    run(OSError(errno.EACCES, "Permission denied", "/some/file"))
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: /some/file: Permission denied"
    assert hint.startswith("  ")


def test_messages_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    run(errors.CellarError("bad \x1b[2J name", "hint\x07"))
    assert capsys.readouterr().err == "error: bad \\u001b[2J name\n  hint\\u0007\n"


def test_an_unexpected_error_leaves_its_traceback_in_a_file(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(ZeroDivisionError("oh no")) == ExitCode.FAILED
    told = capsys.readouterr().err
    assert told.startswith("error: unexpected error: ZeroDivisionError: oh no\n")
    assert "Traceback" not in told
    (log,) = (home / "state").rglob("error-*.txt")
    assert str(log) in told
    text = log.read_text()
    assert "Traceback" in text
    assert "ZeroDivisionError: oh no" in text
    assert text.startswith("cellar 0.")


def test_a_state_folder_that_cannot_be_written(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "state").write_text("a file is in the way")
    assert run(ZeroDivisionError("oh no")) == ExitCode.FAILED
    assert "no log could be written" in capsys.readouterr().err


def test_json_after_the_double_dash_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    @click.argument("rest", nargs=-1)
    def command(rest: tuple[str, ...]) -> None:
        raise errors.CellarError(" ".join(rest))

    assert boundary.run(command, ["--", "--json"]) == 1
    assert capsys.readouterr().err == "error: --json\n"


def test_what_a_command_returns_is_the_exit_code() -> None:
    @click.command()
    def partly() -> int:
        return ExitCode.PARTLY_DONE

    @click.command()
    def nothing() -> None:
        pass

    assert boundary.run(partly, []) == 3
    assert boundary.run(nothing, []) == 0
    assert boundary.run(nothing, ["--help"]) == 0
