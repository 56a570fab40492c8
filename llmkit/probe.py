"""Asking a local server for its models, within a time that nobody notices."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

__all__ = ["PROBE_TIME", "chat_model_at"]

PROBE_TIME = 0.3  # seconds: nobody should wait longer to learn that there is nothing
LISTING_LIMIT = 1 << 20  # bytes

# What embeds and does not chat, where the server is too old to tell: by the family of its weights.
EMBEDDING_FAMILIES = frozenset({"bert", "nomic-bert"})


def chat_model_at(base: str, *, seconds: float) -> str | None:
    """
    Return the first model of the Ollama at *base* that can chat, one that runs there before one that it fetches from elsewhere; None
    where none answers within *seconds*, in all: looking up the name, connecting, and a server that drips.

    Source: Ollama, docs/api.md, "List Local Models", read 2026-11-21.
    """
    parts = urlsplit(base)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=seconds)
    answer: list[Any] = []
    # In a thread, since neither looking up a name nor a header that drips can be bounded otherwise.
    asking = threading.Thread(target=_ask, args=(connection, f"{parts.path}/api/tags", answer), name="llmkit-probe", daemon=True)
    asking.start()
    asking.join(seconds)
    if asking.is_alive() and connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
    return _first_that_chats(answer[0]) if answer else None


def _ask(connection: http.client.HTTPConnection, path: str, answer: list[Any]) -> None:
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        if reply.status == 200:
            answer.append(json.loads(reply.read(LISTING_LIMIT)))
    except (OSError, http.client.HTTPException, ValueError, AttributeError):  # the last: closed from outside in the middle
        return
    finally:
        connection.close()


def _first_that_chats(listing: Any) -> str | None:
    models = listing.get("models") if isinstance(listing, dict) else None
    rows = [row for row in models if isinstance(row, dict)] if isinstance(models, list) else []
    fit = [row for row in rows if isinstance(row.get("name"), str) and _chats(row)]
    fit.sort(key=lambda row: bool(row.get("remote_host")))
    return fit[0]["name"] if fit else None


def _chats(row: dict[str, Any]) -> bool:
    capabilities = row.get("capabilities")
    if isinstance(capabilities, list):
        return "completion" in capabilities
    details = row.get("details")
    family = details.get("family") if isinstance(details, dict) else None
    return "embed" not in row["name"] and family not in EMBEDDING_FAMILIES
