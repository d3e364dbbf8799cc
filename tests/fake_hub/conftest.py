"""What the tests of the fake share: a repository, and a client that takes answers as they come."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.fake_hub.contents import FILES
from tests.support.fake_hub import FakeHub, FakeRepo


@pytest.fixture
def toy(fake_hub: FakeHub) -> FakeRepo:
    """A published repository with files in LFS and others."""
    return fake_hub.add(
        FakeRepo(
            "acme/toy",
            FILES,
            card={"license": "mit"},
            base_model="acme/base",
            library_name="diffusers",
            pipeline_tag="text-to-image",
            scans={"text encoder/model.safetensors": "unsafe"},
            downloads=7,
        )
    )


@pytest.fixture
def client(fake_hub: FakeHub) -> Iterator[httpx.Client]:
    """A client of the Hub that follows nothing by itself and wants nothing compressed."""
    headers = {"Accept-Encoding": "identity"}
    # Nothing here is https, and reading the certificates takes longer than a whole test.
    with httpx.Client(
        base_url=fake_hub.hub_url, headers=headers, trust_env=False, verify=False
    ) as made:
        yield made


@pytest.fixture
def link(client: httpx.Client, toy: FakeRepo) -> Callable[[], str]:
    """A new signed link to the weights."""
    assert toy.sha

    def make() -> str:
        return client.head("/acme/toy/resolve/main/model.safetensors").headers["location"]

    return make
