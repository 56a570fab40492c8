"""
From a rendered answer and its faults to the steps that put it on the wire.

Pure: a step is bytes to send or seconds to wait, and the connection carries them out. The faults of `Reply` meet here:
what is left out is cut from the steps, and how the connection ends follows from what was cut.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Literal

from attrs import frozen

from llmkit.testing.replies import Reply
from llmkit.testing.wires.base import Rendered

__all__ = ["Delivery", "Ending", "Step", "deliver"]

Step = bytes | float

Ending = Literal["keep", "close", "reset", "silence", "again"]
"""Serve the next request, send FIN, send RST, say no more, or answer the same request once more (after a 1xx)."""

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_TRAILER = 8  # bytes: CRC-32 and length. Source: RFC 1952, section 2.3.1.


@frozen(kw_only=True)
class Delivery:
    """One answer on its way."""

    steps: Iterator[Step]
    ending: Ending
    drop_next: Ending | None = None
    """How the connection ends when the next request arrives on it; None: it is answered."""


def deliver(rendered: Rendered, reply: Reply, *, persistent: bool = True, chunkable: bool = True) -> Delivery:
    """
    Return the steps that send *rendered* with the faults of *reply*.

    Args:
        persistent: Whether the client wants the connection kept.
        chunkable: Whether it knows chunked bodies; HTTP/1.0 does not.
    """
    if reply.hang:
        return Delivery(steps=_wait(reply.delay), ending="silence")
    if reply.garbage is not None:
        return Delivery(steps=_raw(reply, reply.garbage), ending="reset" if reply.reset else "close")
    framing = _framing(rendered, reply, chunkable=chunkable)
    ending = _ending(rendered, reply, persistent=persistent and framing != "close")
    if ending == "reset" and not _ends_by_itself(reply):
        return Delivery(steps=_wait(reply.delay), ending="reset")
    body = _encoded(rendered.body, reply)
    head = _head(rendered, reply, framing=framing, length=sum(map(len, body)), closes=ending in ("close", "reset"))
    steps = _paced(head, _framed(body, reply, framing=framing), reply)
    drop_next: Ending | None = ("reset" if reply.reset else "close") if reply.close_idle else None
    return Delivery(steps=steps, ending=ending, drop_next=drop_next)


def _ends_by_itself(reply: Reply) -> bool:
    """Whether something other than ``reset`` ends the connection in the course of this reply."""
    cut = reply.cut is not None or reply.cut_head is not None or reply.declared_length is not None
    return cut or reply.close or reply.close_idle or reply.framing == "close"


def _ending(rendered: Rendered, reply: Reply, *, persistent: bool) -> Ending:
    if rendered.status < 200:
        return "again"
    if reply.stall_after is not None:
        return "silence"
    if reply.close_idle:
        return "keep"
    if reply.reset:
        return "reset"
    return "keep" if persistent and not _ends_by_itself(reply) else "close"


def _framing(rendered: Rendered, reply: Reply, *, chunkable: bool) -> Literal["none", "length", "chunked", "close"]:
    if rendered.status < 200 or rendered.status in (204, 304):
        return "none"
    if reply.declared_length is not None:
        return "length"
    wanted = reply.framing or ("chunked" if rendered.streamed else "length")
    return "close" if wanted == "chunked" and not chunkable else wanted


def _head(rendered: Rendered, reply: Reply, *, framing: str, length: int, closes: bool) -> bytes:
    headers: dict[str, str | None] = {"date": _date(int(time.time())), "content-type": rendered.content_type}
    if rendered.status < 200:
        headers.clear()
    headers.update(rendered.headers)
    if reply.content_type is not None:
        headers["content-type"] = reply.content_type
    if reply.content_encoding is not None:
        headers["content-encoding"] = reply.content_encoding
    if framing == "length":
        headers["content-length"] = str(length if reply.declared_length is None else reply.declared_length)
    elif framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    # A cut must come as a surprise: only a reply that is whole says that it will close.
    if reply.close or framing == "close" or (closes and not _ends_by_itself(reply)):
        headers["connection"] = "close"
    for name, value in reply.headers.items():
        headers[name.lower()] = value
    lines = [f"HTTP/1.1 {rendered.status} {_REASONS.get(rendered.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _encoded(body: Sequence[bytes], reply: Reply) -> Sequence[bytes]:
    """Compress piece by piece, so that each stream event can be decoded when it arrives."""
    if reply.content_encoding is None:
        return body
    packer = zlib.compressobj(wbits=_GZIP if reply.content_encoding == "gzip" else zlib.MAX_WBITS)
    packed = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in body]
    end = packer.flush(zlib.Z_FINISH)
    return [*packed, end[:-_GZIP_TRAILER] if reply.truncate_gzip else end]


def _framed(body: Sequence[bytes], reply: Reply, *, framing: str) -> Iterator[bytes]:
    """Yield the body as it is framed, up to where the reply cuts it or falls silent."""
    if framing == "none":
        return
    left = _allowance(body, reply)
    chunked = framing == "chunked"
    for index, piece in enumerate(body):
        if index == reply.stall_after or left == 0:
            return
        if not piece:
            continue
        if left is not None and len(piece) > left:
            yield (b"%x\r\n" % len(piece) if chunked else b"") + piece[:left]
            return
        if left is not None:
            left -= len(piece)
        yield b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
    if chunked and left is None and reply.stall_after is None:
        yield b"0\r\n\r\n"


def _allowance(body: Sequence[bytes], reply: Reply) -> int | None:
    """Return how many bytes of the body may be sent, or None for all."""
    if reply.cut is None or reply.cut >= 0:
        return reply.cut
    return max(0, sum(map(len, body)) + reply.cut)


def _wait(seconds: float) -> Iterator[Step]:
    if seconds:
        yield seconds


def _raw(reply: Reply, data: bytes) -> Iterator[Step]:
    yield from _wait(reply.delay)
    yield from _dripped(data, reply.drip)


def _dripped(data: bytes, seconds: float) -> Iterator[Step]:
    if not seconds:
        yield data
        return
    for index in range(len(data)):
        yield data[index : index + 1]
        yield seconds


def _paced(head: bytes, body: Iterator[bytes], reply: Reply) -> Iterator[Step]:
    yield from _wait(reply.delay)
    yield from _dripped(head[: reply.cut_head], reply.drip if reply.drip_from == "head" else 0.0)
    if reply.cut_head is not None:
        return
    yield from _wait(reply.after_head)
    if not reply.drip and not reply.between:
        yield from body
        return
    for index, piece in enumerate(body):
        yield from _wait(reply.between if index else 0.0)
        yield from _dripped(piece, reply.drip)
