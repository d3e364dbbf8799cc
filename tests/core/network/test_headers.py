"""What hosts say about quotas, well and badly."""

import pytest

from modelcellar.network.headers import Quota, parse_quotas, refused_for_s, retry_after_s

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
HUB = {
    "ratelimit": '"api";r=499;t=295',
    "ratelimit-policy": '"fixed window";"api";q=500;w=300',
}


def test_the_headers_of_the_hub() -> None:
    assert parse_quotas(HUB) == (Quota("api", 499, 295.0, 500, 300.0),)
    assert parse_quotas({"ratelimit": HUB["ratelimit"]}) == (Quota("api", 499, 295.0),)
    both = {"ratelimit": '"api";r=1;t=2, "pages" ; r=3 ; t=4'}
    assert [quota.bucket for quota in parse_quotas(both)] == ["api", "pages"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api;r=1;t=2",
        '"api";r=-1;t=5',
        '"api";t=5',
        '"api";r=1',
        "nonsense" * 10_000,
        '"a";r=٣;t=1',
    ],
)
def test_what_is_not_understood_is_no_quota(text: str) -> None:
    assert parse_quotas({"ratelimit": text}) == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("999999999", 86_400.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("Fri, 14 Nov 2225 22:00:00 GMT", 86_400.0),
        *((text, None) for text in ("", "soon", "-5", "1.5", "1e3", "٣", "9" * 100, "Tue, 99 Nov")),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": text}, NOW) == seconds


def test_no_header_at_all() -> None:
    assert retry_after_s({}, NOW) is None
    assert parse_quotas({}) == ()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"ratelimit": '"api";r=0;t=30'}, 31.0),
        ({"ratelimit": '"api";r=1;t=30'}, None),
        ({"ratelimit": '"api";r=0;t=30, "pages";r=0;t=90'}, 91.0),
        ({"ratelimit": '"api";r=0;t=30', "retry-after": "7"}, 7.0),
    ],
)
def test_how_long_a_refusal_is_for(headers: dict[str, str], seconds: float | None) -> None:
    assert refused_for_s(headers, NOW) == seconds
