"""
What each provider's wire can say, found by trying: a small request of each kind is written, and nothing is sent.

Models may be able to do less than their wire; what is known of those is in the catalogue.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmkit.dialects.base import Dialect, Place
from llmkit.errors import ConfigurationError
from llmkit.models.content import Audio, Document, Image, Messages, Part, Text, user
from llmkit.models.request import CompletionRequest, make_request

if TYPE_CHECKING:
    from llmkit.providers import Option, Provider

__all__ = ["COLUMNS", "abilities", "tables", "wires"]

COLUMNS = (
    "provider",
    "wire",
    "tools",
    "pictures",
    "documents",
    "sounds",
    "schemas",
    "reasoning",
    "cache marks",
    "embeds",
    "counts",
    "lists",
    "batches",
)

YES, NO = "yes", ""

_SCHEMA = {"type": "object", "properties": {"zebra": {"type": "string"}}, "required": ["zebra"], "additionalProperties": False}
_OPTIONS = {"project": "p", "location": "global", "region": "us-east-1", "host": "host", "api_version": "v1"}
_SPEECH = ("messages", "system", "instructions", "input", "inputs", "contents", "systemInstruction", "preamble")  # where words stand
_DATA: Mapping[str, Part] = {
    "pictures": Image(data=b"\x89PNG", media_type="image/png"),
    "documents": Document(data=b"%PDF-1.7", media_type="application/pdf", name="a.pdf"),
    "sounds": Audio(data=b"RIFF", media_type="audio/wav"),
}
_APIS = ("chat", "responses", "converse", "invoke", "native", "generate")  # what the option of that name says, wherever there is one
_LINK = Image(url="https://example.com/cat.png")


def abilities(row: Provider, options: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what stands in each of ``COLUMNS`` for the wire of *row* under *options*."""
    chosen = options or {}
    dialect = row.dialect_for(chosen)
    answers = _answering(row, dialect) if row.completes else dict.fromkeys(COLUMNS[1:9], NO)
    place = Place(base_url="https://host", options={**_OPTIONS, **chosen})
    return {
        "provider": row.name,
        **answers,
        "embeds": _yes(_chosen(row.choose_embedder, chosen)),
        "counts": _yes(_chosen(row.choose_counter, chosen)),
        "lists": _yes(dialect.encode_models(place) is not None),
        "batches": _yes(row.batches != ""),
    }


def _answering(row: Provider, dialect: Dialect) -> dict[str, str]:
    model = row.default_model or "model"
    links = _body(dialect, user("Hi", _LINK), model) is not None
    said = {name: _yes(_body(dialect, user("Hi", part), model) is not None) for name, part in _DATA.items()}
    if said["pictures"]:
        said["pictures"] = "data, links" if links else "data"
    return {
        "wire": dialect.name.replace("_", " "),
        "tools": _yes("tools" in dialect.parameters),
        **said,
        "schemas": _schemas(dialect, model),
        "reasoning": _yes("reasoning" in dialect.parameters),
        "cache marks": _yes(_marks(dialect, model)),
    }


def _schemas(dialect: Dialect, model: str) -> str:
    if "response_format" not in dialect.parameters:
        return NO
    body = _body(dialect, "Hi", model, response_format=_SCHEMA)
    if body is None:
        return NO
    held = {name: value for name, value in body.items() if name not in _SPEECH}
    return "held" if "zebra" in json.dumps(held) else "in words"


def _marks(dialect: Dialect, model: str) -> bool:
    marked, plain = (_body(dialect, user(Text("Hi", cache=mark), "You."), model) for mark in (True, False))
    return marked is not None and marked != plain


def _body(dialect: Dialect, messages: Messages, model: str, **parameters: Any) -> dict[str, Any] | None:
    """Return the body of a request; None where the wire cannot say it."""
    try:
        http = dialect.encode(_asked(dialect, messages, model, parameters), Place(base_url="https://host", options=_OPTIONS))
    except ConfigurationError:
        return None
    found: dict[str, Any] = json.loads(http.body or b"{}")
    return found


def _asked(dialect: Dialect, messages: Messages, model: str, parameters: Mapping[str, Any]) -> CompletionRequest:
    # The model is one of which nothing is known: it is the wire that is tried.
    return evolve(make_request(messages, model=model, **parameters), stream=False)


def _chosen(choose: Any, options: Mapping[str, str]) -> bool:
    try:
        return choose is not None and choose(options) is not None
    except ConfigurationError:
        return False


def _yes(is_so: bool) -> str:
    return YES if is_so else NO


def wires(row: Provider) -> Iterator[dict[str, str]]:
    """Yield what each wire of *row* can say: its usual one first, then those that the option ``api`` names, then those of guests."""
    yield abilities(row)
    option = row.options.get("api")
    for api in _APIS if option is not None else ():
        if option is not None and api != option.default and _speaks(row, api):
            yield {**abilities(row, {"api": api}), "provider": f"{row.name}, api {api}"}
    for beginning in row.guests:
        yield {**abilities(row.serving(beginning)), "provider": f"{row.name}, {beginning}…"}


def _speaks(row: Provider, api: str) -> bool:
    try:
        row.dialect_for({"api": api})
    except ConfigurationError:
        return False
    return True


# -- tables


def tables(rows: Iterable[Provider]) -> tuple[str, str, str]:
    """Return as Markdown what each of *rows* can do, where each is and what its key is called, and its options."""
    listed = sorted(rows, key=lambda row: row.name)
    can = [tuple(cells.values()) for row in listed for cells in wires(row)]
    found = [(row.name, _names(row.aliases), _names(row.key_env), _names(row.base_env), _address(row)) for row in listed]
    said = [
        (row.name, f"`{name}`", _meaning(option), f"`{option.default}`" if option.default else "", _names(option.env))
        for row in listed
        for name, option in row.options.items()
    ]
    return (
        _table(COLUMNS, can),
        _table(("provider", "also called", "key", "address in", "address"), found),
        _table(("provider", "option", "what it is", "default", "variable"), said),
    )


def _meaning(option: Option) -> str:
    return f"{option.meaning}: {', '.join(option.choices)}" if option.choices else option.meaning


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _address(row: Provider) -> str:
    return f"`{row.base_url}`" if row.base_url else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *([cell.replace("|", "/") for cell in row] for row in rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
