"""Bytes of any number over real connections on the loopback: what comes, and from where."""

import asyncio
import gzip
import logging
import socket
import threading
import traceback
from dataclasses import replace
from typing import Any, NoReturn

import pytest

import modelcellar
from modelcellar.download_records import Patience
from modelcellar.errors import AnswerRefusedError, HostUnavailableError, OfflineError
from modelcellar.network.bulk import Pace
from modelcellar.network.http import Request
from modelcellar.network.manager import NetworkManager
from modelcellar.network.secret import Secret
from tests.core.network.pulls import BIG, PATIENCE, SMALL, Got, act, assert_ours, broken, file_of
from tests.support.fake_hub import (
    Chunked,
    Cut,
    FakeHub,
    Fault,
    GzipAnyway,
    Longer,
    NoAnswer,
    Redirect,
    RedirectChain,
    Status,
    Token,
    Without,
)
from tests.support.fake_hub.faults import ERROR_PAGE
from tests.support.loopback import Answer, serve

TOKEN = "hf_CANARYcanaryCANARYcanary"


# --- what comes ---


def test_a_whole_file_over_a_redirect() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        got = Got()
        answer = await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == str(len(BIG))
        assert answer.url.startswith(fake.cdn_url)
        assert got.answers == [answer]
        assert len(got.threads) == 1
        assert threading.get_ident() not in got.threads

    fake = act(story)
    assert [entry.site for entry in fake.log.entries] == ["hub", "cdn"]


def test_a_small_file_over_a_relative_redirect_on_one_connection() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        for _ in range(3):
            got = Got()
            await manager.pull(file_of(fake, "config.json"), got, patience=PATIENCE)
            assert bytes(got.body) == SMALL

    log = act(story).log
    assert len(log.entries) == 6
    assert {entry.connection for entry in log.entries} == {1}


def test_a_range() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        got = Got()
        answer = await manager.pull(
            file_of(fake, range="bytes=1000-2000999"), got, patience=PATIENCE
        )
        assert answer.status == 206
        assert answer.headers["content-range"] == f"bytes 1000-2000999/{len(BIG)}"
        assert bytes(got.body) == BIG[1000:2001000]

    act(story)


def test_connections_are_used_again_by_the_next_transfer() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        for start in range(0, 2_000_000, 500_000):
            got = Got()
            part = file_of(fake, range=f"bytes={start}-{start + 499_999}")
            await manager.pull(part, got, patience=PATIENCE)
            assert bytes(got.body) == BIG[start : start + 500_000]

    log = act(story).log
    assert len(log.entries) == 8
    assert {(entry.site, entry.connection) for entry in log.entries} == {("hub", 1), ("cdn", 1)}


def test_a_connection_that_the_host_closed_meanwhile_is_not_used() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        await manager.pull(file_of(fake), Got(), patience=PATIENCE)
        with fake.chaos.refused("hub"), fake.chaos.refused("cdn"):
            pass
        got = Got()
        await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG

    act(story)


def test_many_at_the_same_time() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        gots = [Got() for _ in range(16)]
        size = len(BIG) // 16 + 1
        parts = [
            file_of(fake, range=f"bytes={number * size}-{(number + 1) * size - 1}")
            for number in range(16)
        ]
        calls = [
            manager.pull(part, got, patience=PATIENCE)
            for part, got in zip(parts, gots, strict=True)
        ]
        whole, *_ = await asyncio.gather(
            manager.request(file_of(fake)), *calls, manager.request(file_of(fake, "config.json"))
        )
        assert b"".join(bytes(got.body) for got in gots) == BIG
        assert whole.body == BIG

    act(story)


def test_the_body_is_handed_on_as_it_came() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(GzipAnyway(), host="cdn")
        got = Got()
        answer = await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(bytes(got.body)) == BIG

    log = act(story).log
    assert {entry.headers["accept-encoding"] for entry in log.entries} == {"identity"}


@pytest.mark.parametrize("fault", [Chunked(), Without("Content-Length")])
def test_a_body_without_a_length(fault: Fault) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(fault, host="cdn")
        got = Got()
        answer = await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert "content-length" not in answer.headers
        assert bytes(got.body) == BIG

    act(story)


@pytest.mark.parametrize("reset", [True, False])
def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure(reset: bool) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        await manager.pull(file_of(fake), Got(), patience=PATIENCE)
        fake.chaos.add(NoAnswer(reset=reset), host="hub", times=1)
        got = Got()
        await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG
        # One that fails on a fresh connection as well is one.
        fake.chaos.add(NoAnswer(reset=reset), host="hub", times=2)
        with pytest.raises(HostUnavailableError):
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)

    act(story)


def test_nothing_comes_after_the_length_that_was_said() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        for name, content in (("model.safetensors", BIG), ("config.json", SMALL)):
            rule = fake.chaos.add(Longer(), path=f"*{name}", times=None)
            got = Got()
            await manager.pull(file_of(fake, name), got, patience=PATIENCE)
            assert bytes(got.body) == content
            fake.chaos.remove(rule)
        got = Got()
        await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG

    act(story)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 416])
def test_what_the_host_refuses_is_for_the_receiver(status: int) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Status(status, headers={"X-Error-Code": "Some"}), times=None)
        for wants in (True, False) * 3:
            got = Got(wants)
            answer = await manager.pull(file_of(fake), got, patience=PATIENCE)
            assert (answer.status, answer.headers["x-error-code"]) == (status, "Some")
            assert got.answers == [answer]
            assert bytes(got.body) == (ERROR_PAGE.format(status).encode() if wants else b"")
        assert not manager.is_circuit_open(fake.hub_url)

    log = act(story).log
    assert {entry.connection for entry in log.entries} == {1}


def test_a_big_body_that_is_not_wanted_is_not_read() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        answer = await manager.pull(file_of(fake), Got(wants=False), patience=PATIENCE)
        assert answer.status == 200
        got = Got()
        await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG

    log = act(story).log
    assert [entry.connection for entry in log.of("cdn")] == [1, 2]
    assert [entry.connection for entry in log.of("hub")] == [1, 1]


def test_cookies_are_not_shown_to_anybody() -> None:
    async def main() -> None:
        answer = Answer(headers={"Set-Cookie": "id=1", "X-Own": "yes"}, body=SMALL)
        async with serve(lambda _: answer) as server, NetworkManager() as manager:
            got = Got()
            for _ in range(2):
                await manager.pull(Request("GET", server.origin), got, patience=PATIENCE)
            assert {"set-cookie", "x-own"} & got.answers[0].headers.keys() == {"x-own"}
            assert "cookie" not in server.received[1].headers
            agent = server.received[0].headers["user-agent"]
            assert agent.startswith(f"modelcellar/{modelcellar.__version__}; python/3.")

    asyncio.run(main())


def test_only_a_get_is_pulled() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        for request in (Request("HEAD", fake.hub_url), Request("GET", fake.hub_url, json={"a": 1})):
            with pytest.raises(ValueError, match="GET"):
                await manager.pull(request, Got(), patience=PATIENCE)

    assert not act(story).log.entries


# --- where it may lead ---


def test_what_is_secret_stays_with_its_origin(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.add_token(TOKEN, Token("somebody"))
        signed: dict[str, Any] = {"authorization": Secret(f"Bearer {TOKEN}"), "cookie": "id=1"}
        await manager.pull(file_of(fake, **signed), Got(), patience=PATIENCE)
        fake.chaos.add(Cut(10), host="cdn")
        error = await broken(manager, file_of(fake, **signed), Got())
        fake.chaos.add(NoAnswer(), host="cdn")
        with pytest.raises(HostUnavailableError) as caught:
            await manager.pull(file_of(fake, **signed), Got(), patience=PATIENCE)
        for one in (error, caught.value):
            assert "Signature" not in "".join(traceback.format_exception(one))

    log = act(story).log
    assert {entry.authorization for entry in log.of("hub")} == {f"Bearer {TOKEN}"}
    assert len(log.of("cdn")) == 3
    assert log.leaks == ()
    assert not [entry for entry in log.of("cdn") if "cookie" in entry.headers]
    assert TOKEN not in caplog.text
    assert "Signature" not in caplog.text


@pytest.mark.parametrize(
    ("location", "match"),
    [
        ("http://example.com/x", "not encrypted"),
        ("http://user:secret@127.0.0.1/x", "password"),
        ("//[::1/", "no address"),
        ("http://127.0.0.1:1/x?\x7fsecret", "not allowed"),
    ],
)
def test_redirects_that_are_not_followed(location: str, match: str) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Redirect(location))
        got = Got()
        with pytest.raises(AnswerRefusedError, match=match) as caught:
            await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert "secret" not in str(caught.value)
        assert not got.answers

    act(story)


def test_redirects_without_an_end() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(RedirectChain(), times=None)
        with pytest.raises(AnswerRefusedError, match="more than 10 redirects"):
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)

    assert len(act(story).log.entries) == 11


def test_a_redirect_that_is_not_to_be_followed_is_an_answer() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        request = replace(file_of(fake), follow_redirects=False)
        got = Got()
        answer = await manager.pull(request, got, patience=PATIENCE)
        assert answer.status == 302
        assert got.answers == [answer]

    assert len(act(story).log.entries) == 1


@pytest.mark.parametrize("url", ["http://example.com/x", "https://a:b@example.com/", "x"])
def test_addresses_that_are_not_asked(url: str) -> None:
    async def story(manager: NetworkManager, _: FakeHub) -> None:
        with pytest.raises(AnswerRefusedError):
            await manager.pull(Request("GET", url), Got(), patience=PATIENCE)

    act(story)


@pytest.mark.parametrize("header", ["two\r\nlines", "snow\u2603"])
def test_what_cannot_be_sent(header: str) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        with pytest.raises(AnswerRefusedError) as caught:
            await manager.pull(file_of(fake, x_own=header), Got(), patience=PATIENCE)
        assert "two" not in str(caught.value)
        assert_ours(caught.value)

    assert not act(story).log.entries


def test_offline() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        with pytest.raises(OfflineError):
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)

    assert not act(story, offline=True).log.entries


def test_hosts_that_are_not_found_mean_that_we_are_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main() -> None:
        first = Request("GET", "https://one.invalid/x")
        async with NetworkManager() as manager:
            with pytest.raises(HostUnavailableError) as caught:
                await manager.pull(first, Got(), patience=PATIENCE)
            assert caught.value.cause == "its name was not found"
            with pytest.raises(OfflineError):
                await manager.pull(Request("GET", "https://two.invalid/"), Got(), patience=PATIENCE)
            with pytest.raises(OfflineError):
                await manager.request(first)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    asyncio.run(main())


# --- the rate ---


def test_what_is_too_slow() -> None:
    pace = Pace(Patience(floor_bytes_per_s=100.0, window_s=10.0))
    assert not pace.note(999, 9.9)
    assert pace.note(0, 0.1)
    assert not pace.note(0, 9.9)  # another window
    assert not pace.note(1000, 0.1)
    assert pace.note(1999, 20.0)
    assert not pace.note(2000, 20.0)
