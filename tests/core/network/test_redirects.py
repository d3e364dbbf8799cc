"""The rules of redirects, one by one."""

import pytest

from modelcellar.errors import AnswerRefusedError
from modelcellar.network.http import Request, Response
from modelcellar.network.redirects import follow, is_redirect, with_secrets
from modelcellar.network.secret import Secret

HUB = "https://hub.example/a/b?c=d"
GET = with_secrets(Request("get", HUB, {"Authorization": "Bearer x", "X-Own": "kept"}))


def to(location: str, status: int = 302) -> Response:
    return Response(status, HUB, {"location": location})


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/api/resolve-cache/x", "https://hub.example/api/resolve-cache/x"),
        ("c", "https://hub.example/a/c"),
        ("../c?d#e", "https://hub.example/c?d"),
        ("?q", "https://hub.example/a/b?q"),
        ("//cdn.example/x", "https://cdn.example/x"),
        ("https://cdn.example/x#y", "https://cdn.example/x"),
    ],
)
def test_relative_locations_are_joined(location: str, url: str) -> None:
    assert follow(GET, to(location)).url == url


def test_which_answers_are_redirects() -> None:
    found = [status for status in range(200, 600) if is_redirect(to("/x", status))]
    assert found == [301, 302, 303, 307, 308]
    assert not is_redirect(Response(302, HUB))


@pytest.mark.parametrize(
    "location",
    [
        "http://hub.example/x",
        "http://127.0.0.1/x",
        "http://localhost:8080/x",
        "//[::1/",
        "https://hub.example:x/",
        "data:text/plain,x",
        "https://user@hub.example/",
    ],
)
def test_where_a_host_out_there_may_not_send_us(location: str) -> None:
    with pytest.raises(AnswerRefusedError):
        follow(GET, to(location))


def test_an_answer_of_this_machine_may_lead_to_this_machine() -> None:
    request = Request("GET", "https://localhost:1/x")
    assert follow(request, to("http://127.0.0.1:2/y")).url == "http://127.0.0.1:2/y"


@pytest.mark.parametrize(
    ("location", "is_kept"),
    [
        ("/x", True),
        ("https://hub.example:443/x", True),
        ("https://HUB.example/x", True),
        ("https://hub.example:444/x", False),
        ("https://sub.hub.example/x", False),
        ("https://hub.example.evil.example/x", False),
    ],
)
def test_credentials_stay_with_their_origin(location: str, is_kept: bool) -> None:
    headers = follow(GET, to(location)).headers
    assert ("authorization" in headers) == is_kept
    assert headers["x-own"] == "kept"


def test_every_secret_header_is_a_credential() -> None:
    request = with_secrets(Request("GET", HUB, {"x-own-key": Secret("k"), "Cookie": "c"}))
    assert follow(request, to("https://cdn.example/")).headers == {}
    assert set(follow(request, to("/y")).headers) == {"x-own-key", "cookie"}


@pytest.mark.parametrize(
    ("method", "status", "wanted"),
    [
        ("POST", 301, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("HEAD", 303, "HEAD"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
    ],
)
def test_methods(method: str, status: int, wanted: str) -> None:
    request = follow(Request(method, HUB, json={"a": 1}), to("/x", status))
    assert request.method == wanted
    assert (request.json is None) == (wanted == "GET")
