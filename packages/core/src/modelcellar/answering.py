"""The look-ups beside an import: one event loop that takes what comes and answers it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial

from modelcellar.config import Settings
from modelcellar.hosts import Hosts, open_hosts
from modelcellar.identification import Identification, Question
from modelcellar.inbox import Ask, Inbox
from modelcellar.origins import Subject
from modelcellar.providers.local_records import claims_for
from modelcellar.questions import about_file
from modelcellar.records import FileRecord
from modelcellar.sources import SourceFile

__all__ = ["answer_all"]

log = logging.getLogger(__name__)


def answer_all(
    settings: Settings,
    inbox: Inbox,
    *,
    is_cancelled: Callable[[], bool],
    on_answer: Callable[[str, Sequence[Identification]], object],
) -> None:
    """Look up what comes into ``inbox`` until that is closed and all is answered, or cancelled.

    Args:
        settings: where the hosts are.
        inbox: the work.
        is_cancelled: asked whenever the inbox changes.
        on_answer: told of the answers about one source, in the order of its files.

    Raises:
        LibraryFormatError, OSError: the index of digests cannot be opened.
    """
    asyncio.run(_answer_all(settings, inbox, is_cancelled, on_answer))


async def _answer_all(
    settings: Settings,
    inbox: Inbox,
    is_cancelled: Callable[[], bool],
    on_answer: Callable[[str, Sequence[Identification]], object],
) -> None:
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody needs to know
            loop.call_soon_threadsafe(changed.set)

    inbox.attach(tell)
    async with open_hosts(settings) as hosts, _Tasks(changed) as tasks:
        waiting: list[Ask] = []
        answering: asyncio.Task[None] | None = None
        more = True
        while more or waiting or tasks.running:
            asks, more = inbox.take()
            waiting += [ask for ask in asks if ask.records]
            for ask in asks:
                if not ask.records:
                    tasks.start(_prepare(hosts, ask))
            # One at a time: what comes meanwhile is asked about together, in one call of Civitai.
            if waiting and (answering is None or answering.done()):
                answering = tasks.start(_answer(hosts, waiting, on_answer))
                waiting = []
            if is_cancelled():
                break
            if more or tasks.running:
                await changed.wait()
                changed.clear()


class _Tasks:
    """Tasks that set ``changed`` when they end, and are cancelled at the end of all."""

    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed
        self.running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "_Tasks":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Begin a piece of work."""
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a look-up failed: %r", error)


async def _prepare(hosts: Hosts, ask: Ask) -> None:
    """Bring the listings of the likeliest repositories in."""
    for file in ask.source.files:
        if not file.is_companion:
            size_bytes = file.stamp.size_bytes
            name = f"{ask.source.name}/{file.relative}"
            inspection = file.inspection
            subject = Subject(
                name, size_bytes, format=inspection.format.value, facts=inspection.facts
            )
            await hosts.identifier.prepare(subject)


async def _answer(
    hosts: Hosts,
    asks: Sequence[Ask],
    on_answer: Callable[[str, Sequence[Identification]], object],
) -> None:
    questions: list[Question] = []
    for ask in asks:
        # Reads what other tools wrote beside the files, and small files once more.
        questions += await asyncio.to_thread(_questions, ask)
    found = [hosts.identifier.known(question) for question in questions]
    places = [
        place for place, ask in enumerate(asks) for record in ask.records if not record.is_companion
    ]

    def tell(which: int) -> None:
        mine = [answer for place, answer in zip(places, found, strict=True) if place == which]
        on_answer(asks[which].key, mine)

    # What is known without a host is there even if none of them answers in time.
    for which in range(len(asks)):
        tell(which)

    def on_found(number: int, answer: Identification) -> None:
        found[number] = answer
        tell(places[number])

    await hosts.identifier.identify(questions, on_answer=on_found)


def _questions(ask: Ask) -> list[Question]:
    files = {file.relative: file for file in ask.source.files}
    return [
        _question(ask.source.name, files[record.path], record)
        for record in ask.records
        if not record.is_companion
    ]


def _question(model: str, file: SourceFile, record: FileRecord) -> Question:
    ask = partial(
        about_file,
        record=record,
        model=model,
        inspection=file.inspection,
        claims=claims_for(file.path),
    )
    try:
        return ask(file.path)
    except OSError:
        # A move is done with it already; what is known of it is enough for all but git's name.
        return ask(None)
