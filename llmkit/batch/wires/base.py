"""What an API of batches has to say of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote

from attrs import field, frozen

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.wire_json import objects
from llmkit.models.fault import Fault
from llmkit.secrets import Headers
from llmkit.transport.base import HttpRequest, HttpResponse

__all__ = ["BatchWire", "Outcome", "State", "as_response", "get", "path_of", "post", "quoted", "rows_of"]

RESULTS = 1024 * 1024 * 1024  # bytes that the answers to one batch may have

_JSON = {"content-type": "application/json"}


@frozen(kw_only=True)
class State:
    """
    How far a batch is.

    ``sources`` are where its results are, once it has ended; ``missing`` is what befell an item that has none, and ``by_line`` what
    befell single lines where the whole batch was refused, by their numbers from 1 on.
    """

    ended: bool
    sources: tuple[str, ...] = ()
    missing: Fault
    by_line: Mapping[int, Fault] = field(factory=dict)


@frozen(kw_only=True)
class Outcome:
    """What became of one item: the reply that a call of its own would have got, or a fault without one."""

    response: HttpResponse | None = None
    fault: Fault | None = None


class BatchWire(Protocol):
    """
    One provider's batches. Implementations are frozen values.

    What reads replies raises ``WireError``. ``size`` is how many bytes the lines of one batch may have.
    """

    @property
    def size(self) -> int: ...

    def line(self, custom_id: str, http: HttpRequest, place: Place) -> bytes:
        """Return the request *http* as an item of a batch."""
        ...

    def upload(self, lines: Sequence[bytes], place: Place) -> HttpRequest | None:
        """Return the request that brings *lines* there, to be read by ``read_id``; None where they go along with ``create``."""
        ...

    def create(self, lines: Sequence[bytes], file: str | None, place: Place, path: str) -> HttpRequest:
        """
        Return the request that begins a batch of *lines*, or of the *file* that was uploaded.

        *path* is where the requests in *lines* would have gone as calls, behind the base URL.
        """
        ...

    def read_id(self, response: HttpResponse) -> str:
        """Return the id of what was made."""
        ...

    def look(self, name: str, place: Place) -> HttpRequest:
        """Return the request for the state of the batch *name*."""
        ...

    def read_state(self, response: HttpResponse) -> State: ...

    def fetch(self, source: str, place: Place) -> HttpRequest:
        """Return the request for the results at *source*."""
        ...

    def read_results(self, response: HttpResponse) -> Mapping[str, Outcome]:
        """Return the results by the ids that ``line`` was given; their order on the wire means nothing."""
        ...

    def cancel(self, name: str, place: Place) -> HttpRequest:
        """Return the request that ends the batch *name*."""
        ...


def path_of(http: HttpRequest, place: Place) -> str:
    """Return where *http* goes, behind the base URL and without its query."""
    return http.url[len(place.base_url) :].partition("?")[0]


def get(place: Place, path: str, *names: str) -> HttpRequest:
    """Return a request for *path*, in which ``{}`` stands for each of *names*."""
    # Each may be that for results.
    headers = Headers({"Accept": "application/json"})
    return HttpRequest(method="GET", url=_url(place, path, names), headers=headers, body_limit=RESULTS)


def post(place: Place, path: str, *names: str, body: bytes = b"", kind: str = "application/json") -> HttpRequest:
    """Return a request that posts *body*."""
    headers = Headers({"Content-Type": kind, "Accept": "application/json"})
    return HttpRequest(method="POST", url=_url(place, path, names), headers=headers, body=body)


def _url(place: Place, path: str, names: Sequence[str]) -> str:
    # They are the server's words, and must not lead elsewhere.
    return place.base_url + path.format(*(quote(name, safe="") for name in names))


def as_response(status: int, body: Any, request_id: str | None = None) -> HttpResponse:
    """Return *body*, found in a file of results, as the reply that it stands for."""
    headers = {**_JSON, **({"x-request-id": request_id} if request_id else {})}
    return HttpResponse(status=status, headers=headers, body=json.dumps(body).encode())


def quoted(text: str) -> bytes:
    """Return *text* as a JSON string."""
    return json.dumps(text).encode()


def rows_of(response: HttpResponse) -> list[dict[str, Any]]:
    """
    Return the objects in a body of JSON lines. A line that is none is left out: its neighbours are paid for.

    Raises:
        WireError: If no line is one.
    """
    # Not splitlines(): U+2028 and its like may stand in a string.
    lines = [line for line in response.body.split(b"\n") if line.strip()]
    rows = []
    for line in lines:
        with suppress(ValueError, RecursionError):
            rows.append(json.loads(line))
    if lines and not rows:
        raise WireError.malformed("The results are not lines of JSON.", response)
    return objects(rows)
