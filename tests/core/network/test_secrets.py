"""A token goes to the one host it is for, and shows itself nowhere."""

import asyncio
import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelcellar.errors import CellarError
from modelcellar.network.http import Request, Response
from modelcellar.network.manager import NetworkManager
from modelcellar.network.secret import Secret
from modelcellar.network.tokens import authorization_for, read_hub_token
from modelcellar.network.transport import HttpTransport
from tests.support.http2 import IS_SERVER, serve_http2
from tests.support.loopback import Answer, Handler, Loopback, Received, certificate, serve

CANARY = "hf_CANARYcanaryCANARYcanary"
LOGGERS = ("", "httpx", "httpcore", "hpack", "hpack.hpack", "h2", "asyncio", "modelcellar")


class Spy(logging.Handler):
    """Everything that is logged anywhere, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not IS_SERVER.get():
            self.texts += [self.format(record), repr(record.args), repr(record.__dict__)]


@pytest.fixture
def spy() -> Iterator[Spy]:
    spy = Spy()
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(spy)
    yield spy
    logging.getLogger().removeHandler(spy)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    assert not [text for text in spy.texts if CANARY in text or CANARY[8:20] in text]


def shown(error: BaseException) -> str:
    """All that an error and those it came from can show of themselves."""
    texts = ["".join(traceback.format_exception(error))]
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None:
            texts += [str(one), repr(one), repr(one.args), repr(vars(one))]
            # A debugger or a reporter of crashes looks at these too.
            request = getattr(one, "request", None)
            texts.append(repr(dict(request.headers.items())) if request is not None else "")
            todo += [one.__cause__, one.__context__]
    return "\n".join(texts)


def ask(
    start: str, token: str = CANARY, *, transport: HttpTransport | None = None, method: str = "GET"
) -> "asyncio.Future[Response | CellarError]":
    async def run() -> Response | CellarError:
        headers = authorization_for(start, Secret(token), endpoint=start)
        async with NetworkManager(transport=transport, sleep=lambda _: asyncio.sleep(0)) as manager:
            try:
                return await manager.request(Request(method, start, {**headers, "X-Own": "kept"}))
            except CellarError as error:
                found = error
            assert CANARY not in shown(found)
            return found

    return asyncio.ensure_future(run())


def token_in(request: Received) -> bool:
    return any(CANARY in value for value in request.headers.values()) or CANARY in request.target


def redirects(**paths: str) -> Handler:
    """``/status-path`` leads to what ``paths`` say; everything else is a page."""

    def handle(request: Received) -> Answer:
        name, _, status = request.target.strip("/").partition("-")
        if name in paths:
            return Answer(int(status or 302), {"Location": paths[name]})
        return Answer(body=b"here")

    return handle


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.usefixtures("spy")
def test_a_redirect_on_the_same_host_keeps_the_token(status: int) -> None:
    async def main() -> Loopback:
        async with serve(redirects(go="/there?q=1")) as hub:
            answer = await ask(f"{hub.origin}/go-{status}")
            assert isinstance(answer, Response)
            assert answer.url == f"{hub.origin}/there?q=1"
            return hub

    hub = asyncio.run(main())
    assert [request.target for request in hub.received] == [f"/go-{status}", "/there?q=1"]
    assert all(token_in(request) for request in hub.received)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("other", ["127.0.0.1", "localhost"])
@pytest.mark.usefixtures("spy")
def test_another_port_or_host_gets_no_token(status: int, other: str) -> None:
    async def main() -> tuple[Loopback, Loopback]:
        async with (
            serve(lambda _: Answer(body=b"bytes"), host=other) as cdn,
            serve(redirects(go=f"{cdn.origin}/file")) as hub,
        ):
            answer = await ask(f"{hub.origin}/go-{status}")
            assert isinstance(answer, Response)
            assert answer.body == b"bytes"
            return hub, cdn

    hub, cdn = asyncio.run(main())
    assert token_in(hub.received[0])
    assert len(cdn.received) == 1
    assert not token_in(cdn.received[0])
    assert "authorization" not in cdn.received[0].headers
    assert cdn.received[0].headers["x-own"] == "kept"


@pytest.mark.usefixtures("spy")
def test_another_name_of_the_same_host_gets_no_token() -> None:
    async def main() -> Loopback:
        async with serve(lambda _: Answer()) as hub:
            hub.handler = redirects(go=f"http://localhost:{hub.port}/there")
            await ask(f"{hub.origin}/go")
            return hub

    first, second = asyncio.run(main()).received
    assert token_in(first)
    assert not token_in(second)


@pytest.mark.usefixtures("spy")
def test_a_token_that_was_dropped_does_not_come_back() -> None:
    async def main() -> tuple[Loopback, Loopback]:
        async with serve(lambda _: Answer()) as hub, serve(lambda _: Answer()) as cdn:
            hub.handler = redirects(go=f"{cdn.origin}/go")
            cdn.handler = redirects(go=f"{hub.origin}/end")
            answer = await ask(f"{hub.origin}/go")
            assert isinstance(answer, Response)
            return hub, cdn

    hub, cdn = asyncio.run(main())
    assert [token_in(request) for request in hub.received] == [True, False]
    assert [token_in(request) for request in cdn.received] == [False]


@pytest.mark.usefixtures("spy")
def test_from_https_to_http_on_this_machine_the_token_stays_behind(tmp_path: Path) -> None:
    server_tls, client_tls = certificate(tmp_path)

    async def main() -> tuple[Loopback, Loopback]:
        async with (
            serve(lambda _: Answer(body=b"plain")) as plain,
            serve(redirects(go=f"{plain.origin}/x"), host="localhost", tls=server_tls) as hub,
        ):
            transport = HttpTransport(trust=client_tls)
            answer = await ask(f"{hub.origin}/go", transport=transport)
            assert isinstance(answer, Response)
            assert answer.body == b"plain"
            return hub, plain

    hub, plain = asyncio.run(main())
    assert token_in(hub.received[0])
    assert not token_in(plain.received[0])


@pytest.mark.parametrize(
    "target",
    [
        "http://hub.example/x",
        "ftp://hub.example/x",
        "file:///etc/passwd",
        "https://me:word@hub.example/",
        "https://hub.example:99999/",
        "javascript:alert(1)",
    ],
)
@pytest.mark.usefixtures("spy")
def test_where_no_redirect_is_followed_to(target: str) -> None:
    async def main() -> Loopback:
        async with serve(redirects(go=target)) as hub:
            error = await ask(f"{hub.origin}/go")
            assert isinstance(error, CellarError)
            assert error.code == "answer_refused"
            return hub

    assert len(asyncio.run(main()).received) == 1


@pytest.mark.usefixtures("spy")
def test_circles_and_chains_end() -> None:
    def endless(request: Received) -> Answer:
        return Answer(302, {"Location": f"/{int(request.target.strip('/') or 0) + 1}"})

    async def main() -> tuple[Loopback, Loopback]:
        async with serve(redirects(a="/b", b="/a")) as circle, serve(endless) as chain:
            for server, path in ((circle, "/a"), (chain, "/0")):
                error = await ask(f"{server.origin}{path}")
                assert isinstance(error, CellarError)
                assert error.code == "answer_refused"
            return circle, chain

    circle, chain = asyncio.run(main())
    assert len(circle.received) == 2
    assert len(chain.received) == 1 + 10


@pytest.mark.usefixtures("spy")
def test_a_post_becomes_a_get_where_the_web_says_so() -> None:
    async def main() -> Loopback:
        async with serve(redirects(go="/there")) as hub:
            for status in (301, 302, 303, 307, 308):
                await ask(f"{hub.origin}/go-{status}", method="POST")
            return hub

    methods = [one.method for one in asyncio.run(main()).received if one.target == "/there"]
    assert methods == ["GET", "GET", "GET", "POST", "POST"]


@pytest.mark.parametrize("answer", [Answer(500), Answer(429), Answer(401), Answer(200, cut_to=0)])
@pytest.mark.usefixtures("spy")
def test_no_failure_shows_the_token(answer: Answer) -> None:
    answer = dataclasses.replace(answer, body=b"denied")

    async def main() -> None:
        async with serve(lambda _: answer) as hub:
            result = await ask(f"{hub.origin}/x?token={CANARY}")
            assert CANARY not in repr(result)

    asyncio.run(main())


@pytest.mark.parametrize("token", [f"{CANARY}\r\nX: y", f"{CANARY}\u2603"])
@pytest.mark.usefixtures("spy")
def test_a_token_that_no_header_can_carry(token: str) -> None:
    async def main() -> None:
        async with serve(lambda _: Answer()) as hub:
            error = await ask(f"{hub.origin}/x", token)
            assert isinstance(error, CellarError)
            assert hub.received == []

    asyncio.run(main())


@pytest.mark.usefixtures("spy")
def test_http2_writes_no_token_into_the_log(tmp_path: Path) -> None:
    server_tls, client_tls = certificate(tmp_path)
    received: list[dict[str, str]] = []

    async def main() -> None:
        async with serve_http2(server_tls, received) as port:
            transport = HttpTransport(trust=client_tls)
            await ask(f"https://localhost:{port}/x", transport=transport)

    asyncio.run(main())
    assert received[0]["authorization"] == f"Bearer {CANARY}"


@pytest.mark.usefixtures("spy")
def test_a_bare_header_is_as_secret_as_any() -> None:
    async def main() -> tuple[Loopback, Loopback]:
        async with (
            serve(lambda _: Answer()) as cdn,
            serve(redirects(go=f"{cdn.origin}/x")) as hub,
            NetworkManager() as manager,
        ):
            headers = {"AUTHORIZATION": f"Bearer {CANARY}", "Cookie": f"id={CANARY}"}
            request = Request("GET", f"{hub.origin}/go", headers)
            assert CANARY not in repr(request)
            await manager.request(request)
            return hub, cdn

    hub, cdn = asyncio.run(main())
    assert token_in(hub.received[0])
    assert not token_in(cdn.received[0])


# --- the value ---


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret(CANARY)
    texts = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>30}",
        str.format("{}", secret),
        repr([secret]),
    ]
    assert not [text for text in texts if CANARY in text]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not written"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        vars(secret)
    assert copy.deepcopy({"a": secret})["a"] is secret
    assert copy.copy(secret) is secret
    assert secret.reveal() == CANARY
    assert CANARY not in repr(secret.prefixed("Bearer "))
    assert (secret == Secret(CANARY), secret == Secret("x"), secret == CANARY) == (
        True,
        False,
        False,
    )
    assert len({secret, Secret(CANARY)}) == 1
    assert not Secret("")


# --- where tokens are found ---


def test_the_order_of_places(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f" {CANARY}-home \n")
    (tmp_path / "other").write_text(f"{CANARY}-path\n")
    environ = {"HF_HOME": str(tmp_path)}
    found = []
    for name, value in (
        ("", ""),
        ("HF_TOKEN_PATH", str(tmp_path / "other")),
        ("HUGGING_FACE_HUB_TOKEN", f"{CANARY}-old"),
        ("HF_TOKEN", f"{CANARY}-new "),
        ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
    ):
        environ |= {name: value} if name else {}
        token = read_hub_token(environ)
        found.append(token and token.reveal().removeprefix(CANARY))
    assert found == ["-home", "-path", "-old", "-new", None]


def test_the_cache_folder_when_nothing_is_set(home: Path) -> None:
    for environ in ({}, {"XDG_CACHE_HOME": str(home / "elsewhere")}):
        assert read_hub_token(environ) is None
        folder = Path(environ.get("XDG_CACHE_HOME", home / ".cache")) / "huggingface"
        folder.mkdir(parents=True)
        (folder / "token").write_text(CANARY)
        assert read_hub_token(environ) == Secret(CANARY)


@pytest.mark.parametrize("text", [f"{CANARY} {CANARY}", f"{CANARY}\nx", f"{CANARY}é", "x" * 5000])
def test_what_is_no_token_is_not_used(text: str, spy: Spy) -> None:
    assert read_hub_token({"HF_TOKEN": text}) is None
    assert any("HF_TOKEN" in one for one in spy.texts)


def test_a_token_file_that_is_a_folder_or_empty(tmp_path: Path) -> None:
    assert read_hub_token({"HF_TOKEN_PATH": str(tmp_path)}) is None
    (tmp_path / "empty").touch()
    assert read_hub_token({"HF_TOKEN_PATH": str(tmp_path / "empty")}) is None


@pytest.mark.parametrize(
    ("url", "is_sent"),
    [
        ("https://huggingface.co/api/models", True),
        ("https://HUGGINGFACE.co:443/x", True),
        ("http://huggingface.co/x", False),
        ("https://huggingface.co:8443/x", False),
        ("https://huggingface.co.evil.example/x", False),
        ("https://cdn.huggingface.co/x", False),
        ("https://evil.example/huggingface.co", False),
        ("https://huggingface.co@evil.example/", False),
        ("https://huggingface.co:port/", False),
        ("huggingface.co", False),
    ],
)
def test_whom_the_token_is_for(url: str, is_sent: bool) -> None:
    headers = authorization_for(url, Secret(CANARY), endpoint="https://huggingface.co")
    assert bool(headers) == is_sent
    if is_sent:
        assert headers["authorization"].reveal() == f"Bearer {CANARY}"
    assert authorization_for(url, None, endpoint="https://huggingface.co") == {}
