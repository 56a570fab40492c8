"""
A cassette: requests and what came back, in a file that a person can read and a repository can keep.

Rule 1: no secret is ever in it. Of a request's headers only harmless ones are kept; what the others hold, and what stands under a telling
        name in an address or a body, is masked wherever it turns up, in the answer too.
Rule 2: a request is the same as another if method, address and body are, once masked; the order of keys in JSON and of parameters in an
        address does not count. Equal ones are answered in the order in which they were recorded, each once.
Rule 3: a stream is kept in its pieces, with the error that ended it where one did.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from llmkit.errors import ConfigurationError
from llmkit.secrets import masked
from llmkit.testing.differences import unlike
from llmkit.testing.scrubbing import clean, is_kept, kept_headers, masked_url, without_telling
from llmkit.transport.base import HttpRequest, HttpResponse, TransportError

__all__ = ["Asked", "Cassette", "Exchanged", "asked_of", "response_of"]

FORMAT = "llmkit cassette"
VERSION = 1
MOST_TOLD = 6  # differences in one error


@frozen(kw_only=True)
class Asked:
    """A request as a cassette knows it: masked. ``body`` is None, ``{"json": ...}``, ``{"text": ...}`` or ``{"base64": ...}``."""

    method: str
    url: str
    headers: Mapping[str, str] = field(factory=dict, eq=False)
    body: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """What two equal requests have in common."""
        return json.dumps([self.method, self.url, self.body], sort_keys=True)

    @property
    def brief(self) -> str:
        return f"{self.method} {self.url}"


@define(kw_only=True)
class Exchanged:
    """A request, and what came back: a status with a body or pieces, an error, or both where a stream broke off."""

    asked: Asked
    status: int | None = None
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes | None = None
    pieces: Sequence[bytes] | None = None
    error: Mapping[str, Any] | None = None

    def failure(self) -> TransportError | None:
        """Return the error that came, or that came behind the last piece."""
        return None if self.error is None else TransportError(**self.error)


def asked_of(request: HttpRequest, secrets: Collection[str]) -> Asked:
    """Return *request* as it is kept."""
    return Asked(
        method=request.method,
        url=masked_url(request.url, secrets),
        headers=kept_headers(request),
        body=_written(request.body, secrets) if request.body else None,
    )


@define(kw_only=True)
class Cassette:
    """What was exchanged, in order."""

    exchanges: list[Exchanged] = field(factory=list)
    _used: set[int] = field(factory=set, init=False)

    @property
    def unused(self) -> int:
        """How many exchanges were not asked for."""
        return len(self.exchanges) - len(self._used)

    def take(self, asked: Asked) -> Exchanged:
        """
        Return what came back to *asked*, and use it up.

        Raises:
            TransportError: If there is nothing, or nothing left; it names the differences from what comes nearest.
        """
        key = asked.key
        equal = [place for place, one in enumerate(self.exchanges) if one.asked.key == key]
        for place in equal:
            if place not in self._used:
                self._used.add(place)
                return self.exchanges[place]
        raise TransportError("config", self._missing(asked, len(equal)))

    def _missing(self, asked: Asked, times: int) -> str:
        if times:
            often = "once" if times == 1 else f"{times} times"
            return f"The cassette has {asked.brief} {often}, and it was asked for once more: record it again."
        if not self.exchanges:
            return f"The cassette is empty, and {asked.brief} is not in it: record it again."
        nearest = min(self.exchanges, key=lambda one: _distance(one.asked, asked))
        differences = list(_differences(nearest.asked, asked))
        told = "; ".join(differences[:MOST_TOLD])
        more = f"; and {len(differences) - MOST_TOLD} more" if len(differences) > MOST_TOLD else ""
        return (
            f"The cassette does not have this request. The nearest is number {self.exchanges.index(nearest) + 1}, {nearest.asked.brief}, "
            f"where {told}{more}. If that is meant, record it again."
        )

    def add(self, exchanged: Exchanged, secrets: Collection[str]) -> None:
        """Keep *exchanged*, without *secrets*."""
        exchanged.headers = {name: masked(value, secrets) for name, value in exchanged.headers.items() if is_kept(name)}
        if exchanged.body is not None:
            exchanged.body = clean(exchanged.body, secrets)
        if exchanged.pieces is not None:
            whole = b"".join(exchanged.pieces)
            kept = clean(whole, secrets)
            # A secret may lie across two pieces: then it counts more that it is gone than where they were cut.
            exchanged.pieces = exchanged.pieces if kept == whole else [kept]
        if exchanged.error is not None:
            exchanged.error = {**exchanged.error, "message": masked(str(exchanged.error["message"]), secrets)}
        self.exchanges.append(exchanged)

    def dumps(self) -> str:
        """Return the file's text."""
        rows = [_row_of(one) for one in self.exchanges]
        return json.dumps({"format": FORMAT, "version": VERSION, "exchanges": rows}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def loads(cls, text: str, where: str) -> Cassette:
        """
        Return the cassette in *text*, a file's.

        Raises:
            ConfigurationError: If it is none; it names *where*.
        """
        try:
            data = json.loads(text)
            made = (data["format"], data["version"])
            exchanges = [_exchanged_of(row) for row in data["exchanges"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{where} is no cassette: {type(error).__name__}: {error}. Record it again."
            raise ConfigurationError(msg) from error
        if made != (FORMAT, VERSION):
            msg = f"{where} is {made[0]!r}, version {made[1]!r}, not {FORMAT!r}, version {VERSION}. Record it again."
            raise ConfigurationError(msg)
        return cls(exchanges=exchanges)


def _written(data: bytes, secrets: Collection[str] = ()) -> dict[str, Any]:
    data = clean(data, secrets)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"text": text}
    return {"json": without_telling(value)}


def _read(row: Mapping[str, Any]) -> bytes:
    if "json" in row:
        return json.dumps(row["json"], ensure_ascii=False).encode()
    return base64.b64decode(row["base64"]) if "base64" in row else str(row["text"]).encode()


def _row_of_piece(piece: bytes) -> Any:
    """Return a piece of a stream as it is kept: as text where it was not cut within a character."""
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(piece).decode("ascii")}


def _row_of(one: Exchanged) -> dict[str, Any]:
    asked = one.asked
    request: dict[str, Any] = {"method": asked.method, "url": asked.url, "headers": dict(asked.headers)}
    if asked.body is not None:
        request["body"] = asked.body
    row: dict[str, Any] = {"request": request}
    if one.status is not None:
        row["response"] = response = {"status": one.status, "headers": dict(one.headers)}
        if one.pieces is not None:
            response["pieces"] = [_row_of_piece(piece) for piece in one.pieces]
        elif one.body:
            response["body"] = _written(one.body)
    if one.error is not None:
        row["error"] = dict(one.error)
    return row


def _exchanged_of(row: Mapping[str, Any]) -> Exchanged:
    request, response = row["request"], row.get("response", {})
    pieces = response.get("pieces")
    body = response.get("body")
    return Exchanged(
        asked=Asked(method=request["method"], url=request["url"], headers=request.get("headers", {}), body=request.get("body")),
        status=response.get("status"),
        headers=response.get("headers", {}),
        body=None if body is None else _read(body),
        pieces=None if pieces is None else [piece.encode() if isinstance(piece, str) else _read(piece) for piece in pieces],
        error=row.get("error"),
    )


def response_of(one: Exchanged) -> HttpResponse:
    """Return the answer in *one*, without its stream. Raises the error that came in its place."""
    failure = one.failure()
    if one.status is None:
        assert failure is not None  # one of the two came
        raise failure
    return HttpResponse(status=one.status, headers=dict(one.headers), body=one.body or b"", first_byte=0.0)


def _distance(one: Asked, other: Asked) -> tuple[bool, bool, int]:
    return one.method != other.method, one.url != other.url, sum(1 for _ in _differences(one, other))


def _differences(recorded: Asked, asked: Asked) -> Iterator[str]:
    if recorded.method != asked.method:
        yield f"the method is {recorded.method}, not {asked.method}"
    if recorded.url != asked.url:
        yield f"the address is {recorded.url}, not {asked.url}"
    kinds = [next(iter(one.body), None) if one.body else None for one in (recorded, asked)]
    if kinds[0] != kinds[1]:
        yield f"the body is {kinds[0] or 'empty'}, not {kinds[1] or 'empty'}"
    elif recorded.body is not None and asked.body is not None:
        kind = str(kinds[0])
        yield from unlike(recorded.body[kind], asked.body[kind], "$")
