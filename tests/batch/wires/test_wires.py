"""What providers say of their batches, and strangers in their place."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import HttpResponse, Place, WireError
from llmkit.batch.wires import WIRES
from llmkit.transport.base import HttpRequest

PLACE = Place(base_url="https://host/prefix/v1")
OPENAI, ANTHROPIC, GEMINI = WIRES["openai"], WIRES["anthropic"], WIRES["gemini"]
ANSWER = {"id": "x", "choices": []}


def reply(data: Any) -> HttpResponse:
    return HttpResponse(status=200, headers={}, body=data if isinstance(data, bytes) else json.dumps(data).encode())


def lines(*rows: Any) -> HttpResponse:
    return reply(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))


def test_a_line_has_the_path_that_the_provider_knows() -> None:
    """Not that of a proxy before it."""
    http = HttpRequest(method="POST", url="https://host/prefix/v1/chat/completions", body=b'{"model":"m"}')

    line = json.loads(OPENAI.line("7-a", http, PLACE))

    assert {"custom_id": "7-a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}} == line
    assert {"custom_id": "7-a", "params": {"model": "m"}} == json.loads(ANTHROPIC.line("7-a", http, PLACE))
    assert {"metadata": {"key": "7-a"}, "request": {"model": "m"}} == json.loads(GEMINI.line("7-a", http, PLACE))


def test_a_boundary_is_no_longer_than_allowed() -> None:
    """70 characters. Source: RFC 2046, section 5.1.1."""
    upload = OPENAI.upload([b"{}"], PLACE)

    assert upload is not None
    boundary = upload.headers["Content-Type"].partition("boundary=")[2]
    assert len(boundary) <= 70
    assert 3 == upload.body.count(b"--" + boundary.encode())


def test_features_in_beta_are_asked_for_with_the_batch() -> None:
    """As with a call."""
    place = Place(base_url="https://host", options={"beta": "a-1, b-2"})

    assert "a-1,b-2" == ANTHROPIC.create([b"{}"], None, place, "/v1/messages").headers["anthropic-beta"]
    assert "anthropic-beta" not in ANTHROPIC.create([b"{}"], None, PLACE, "/v1/messages").headers


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
def test_an_id_leads_nowhere_else(wire: Any) -> None:
    """Whatever the server calls its batch."""
    urls = [request.url for request in (wire.look("../x?a#b", PLACE), wire.cancel("../x?a#b", PLACE), wire.fetch("../x?a#b", PLACE))]

    assert all("/..%2Fx%3Fa%23b" in url and url.startswith("https://host/prefix/v1/") for url in urls)


@pytest.mark.parametrize(
    ("status", "ended", "kind"),
    [
        ("validating", False, "malformed"),
        ("in_progress", False, "malformed"),
        ("finalizing", False, "malformed"),
        ("cancelling", False, "malformed"),
        ("completed", True, "malformed"),
        ("failed", True, "malformed"),
        ("expired", True, "timeout"),
        ("cancelled", True, "conflict"),
        ("of_tomorrow", False, "malformed"),
    ],
)
def test_a_state_of_openais_says_whether_it_has_ended(status: str, ended: bool, kind: str) -> None:
    """And what befell those that have no result."""
    state = OPENAI.read_state(reply({"status": status, "output_file_id": "out", "error_file_id": None}))

    assert (ended, ("out",), kind) == (state.ended, state.sources, state.missing.kind)


def test_a_refused_file_tells_of_its_lines() -> None:
    """What is wrong with one is no fault of the others, which may be asked again."""
    error = {"code": "invalid_json_line", "message": "not JSON", "line": 2, "param": None}

    state = OPENAI.read_state(reply({"status": "failed", "errors": {"object": "list", "data": [error]}}))
    whole = OPENAI.read_state(reply({"status": "failed", "errors": {"data": [{"code": "token_limit_exceeded", "message": "too much"}]}}))

    assert (400, "invalid_json_line") == (state.by_line[2].status, state.by_line[2].code)
    assert "conflict" == state.missing.kind
    assert (400, "token_limit_exceeded", {}) == (whole.missing.status, whole.missing.code, whole.by_line)


def test_results_of_openai_are_replies() -> None:
    """In any order; what has none has a fault."""
    found = OPENAI.read_results(
        lines(
            {"custom_id": "b", "response": {"status_code": 429, "request_id": "r", "body": {"error": {}}}, "error": None},
            {"custom_id": "a", "response": {"status_code": 200, "request_id": "r", "body": {**ANSWER, "text": "\u2028"}}, "error": None},
            {"custom_id": "c", "response": None, "error": {"code": "batch_expired", "message": "expired"}},
            {"custom_id": "d", "response": None, "error": {"code": "other", "message": "odd"}},
        )
    )

    assert {"a", "b", "c", "d"} == set(found)
    assert found["a"].response is not None
    assert (200, "r", "\u2028") == (
        found["a"].response.status,
        found["a"].response.headers["x-request-id"],
        json.loads(found["a"].response.body)["text"],
    )
    assert found["b"].response is not None
    assert 429 == found["b"].response.status
    assert ["timeout", "conflict"] == [fault.kind for name in "cd" if (fault := found[name].fault) is not None]


@pytest.mark.parametrize(
    ("result", "status", "kind"),
    [
        ({"type": "succeeded", "message": {"id": "m"}}, 200, None),
        ({"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}}, 529, None),
        ({"type": "errored", "error": {"type": "invalid_request_error", "message": "m"}}, 400, None),
        ({"type": "errored", "error": {"type": "error", "error": {"type": "of_tomorrow"}}}, 500, None),
        ({"type": "expired"}, None, "timeout"),
        ({"type": "canceled"}, None, "conflict"),
        ({"type": "of_tomorrow"}, None, "malformed"),
        (None, None, "malformed"),
    ],
)
def test_a_result_of_anthropics_is_a_reply_or_a_fault(result: Any, status: int | None, kind: str | None) -> None:
    """An error has the status that it has in a call."""
    found = ANTHROPIC.read_results(lines({"custom_id": "a", "result": result}))["a"]

    assert status == (None if found.response is None else found.response.status)
    assert kind == (None if found.fault is None else found.fault.kind)


def test_a_batch_of_geminis_is_begun_where_its_model_is() -> None:
    """A tuned one too. Its lines go along, under a name that it must have."""
    made = [GEMINI.create([b"{}", b"{}"], None, PLACE, f"/{model}:generateContent") for model in ("models/gemini-x", "tunedModels/mine")]

    assert [
        "https://host/prefix/v1/models/gemini-x:batchGenerateContent",
        "https://host/prefix/v1/tunedModels/mine:batchGenerateContent",
    ] == [http.url for http in made]
    assert {"batch": {"displayName": "llmkit", "inputConfig": {"requests": {"requests": [{}, {}]}}}} == json.loads(made[0].body)
    assert "batch1" == GEMINI.read_id(reply({"name": "batches/batch1", "metadata": {}}))


@pytest.mark.parametrize("word", ["BATCH", "JOB"])
@pytest.mark.parametrize(
    ("state", "ended", "kind"),
    [
        ("PENDING", False, "malformed"),
        ("RUNNING", False, "malformed"),
        ("SUCCEEDED", True, "malformed"),
        ("PARTIALLY_SUCCEEDED", True, "malformed"),
        ("FAILED", True, "malformed"),
        ("EXPIRED", True, "timeout"),
        ("CANCELLED", True, "conflict"),
        ("OF_TOMORROW", False, "malformed"),
    ],
)
def test_a_state_of_geminis_says_whether_it_has_ended(word: str, state: str, ended: bool, kind: str) -> None:
    """By either of the two names that each has, and without the operation's own word for it."""
    found = GEMINI.read_state(reply({"name": "batches/b", "metadata": {"state": f"{word}_STATE_{state}"}}))

    assert (ended, (), kind) == (found.ended, found.sources, found.missing.kind)


def test_an_operation_that_is_done_has_ended() -> None:
    """Whatever its state is called; and one of which nothing is said yet has not."""
    states = [GEMINI.read_state(reply({"name": "batches/b", **rest})) for rest in ({"done": True}, {"metadata": {}}, {})]

    assert [True, False, False] == [state.ended for state in states]


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        ({"code": 1, "message": "m"}, 0, "conflict", "CANCELLED"),
        ({"code": 3, "message": "m"}, 400, None, "INVALID_ARGUMENT"),
        ({"code": 8, "message": "m"}, 429, None, "RESOURCE_EXHAUSTED"),
        ({"code": 13, "message": "m"}, 500, None, "INTERNAL"),
        ({"code": 503, "message": "m"}, 503, None, "503"),
        ({"code": True}, 500, None, "500"),
        ({}, 500, None, "500"),
        ("odd", 0, "malformed", None),
    ],
)
def test_a_batch_of_geminis_that_failed_tells_why(error: Any, status: int, kind: str | None, code: str | None) -> None:
    """To each of its items, as a call would have been told."""
    found = GEMINI.read_state(reply({"name": "batches/b", "done": True, "metadata": {"state": "BATCH_STATE_FAILED"}, "error": error}))

    assert (status, kind, code) == (found.missing.status, found.missing.kind, found.missing.code)
    assert found.missing.message.startswith("The whole batch failed: ") is (status > 0)


@pytest.mark.parametrize("where", ["response", "metadata"])
def test_results_of_gemini_are_replies(where: str) -> None:
    """Told by their keys, wherever they stand; an error is the reply that a call would have got."""
    rows = [
        {"metadata": {"key": "b"}, "error": {"code": 8, "message": "m", "details": [{"reason": "RATE_LIMIT_EXCEEDED"}]}},
        {"metadata": {"key": "a"}, "response": {"candidates": [], "text": "\u2028"}},
        {"metadata": {"key": "c"}, "error": {"code": 400, "message": "m"}},
        {"metadata": {"key": "d"}, "error": {"code": 1, "message": "m"}},
        {"metadata": {"key": "e"}},
        {"response": {"candidates": []}},
    ]
    output = {"inlinedResponses": {"inlinedResponses": rows}}
    operation = {"name": "batches/b", "done": True, **({"response": output} if where == "response" else {"metadata": {"output": output}})}

    found = GEMINI.read_results(reply(operation))

    assert ("b",) == GEMINI.read_state(reply(operation)).sources
    assert [("a", 200), ("b", 429), ("c", 400)] == sorted(
        (name, one.response.status) for name, one in found.items() if name and one.response
    )
    assert {"d": "conflict", "e": "malformed"} == {name: one.fault.kind for name, one in found.items() if one.fault}
    assert found["b"].response is not None
    assert {"code": 429, "status": "RESOURCE_EXHAUSTED"}.items() <= json.loads(found["b"].response.body)["error"].items()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "status", "errors", "data", "line", "custom_id", "response", "result", "error", "type", "code"])
            | st.sampled_from(["name", "state", "done", "metadata", "output", "inlinedResponses", "key"]),
            inner,
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
@given(data=json_values | st.binary())
def test_a_stranger_raises_nothing_but_a_wire_error(wire: Any, data: Any) -> None:
    """Whatever it says."""
    for read in (wire.read_id, wire.read_state, wire.read_results):
        with contextlib.suppress(WireError):
            read(reply(data))
