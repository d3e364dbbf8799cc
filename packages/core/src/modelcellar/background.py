"""Look-ups beside an import: in a thread of their own, so that no host can slow the copy.

While files are copied the Hub is searched by their names, which fills the index of digests; when
their digests are known, that index has the answer at once. What has no answer when the import is
done, and shortly after, is left for ``cellar enrich``.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelcellar.config import Settings
from modelcellar.errors import CellarError
from modelcellar.inbox import Ask, Inbox
from modelcellar.records import FileRecord
from modelcellar.sources import Source

if TYPE_CHECKING:
    from modelcellar.identification import Identification

__all__ = ["BackgroundLookup"]

log = logging.getLogger(__name__)

MAX_PREPARED = 8
GRACE_S = 3.0
"""How long the end of an import waits for answers that are on their way."""


class BackgroundLookup:
    """Looks sources up in a thread that begins with the first of them."""

    def __init__(self, settings: Settings, *, grace_s: float = GRACE_S) -> None:
        self._settings = settings
        self._grace_s = grace_s
        self._inbox = Inbox()
        self._answers: dict[str, Sequence[Identification]] = {}
        self._thread: threading.Thread | None = None
        self._prepared = 0
        self._is_cancelled = threading.Event()
        self._done = threading.Event()

    def prepare(self, source: Source) -> None:
        """Look for the repositories of a source whose digests are not known yet.

        Done for the first few of a run only: of many, most are known by their digests alone.
        """
        self._prepared += 1
        if self._prepared <= MAX_PREPARED:
            self._put(Ask(source))

    def ask(self, source: Source, key: str, records: Sequence[FileRecord]) -> None:
        """Ask about the files of a source, whose digests are known now."""
        self._put(Ask(source, key, tuple(records)))

    def finish(self, *, is_cut_short: bool = False) -> Mapping[str, "Sequence[Identification]"]:
        """The answers, by key; waits a little for those on their way, and gives the others up.

        Args:
            is_cut_short: wait for none.

        Raises:
            KeyboardInterrupt: the user does not want to wait either.
        """
        if self._thread is None:
            return {}
        self._inbox.close()
        try:
            if not is_cut_short:
                self._done.wait(self._grace_s)
        finally:
            self._is_cancelled.set()
            self._inbox.close()  # it looks at once whether it is to go on
        return dict(self._answers)

    def _put(self, ask: Ask) -> None:
        if self._thread is None:
            # A daemon, so that a host that hangs keeps no command from ending.
            self._thread = threading.Thread(target=self._run, name="cellar-lookup", daemon=True)
            self._thread.start()
        self._inbox.put(ask)

    def _run(self) -> None:
        # Loaded here, while the copy is under way: it takes a tenth of a second.
        from modelcellar.answering import answer_all

        try:
            answer_all(
                self._settings,
                self._inbox,
                is_cancelled=self._is_cancelled.is_set,
                on_answer=self._answers.__setitem__,
            )
        except (CellarError, OSError) as error:
            # An import does not fail because nobody could be asked.
            log.warning("origins are not looked up: %s", error)
        finally:
            self._done.set()
