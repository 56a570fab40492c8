"""The fake AI Studio's batches: what of them it refuses, and what becomes of those that it takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.testing import wires
from llmkit.testing.replies import RecordedRequest, Reply

ASKED = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
ROW = {"request": ASKED, "metadata": {"key": "a"}}
MODEL = "/v1beta/models/gemini-2.5-flash:batchGenerateContent"
START = {
    "x-goog-upload-protocol": "resumable",
    "x-goog-upload-command": "start",
    "x-goog-upload-header-content-length": "4",
    "x-goog-upload-header-content-type": "application/jsonl",
}
LAST = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}


def sent(method: str, endpoint: str, body: Any = b"", **rest: Any) -> tuple[int, dict[str, str], Any]:
    """Return status, headers and body of what is answered."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    path, _, query = endpoint.partition("?")
    request = RecordedRequest(
        method=method, path=f"/google{path}", provider="google", endpoint=path, query_string=query, body=data, **{"key": "k", **rest}
    )
    found = wires.find("google", method, path)
    assert found.route is not None
    refusal = found.route.check(request)
    rendered = found.route.render(request, Reply()) if refusal is None else found.wire.render_error(request, refusal)
    content = b"".join(rendered.body)
    return rendered.status, dict(rendered.headers), json.loads(content) if content.startswith(b"{") else content


def begun(source: Any) -> Any:
    return sent("POST", MODEL, {"batch": {"displayName": "mine", "inputConfig": source}})[2]["name"]


def looked(name: str, times: int = 1) -> Any:
    return [sent("GET", f"/v1beta/{name}")[2] for _ in range(times)][-1]


def brought(content: bytes) -> str:
    """Return the name of a file that has come in both of its steps."""
    start = {**START, "x-goog-upload-header-content-length": str(len(content))}
    _, headers, _ = sent("POST", "/upload/v1beta/files", headers=start)
    query = headers["x-goog-upload-url"].partition("?")[2]
    name: str = sent("POST", f"/upload/v1beta/files?{query}", content, headers=LAST)[2]["file"]["name"]
    return name


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"no", "Invalid JSON payload"),
        ([], "Invalid JSON payload"),
        ({"batch": {}, "model": "m"}, 'Unknown name "model"'),
        ({"batch": {"display": "x"}}, "Unknown name \"display\" at 'batch'"),
        ({"batch": {"inputConfig": {"requests": {"requests": [ROW]}}}}, "display_name must be specified"),
        ({"batch": {"displayName": "x"}}, "exactly one source"),
        ({"batch": {"displayName": "x", "inputConfig": {"fileName": "files/x", "requests": {}}}}, "exactly one source"),
        ({"batch": {"displayName": "x", "inputConfig": {"fileName": "files/x"}}}, "File files/x not found"),
        ({"batch": {"displayName": "x", "inputConfig": {"gcsUri": "gs://x"}}}, 'Unknown name "gcsUri"'),
        ({"batch": {"displayName": "x", "inputConfig": {"requests": [ROW]}}}, "at least one request"),
        ({"batch": {"displayName": "x", "inputConfig": {"requests": {"requests": []}}}}, "at least one request"),
        ({"batch": {"displayName": "x", "inputConfig": {"requests": {"rows": []}}}}, 'Unknown name "rows"'),
        ({"batch": {"displayName": "x", "inputConfig": {"requests": {"requests": [{**ROW, "key": "a"}]}}}}, 'Unknown name "key"'),
        ({"batch": {"displayName": "x", "inputConfig": {"requests": {"requests": [{"request": []}]}}}}, "Invalid value"),
        (b" " * 20_000_001, "payload size exceeds"),
    ],
)
def test_what_is_no_batch_is_refused(body: Any, message: str) -> None:
    """In the words that the service has for what else is wrong."""
    status, _, told = sent("POST", MODEL, body)

    assert status in (400, 404)
    assert message in told["error"]["message"]


def test_a_model_that_is_not_there_has_no_batches() -> None:
    """As it answers nothing."""
    assert 404 == sent("POST", MODEL.replace("gemini-2.5-flash", "no-such-model"), {})[0]


def test_names_may_be_written_with_underscores() -> None:
    """As in the guide's own examples."""
    body = {"batch": {"display_name": "x", "input_config": {"requests": {"requests": [ROW]}}}}

    assert 200 == sent("POST", MODEL, body)[0]


def test_a_batch_is_pending_running_and_done() -> None:
    """Each of its requests is answered, or refused by a number, in their order."""
    name = begun({"requests": {"requests": [ROW, {"request": {**ASKED, "generationConfig": {"temperature": 9}}}]}})
    states = [looked(name), looked(name), looked(name)]

    assert ["RUNNING", "SUCCEEDED", "SUCCEEDED"] == [state["metadata"]["state"].removeprefix("BATCH_STATE_") for state in states]
    assert [None, True, True] == [state.get("done") for state in states]
    good, bad = states[2]["response"]["inlinedResponses"]["inlinedResponses"]
    assert ({"key": "a"}, "You said: hi") == (good["metadata"], good["response"]["candidates"][0]["content"]["parts"][0]["text"])
    assert ({"error"}, 3) == (bad.keys(), bad["error"]["code"])
    assert {"requestCount": "2", "successfulRequestCount": "1", "failedRequestCount": "1"} == states[2]["metadata"]["batchStats"]


def test_a_cancelled_batch_is_an_operation_with_an_error() -> None:
    """Of which nothing is left to be cancelled; and the cancelling has no body."""
    name = begun({"requests": {"requests": [ROW]}})
    refused = sent("POST", f"/v1beta/{name}:cancel", {"why": "so"})[0]
    answers = [sent("POST", f"/v1beta/{name}:cancel")[2] for _ in range(2)]
    batch = looked(name, 3)

    assert (400, [{}, {}]) == (refused, answers)
    assert ("BATCH_STATE_CANCELLED", True, 1) == (batch["metadata"]["state"], batch["done"], batch["error"]["code"])


def test_a_batch_is_only_its_owners() -> None:
    """Of another key, it is not there."""
    name = begun({"requests": {"requests": [ROW]}})

    assert [404, 404] == [sent(*call, key="other")[0] for call in (("GET", f"/v1beta/{name}"), ("POST", f"/v1beta/{name}:cancel"))]
    assert {"operations": []} == sent("GET", "/v1beta/batches", key="another")[2]


@pytest.mark.parametrize("content", [b"{no", b'{"request":{}}', b"[1]"])
def test_a_file_of_something_else_fails_the_batch(content: bytes) -> None:
    """As a whole."""
    batch = looked(begun({"fileName": brought(content)}), 2)

    assert ("BATCH_STATE_FAILED", 3) == (batch["metadata"]["state"], batch["error"]["code"])


def test_results_of_a_file_are_a_file() -> None:
    """Which can be downloaded, other than the one that was brought."""
    given = brought(json.dumps({"key": "a", "request": ASKED}).encode())
    made = looked(begun({"fileName": given}), 2)["response"]["responsesFile"]

    assert "a" == sent("GET", f"/download/v1beta/{made}:download?alt=media")[2]["key"]
    assert "GENERATED" == sent("GET", f"/v1beta/{made}")[2]["source"]
    assert 400 == sent("GET", f"/v1beta/{given}:download?alt=media")[0]
    assert 403 == sent("GET", f"/v1beta/{given}", key="other")[0]


@pytest.mark.parametrize("name", START)
def test_a_file_is_announced_in_full(name: str) -> None:
    """By four headers."""
    assert 200 == sent("POST", "/upload/v1beta/files", headers=START)[0]
    assert 400 <= sent("POST", "/upload/v1beta/files", headers={**START, name: ""})[0]


@pytest.mark.parametrize(("content", "headers"), [(b"123", LAST), (b"1234", {**LAST, "x-goog-upload-offset": "2"}), (b"1234", {})])
def test_a_file_comes_as_it_was_announced(content: bytes, headers: dict[str, str]) -> None:
    """In one piece, with as many bytes as were told."""
    query = sent("POST", "/upload/v1beta/files", headers=START)[1]["x-goog-upload-url"].partition("?")[2]

    assert 400 == sent("POST", f"/upload/v1beta/files?{query}", content, headers=headers)[0]
    assert 200 == sent("POST", f"/upload/v1beta/files?{query}", b"1234", headers=LAST)[0]
