"""How far long work is, on standard error: a bar on a terminal, else one line a minute."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from modelcellar_cli.options import Options
from modelcellar_cli.output import human_size, is_plain_terminal, show_text

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from modelcellar.reports import Progress

__all__ = ["ProgressTalk"]

LINE_EVERY_S = 60.0
SPEED_OVER_S = 10.0


class ProgressTalk:
    """Tells about work while it is entered; call it with each ``Progress``.

    With ``--json`` or without a terminal there is no bar, with ``--quiet`` nothing at all. ``last``
    is what was told last.
    """

    def __init__(self, options: Options, *, clock: Callable[[], float] = time.monotonic) -> None:
        terminal = is_plain_terminal(sys.stderr)
        self._bar = _bar() if terminal and not (options.quiet or options.json) else None
        self._silent = options.quiet or options.json
        self._clock = clock
        self._before = 0
        self.last: Progress | None = None
        self._started_s = self._last_line_s = clock()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._bar.add_task("looking", total=None, files="", current="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: "Progress") -> None:
        """Show the state of the work."""
        self.last = progress
        if self._bar is not None:
            # Rich takes every growth for speed but that which it is not told of as an update.
            self._bar.tasks[0].completed += progress.bytes_before - self._before
            self._before = progress.bytes_before
            self._bar.update(
                self._bar.task_ids[0],
                description=progress.phase,
                completed=progress.bytes_done,
                total=progress.bytes_total or None,
                files=f"{progress.files_done}/{progress.files_total}",
                current=show_text(progress.current),
            )
        elif not self._silent and self._clock() - self._last_line_s >= LINE_EVERY_S:
            self._last_line_s = self._clock()
            sys.stderr.write(_line(progress, self._last_line_s - self._started_s) + "\n")
            sys.stderr.flush()


def _line(progress: "Progress", seconds: float) -> str:
    speed = (progress.bytes_done - progress.bytes_before) / seconds if seconds > 0 else 0.0
    parts = [f"{progress.phase}: {progress.files_done}/{progress.files_total}"]
    if progress.bytes_total:
        parts.append(f"{human_size(progress.bytes_done)} of {human_size(progress.bytes_total)}")
    else:
        parts.append(human_size(progress.bytes_done))
    parts.append(f"{human_size(round(speed))}/s")
    if progress.bytes_total and speed:
        parts.append(f"about {(progress.bytes_total - progress.bytes_done) / speed:.0f} s left")
    return ", ".join(parts)


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as SpeedColumn
    from rich.table import Column

    def text(template: str, *, wide: bool = False) -> TextColumn:
        # No markup: a file name with [brackets] is not an instruction.
        column = Column(ratio=1, no_wrap=True, overflow="ellipsis") if wide else None
        return TextColumn(template, markup=False, table_column=column)

    columns = (
        text("{task.description}"),
        text("{task.fields[files]}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        SpeedColumn(),
        TimeRemainingColumn(),
        text("{task.fields[current]}", wide=True),
    )
    return Progress(
        *columns,
        console=Console(stderr=True),
        speed_estimate_period=SPEED_OVER_S,
        transient=True,
        # Rich would send what is written to standard output to this console as well.
        redirect_stdout=False,
        expand=True,
    )
