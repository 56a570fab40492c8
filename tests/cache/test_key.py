"""Two calls have one key if what they send is the same, and from the same account; else never."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmkit import Client, LLMKitError
from llmkit.auth.databricks import databricks_tokens
from llmkit.auth.entra import EntraSource
from llmkit.auth.google import GoogleCredentials
from llmkit.auth.snowflake import KeyPair
from llmkit.auth.tokens import GivenToken, RenewedToken
from llmkit.cache.key import IGNORED, Keys, _question
from llmkit.call import Call
from llmkit.models.response import CompletionResponse
from llmkit.secrets import Headers, Secret
from llmkit.transport.settings import TransportSettings

KEYS = Keys(b"s" * 32)

# Requests as users write them; small alphabets, so that many pairs are nearly the same.
words = st.sampled_from(["a", "b", "a b", "ab", "", "é", '"', "\n"])
numbers = st.sampled_from([0, 1, 1.0, True, False, 2, 0.5, None, "1"])
values = st.recursive(numbers | words, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2), max_leaves=4)
tools = st.builds(
    lambda name, description: {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": {"type": "object", "properties": {}}},
    },
    st.sampled_from(["f", "g"]),
    words,
)
messages = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content}, st.sampled_from(["user", "assistant"]), st.sampled_from("abc")),
    min_size=1,
    max_size=3,
)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.0, 1, 1.0, 0.5]),
        "max_tokens": st.sampled_from([1, 2]),
        "stop": st.sampled_from(["a", "b", ["a", "b"], ["ab"]]),
        "seed": st.integers(0, 2),
        "user": st.sampled_from(["a", "b"]),
        "tools": st.lists(tools, min_size=1, max_size=2, unique_by=lambda tool: tool["function"]["name"]),
        "response_format": st.sampled_from(
            ["json", {"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {"b": {}}}]
        ),
        "extra_body": st.dictionaries(st.sampled_from(["x", "y"]), values, max_size=2),
        "extra_headers": st.dictionaries(st.sampled_from(["X-One", "X-Two"]), st.sampled_from(["a", "b", "a:b"]), max_size=2),
        "system": st.sampled_from(["a", "b"]),
    },
)
asked = st.tuples(messages, parameters, st.booleans())
clients = st.sampled_from(
    [
        Client("openai/a", api_key="sk-one-0123456789"),
        Client("openai/a", api_key="sk-two-0123456789"),
        Client("openai/b", api_key="sk-one-0123456789"),
        Client("openai/a", api_keys=["sk-one-0123456789", "sk-two-0123456789"]),
        Client("openai/a", api_key="sk-one-0123456789", base_url="https://one.example/v1"),
        Client("openai/a", api_key="sk-one-0123456789", base_url="https://two.example/v1"),
        Client("custom/a", api_key="sk-one-0123456789", base_url="https://one.example/v1"),
        Client("custom/a", base_url="https://one.example/v1"),
        Client("anthropic/a", api_key="sk-one-0123456789"),
        Client("google/a", api_key="sk-one-0123456789"),
        Client("openai/a", api_key="sk-one-0123456789", default_headers={"OpenAI-Project": "p"}),
    ]
)


def call_of(client: Client, messages: Any = "Hi", stream: bool = False, **parameters: Any) -> Call[CompletionResponse]:
    """Return the call that *client* would make."""
    return client._router.completion(messages, model=None, stream=stream, timeout=None, deadline=None, parameters=parameters)


def key_of(client: Client, **kwargs: Any) -> str:
    return KEYS.key_of(call_of(client, **kwargs))


def sent(call: Call[CompletionResponse]) -> tuple[Any, ...]:
    """Return all that would go over the wire for a whole answer, and for whom: what the key stands for, told at length."""
    http = _question(call)
    endpoint = call.endpoint
    account = sorted(endpoint.pool.secrets()) if endpoint.pool is not None else []
    headers = sorted((name.lower(), value) for name, value in http.headers.items() if name.lower() not in IGNORED)
    return endpoint.provider.name, endpoint.model, account, http.method, http.url, headers, http.body


@settings(max_examples=400)
@given(
    pair=st.tuples(asked, asked) | asked.map(lambda one: (one, one)), who=st.tuples(clients, clients) | clients.map(lambda one: (one, one))
)
def test_keys_are_equal_if_and_only_if_what_is_sent_is(pair: Any, who: tuple[Client, Client]) -> None:
    """Any two requests, of any two clients."""
    made = []
    for client, (turns, parameters, stream) in zip(who, pair, strict=True):
        try:
            call = call_of(client, turns, stream, **parameters)
            made.append((sent(call), KEYS.key_of(call)))
        except LLMKitError:
            assume(False)  # something that this provider cannot be asked

    (first, key), (second, other_key) = made

    assert (first == second) == (key == other_key)


@settings(max_examples=100)
@given(asked=asked, client=clients)
def test_the_same_question_has_the_same_key_however_it_is_asked(asked: Any, client: Client) -> None:
    """Whole or streamed, now or later, and whatever the server was found not to take."""
    turns, parameters, _ = asked
    try:
        keys = {KEYS.key_of(call_of(client, turns, stream, **parameters)) for stream in (False, True)}
    except LLMKitError:
        assume(False)
    call = call_of(client, turns, **parameters)
    place = call.endpoint.place
    call.endpoint.place = evolve(place, refused=frozenset({"stream_options", "max_completion_tokens"}))
    keys.add(KEYS.key_of(call))
    call.endpoint.place = place

    assert 1 == len(keys)


@pytest.mark.parametrize("values", [(1, 1.0, True, "1"), (0, 0.0, False, None, "")])
def test_what_python_takes_for_equal_is_not(values: tuple[Any, ...]) -> None:
    """1, 1.0 and True are three things to a server."""
    client = Client("openai/a", api_key="sk-one-0123456789")

    keys = {key_of(client, extra_body={"x": value}) for value in values}

    assert len(values) == len(keys)


def test_the_order_of_a_schema_counts() -> None:
    """A model writes the properties in the order that it is given."""
    client = Client("openai/a", api_key="sk-one-0123456789")
    properties = {"reason": {"type": "string"}, "verdict": {"type": "string"}}
    turned = dict(reversed(properties.items()))

    assert key_of(client, response_format={"type": "object", "properties": properties}) != key_of(
        client, response_format={"type": "object", "properties": turned}
    )


@pytest.mark.parametrize("header", sorted(IGNORED - {"host", "content-length", "connection"}))
def test_a_header_that_only_traces_does_not_count(header: str) -> None:
    """Whatever its case; and all others do."""
    client = Client("openai/a", api_key="sk-one-0123456789")
    plain = key_of(client)

    assert plain == key_of(client, extra_headers={header.title(): "1"})
    assert plain != key_of(client, extra_headers={f"x-my-{header}": "1"})


def test_headers_are_told_apart_whatever_is_in_them() -> None:
    """A colon in a value, or a value that looks like another header."""
    client = Client("openai/a", api_key="sk-one-0123456789")
    headers: list[dict[str, str]] = [{"X-A": "b:c"}, {"X-A": "b", "X-C": "c"}, {"X-A": "b", "X-B": ""}, {"X-A": ""}]

    assert len(headers) == len({key_of(client, extra_headers=each) for each in headers})


def test_a_pool_is_its_keys_in_whatever_order() -> None:
    """They are of one account, or at least of one user."""
    keys = ["sk-one-0123456789", "sk-two-0123456789"]
    one, other = (Client("openai/a", api_keys=order) for order in (keys, keys[::-1]))

    assert key_of(one) == key_of(other)


def test_another_secret_makes_other_keys() -> None:
    """Nobody can look up in one cache what was found in another."""
    call = call_of(Client("openai/a", api_key="sk-one-0123456789"))

    assert Keys(b"a" * 32).key_of(call) != Keys(b"b" * 32).key_of(call)


def test_a_key_tells_nothing() -> None:
    """It is 64 hex digits, whoever asks whatever."""
    key = key_of(Client("openai/a", api_key="sk-canary-0123456789"), messages="canary")

    assert 64 == len(key)
    assert set(key) <= set("0123456789abcdef")


class Renewed:
    """A credential that is fetched, and sent in a header that differs each time."""

    needs_key = False
    is_fresh = True

    def headers(self, request: object, key: object) -> Headers:
        return Headers({"Authorization": os.urandom(8).hex()})

    def fetch(self) -> None:
        pass

    def refused(self, headers: object) -> bool:
        return True


class Named(Renewed):
    """One that says whose it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def account(self) -> str:
        return self.name


def with_auth(auth: Any) -> Client:
    client = Client("openai/a", api_key="sk-one-0123456789")
    endpoint = client._router.default
    endpoint.pool, endpoint.auth, endpoint.renewable = None, auth, auth
    return client


def test_a_renewed_credential_is_one_account() -> None:
    """However often its token changes; one that cannot say whose it is shares with no other."""
    one, other = with_auth(Renewed()), with_auth(Renewed())

    assert key_of(one) == key_of(one)
    assert key_of(one) != key_of(other)


def test_an_account_that_has_a_name_is_known_by_it() -> None:
    """In another process too."""
    assert key_of(with_auth(Named("a"))) == key_of(with_auth(Named("a")))
    assert key_of(with_auth(Named("a"))) != key_of(with_auth(Named("b")))


class Credentials:
    """As google-auth has them."""

    valid = True
    token = "ya29.token"

    def __init__(self, **facts: str) -> None:
        vars(self).update(facts)


TRANSPORT = TransportSettings()
SECRET = Secret("s3cret-0123456789")


@pytest.mark.parametrize(
    ("auth", "account"),
    [
        (lambda: GivenToken("ya29.one", "Google's"), "ya29.one"),
        (lambda: GivenToken(lambda: "ya29.two", "Google's"), "ya29.two"),
        (lambda: GoogleCredentials(Credentials(service_account_email="a@b.iam.gserviceaccount.com")), "a@b.iam.gserviceaccount.com"),
        (lambda: GoogleCredentials(Credentials(service_account_email="default", refresh_token="1//x")), "1//x"),
        (lambda: GoogleCredentials(Credentials()), None),
        (lambda: databricks_tokens("https://x.example", "client", SECRET, TRANSPORT), "client https://x.example/oidc/v1/token"),
        (lambda: RenewedToken(KeyPair(account="org-acc", user="me", private_key="x")), "ORG-ACC.ME"),
        (lambda: RenewedToken(EntraSource(tenant_id="t", client_id="c", client_secret=SECRET)), "c t None"),
        (lambda: RenewedToken(EntraSource()), None),
    ],
)
def test_whose_credentials_they_are_is_said_where_it_is_known(auth: Callable[[], Any], account: str | None) -> None:
    """The service account, the user's grant, the client, the user; or the token that was given."""
    assert account == auth().account()
