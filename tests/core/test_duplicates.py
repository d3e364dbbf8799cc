"""Which sources may have a twin, while others are still on their way into the library."""

import shutil
from pathlib import Path

from modelcellar import ModelLibrary
from modelcellar.duplicates import Duplicates
from modelcellar.io.manager import IoManager
from modelcellar.sources import Source, find_sources
from modelcellar.tally import Tally
from tests.support.models import write_gguf


def test_what_is_still_on_its_way_is_not_forgotten_with_what_has_arrived(
    library: ModelLibrary, source_folder: Path
) -> None:
    arrived = write_gguf(source_folder / "arrived.gguf", seed=1)
    waiting = write_gguf(source_folder / "waiting.gguf", seed=2)
    twin = source_folder / "twin.gguf"
    shutil.copyfile(waiting, twin)
    found = find_sources([arrived, waiting, twin], as_one=False, exclude=library.path)
    sources = {one.path.name: one for one in found if isinstance(one, Source)}
    duplicates = Duplicates(library._books, Tally(None, None), IoManager())
    duplicates.remember(sources["arrived.gguf"])
    duplicates.remember(sources["waiting.gguf"])
    duplicates.forget(sources["arrived.gguf"])
    assert set(duplicates.digests([sources["twin.gguf"]])) == {0}
    duplicates.forget(sources["waiting.gguf"])
    assert duplicates.digests([sources["twin.gguf"]]) == {}
