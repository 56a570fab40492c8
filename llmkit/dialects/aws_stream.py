"""The events in a binary stream of AWS: frames checked, exceptions raised, payloads decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmkit.dialects.aws_faults import exception_in, protocol_error
from llmkit.dialects.base import WireError
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.framing.eventstream import EventStreamDecoder
from llmkit.transport.base import HttpResponse

__all__ = ["FramedEvents"]


class FramedEvents:
    """Turns the bytes of the stream in *answer_to* into pairs of an event's name and its payload."""

    __slots__ = ("_answer_to", "_frames")

    def __init__(self, answer_to: HttpResponse) -> None:
        self._answer_to = answer_to
        self._frames = EventStreamDecoder()

    def read(self, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        """
        Yield what *data* completes.

        Raises:
            WireError: An exception that the service sent; ``protocol`` for a frame that fails a check, such as its checksum.
        """
        try:
            frames = self._frames.feed(data)
        except FramingError as error:
            raise protocol_error(error, self._answer_to) from None
        for frame in frames:
            failure = exception_in(frame, self._answer_to)
            if failure is not None:
                raise failure
            try:
                event = loads(frame.payload) if frame.payload else {}
            except FramingError as error:
                raise WireError.malformed(f"An event of the stream is not JSON: {error}.", self._answer_to) from None
            if event.__class__ is not dict:
                raise WireError.malformed("An event of the stream is no JSON object.", self._answer_to)
            yield str(frame.headers.get(":event-type", "")), event
        if frames:
            yield from self.read(b"")  # what is wrong behind these frames is told at once
