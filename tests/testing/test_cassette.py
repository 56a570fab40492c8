"""What a cassette keeps, and how it finds it again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.secrets import Headers
from llmkit.testing.cassette import Cassette, Exchanged, asked_of, response_of
from llmkit.testing.scrubbing import secrets_in
from llmkit.transport.base import HttpRequest, TransportError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


def request(url: str = "https://api.example.com/v1/chat", body: bytes = b"{}", **headers: str) -> HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(method="POST", url=url, headers=Headers(named), body=body)


def exchanged(asked: HttpRequest, body: bytes = b"{}", **facts: object) -> Exchanged:
    return Exchanged(asked=asked_of(asked, ()), status=200, body=body, **facts)  # type: ignore[arg-type]


@given(pieces=st.lists(st.binary(max_size=6), max_size=8), body=st.binary(max_size=20))
def test_a_cassette_comes_back_from_its_file_as_it_was(pieces: list[bytes], body: bytes) -> None:
    """Pieces byte for byte, whatever is in them."""
    cassette = Cassette()
    cassette.add(exchanged(request(body=body), pieces=pieces), ())

    again = Cassette.loads(cassette.dumps(), "x")

    assert pieces == list(again.exchanges[0].pieces or ())
    assert cassette.exchanges[0].asked == again.exchanges[0].asked


@given(value=JSON)
def test_a_body_of_json_says_the_same_afterwards(value: object) -> None:
    """It may be written otherwise, since it is kept readable."""
    cassette = Cassette()
    cassette.add(exchanged(request(), json.dumps(value).encode()), ())

    (again,) = Cassette.loads(cassette.dumps(), "x").exchanges

    assert value == json.loads(response_of(again).body or b"{}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (request(body=b'{"a": 1, "b": [2]}'), request(body=b'{"b":[2],"a":1}')),
        (request("https://x.example/v1?b=2&a=1"), request("https://x.example/v1?a=1&b=2")),
        (request(authorization="Bearer one"), request(authorization="Bearer another")),
        (request("https://x.example/v1?key=first-0123456789"), request("https://x.example/v1?key=second-0123456789")),
        (request(body=b'{"api_key": "first"}'), request(body=b'{"api_key": "second"}')),
    ],
)
def test_what_does_not_count_is_no_difference(one: HttpRequest, other: HttpRequest) -> None:
    """The order of names, and who asks."""
    assert asked_of(one, secrets_in(one)).key == asked_of(other, secrets_in(other)).key


@pytest.mark.parametrize(
    "other",
    [
        request("https://api.example.com/v2/chat"),
        request(body=b'{"a": 2}'),
        request(body=b"[]"),
        request(body=b""),
        HttpRequest(method="GET", url="https://api.example.com/v1/chat", body=b'{"a": 1}'),
    ],
)
def test_what_counts_is_a_difference(other: HttpRequest) -> None:
    """Method, address, body; the error names it."""
    cassette = Cassette(exchanges=[exchanged(request(body=b'{"a": 1}'))])

    with pytest.raises(TransportError, match="The nearest is number 1") as caught:
        cassette.take(asked_of(other, ()))

    assert "config" == caught.value.kind


def test_one_and_true_are_two_things() -> None:
    """Python holds them for equal; a provider does not."""
    cassette = Cassette(exchanges=[exchanged(request(body=b'{"a": 1}'))])

    with pytest.raises(TransportError, match=r"\$\.a is 1, not true"):
        cassette.take(asked_of(request(body=b'{"a": true}'), ()))


def test_the_nearest_is_the_one_with_the_fewest_differences() -> None:
    """Else the error would lead astray."""
    near, far = request(body=b'{"a": 1, "b": 2, "c": 3}'), request(body=b'{"x": 1}')
    cassette = Cassette(exchanges=[exchanged(far), exchanged(near)])

    with pytest.raises(TransportError, match=r"number 2.* where \$\.c is 3, not 4\."):
        cassette.take(asked_of(request(body=b'{"a": 1, "b": 2, "c": 4}'), ()))


def test_headers_that_tell_whose_account_it_is_are_not_kept() -> None:
    """Nor those that say how an answer travelled."""
    cassette = Cassette()
    headers = {"Set-Cookie": "a=b", "openai-organization": "acme", "content-encoding": "gzip", "x-request-id": "req_1"}
    cassette.add(exchanged(request(), headers=headers), ())

    assert {"x-request-id": "req_1"} == cassette.exchanges[0].headers


def test_what_looks_like_a_secret_by_its_name_only_in_an_address_stays_in_a_body() -> None:
    """A token is also a piece of text, and a key a name."""
    body = b'{"token": "Hel", "key": "value", "client_secret": "abc"}'

    asked = asked_of(request(body=body), ())

    assert {"json": {"token": "Hel", "key": "value", "client_secret": "***"}} == asked.body


def test_a_secret_across_two_pieces_is_found() -> None:
    """The network cuts where it likes; then it counts more that it is gone than where it was cut."""
    cassette = Cassette()
    cassette.add(exchanged(request(), pieces=[b"key: sk-01", b"234567, and", b" more"]), ["sk-01234567"])

    assert [b"key: ***, and more"] == cassette.exchanges[0].pieces
