"""What is known of the hosts, told without asking any of them."""

import asyncio
from pathlib import Path

from modelcellar.config import Settings, cache_folder
from modelcellar.hosts import network_status


def test_the_status_is_read_without_an_event_loop_and_without_the_cache(tmp_path: Path) -> None:
    async def main() -> None:
        status, *known = network_status(Settings(tmp_path))  # here a second loop would fail
        assert [one.origin for one in status.origins] == ["https://huggingface.co"]
        assert known == [0, 0]

    asyncio.run(main())
    assert not cache_folder().exists()
