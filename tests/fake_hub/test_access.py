"""Refusals with their codes, tokens, and rate limits."""

import httpx
import pytest

from tests.fake_hub.contents import FILES
from tests.support.fake_hub import FakeHub, FakeRepo, Token

READER, STRANGER, NOBODY = "hf_reader", "hf_stranger", "hf_nobody"
OPEN = frozenset({"acme/secret", "acme/gated"})
API = "/api/models/{}"
FILE = "/{}/resolve/main/model.safetensors"


@pytest.fixture(autouse=True)
def accounts(fake_hub: FakeHub, toy: FakeRepo) -> None:
    """Repositories of each kind, a token that opens them and one that does not."""
    assert toy.repo_id == "acme/toy"
    fake_hub.add(FakeRepo("acme/secret", FILES, private=True))
    fake_hub.add(FakeRepo("acme/gated", FILES, gated="manual"))
    fake_hub.add(FakeRepo("acme/off", FILES, disabled=True))
    fake_hub.add_token(READER, Token("reader", may_read=OPEN))
    fake_hub.add_token(STRANGER)


def ask(client: httpx.Client, path: str, token: str | None = None) -> httpx.Response:
    return client.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})


@pytest.mark.parametrize(
    ("path", "token", "status", "code"),
    [
        (API.format("acme/none"), None, 401, None),
        (API.format("acme/secret"), None, 401, None),
        (API.format("acme/none"), STRANGER, 404, "RepoNotFound"),
        (API.format("acme/secret"), STRANGER, 404, "RepoNotFound"),
        (API.format("acme/secret"), READER, 200, None),
        (FILE.format("acme/none"), None, 401, None),
        (FILE.format("acme/none"), STRANGER, 404, "RepoNotFound"),
        (FILE.format("acme/secret"), READER, 302, None),
        (API.format("acme/gated"), None, 200, None),
        (API.format("acme/gated") + "/tree/main", None, 200, None),
        (FILE.format("acme/gated"), None, 401, "GatedRepo"),
        (FILE.format("acme/gated"), NOBODY, 401, "GatedRepo"),
        (FILE.format("acme/gated"), STRANGER, 403, "GatedRepo"),
        (FILE.format("acme/gated"), READER, 302, None),
        (API.format("acme/toy"), NOBODY, 401, None),
        (FILE.format("acme/off"), STRANGER, 403, None),
        (FILE.format("acme/toy") + ".txt", None, 404, "EntryNotFound"),
        ("/acme/toy/resolve/nowhere/config.json", None, 404, "RevisionNotFound"),
        ("/acme/toy/resolve/n%C3%A9%0D%0A/config.json", None, 404, "RevisionNotFound"),
    ],
)
def test_who_may_see_what(
    client: httpx.Client, path: str, token: str | None, status: int, code: str | None
) -> None:
    answer = ask(client, path, token)
    assert (answer.status_code, answer.headers.get("X-Error-Code")) == (status, code)
    if status >= 400:
        assert answer.json() == {"error": answer.headers["X-Error-Message"]}


def test_messages(fake_hub: FakeHub, client: httpx.Client) -> None:
    missing = ask(client, API.format("acme/none"))
    assert missing.json() == {"error": "Invalid username or password."}
    invalid = ask(client, API.format("acme/toy"), NOBODY)
    assert invalid.headers["X-Error-Message"] == "Invalid credentials in Authorization header"
    off = ask(client, FILE.format("acme/off"))
    assert off.headers["X-Error-Message"] == "Access to this resource is disabled."
    fake_hub.access.disabled_status = 401
    assert ask(client, FILE.format("acme/off")).headers["X-Error-Code"] == "GatedRepo"


def test_a_missing_file_comes_with_the_commit(client: httpx.Client, toy: FakeRepo) -> None:
    answer = ask(client, "/acme/toy/resolve/main/none")
    assert answer.headers["X-Repo-Commit"] == toy.sha


def test_private_repositories_are_listed_for_their_readers(client: httpx.Client) -> None:
    def listed(token: str | None) -> set[str]:
        return {model["id"] for model in ask(client, "/api/models", token).json()}

    assert listed(None) == {"acme/toy", "acme/gated"}
    assert listed(STRANGER) == listed(None)
    assert listed(READER) == {"acme/toy", "acme/gated", "acme/secret"}


def limit(answer: httpx.Response) -> str:
    return answer.headers["RateLimit"]


def test_every_answer_says_what_is_left(client: httpx.Client) -> None:
    first = ask(client, API.format("acme/toy"))
    assert limit(first) == '"api";r=499;t=300'
    assert first.headers["RateLimit-Policy"] == '"fixed window";"api";q=500;w=300'
    assert limit(ask(client, API.format("acme/none"))) == '"api";r=498;t=300'
    assert limit(ask(client, FILE.format("acme/toy"))) == '"resolvers";r=2999;t=300'
    small = ask(client, "/acme/toy/resolve/main/config.json")
    assert limit(small) == '"resolvers";r=2998;t=300'
    assert limit(ask(client, small.headers["location"])) == '"resolvers";r=2997;t=300'
    assert limit(ask(client, "/acme/toy")) == '"pages";r=99;t=300'
    assert limit(ask(client, "/nothing/here/at/all")) == '"pages";r=98;t=300'


def test_a_token_has_a_quota_of_its_own(fake_hub: FakeHub, client: httpx.Client) -> None:
    fake_hub.add_token("hf_pro", Token("rich", plan="pro"))
    path = API.format("acme/toy")
    answers = [ask(client, path, token) for token in (None, READER, "hf_pro", READER, NOBODY)]
    assert [limit(answer) for answer in answers] == [
        '"api";r=499;t=300',
        '"api";r=999;t=300',
        '"api";r=2499;t=300',
        '"api";r=998;t=300',
        '"api";r=498;t=300',
    ]


def test_windows_are_fixed(fake_hub: FakeHub, client: httpx.Client) -> None:
    fake_hub.hub.limits.quotas["anonymous"]["api"] = 2
    path = API.format("acme/toy")
    fake_hub.clock.advance(199.5)
    assert limit(ask(client, path)) == '"api";r=1;t=101'
    assert ask(client, path).status_code == 200
    over = ask(client, path)
    assert (over.status_code, limit(over)) == (429, '"api";r=0;t=101')
    assert "HF_TOKEN" in over.text
    assert "X-Error-Code" not in over.headers
    assert "Retry-After" not in over.headers
    assert ask(client, FILE.format("acme/toy")).status_code == 302
    fake_hub.clock.advance(100)
    assert ask(client, path).status_code == 429
    fake_hub.clock.advance(0.5)
    again = ask(client, path)
    assert (again.status_code, limit(again)) == (200, '"api";r=1;t=300')


def test_a_clock_that_runs(fake_hub: FakeHub, client: httpx.Client) -> None:
    before = fake_hub.clock.now()
    assert fake_hub.clock.now() == before
    fake_hub.clock.run()
    while fake_hub.clock.now() == before:
        pass
    fake_hub.clock.set(before + 100)
    assert 150 < int(limit(ask(client, API.format("acme/toy"))).rpartition("=")[2]) <= 200
    fake_hub.clock.stop()
    assert fake_hub.clock.now() == fake_hub.clock.now()
