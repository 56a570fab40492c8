from __future__ import annotations

import pytest
from attrs import define

from llmkit.dialects.base import WireError
from llmkit.dialects.framing import FramingError
from llmkit.dialects.reading import StreamReader
from llmkit.models.chunk import CompletionChunk
from llmkit.transport.base import HttpResponse


@define(kw_only=True)
class Letters(StreamReader):
    """Each letter is a chunk, ``!`` an error, ``?`` nothing that can be read, and ``.`` the end."""

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        for letter in data.decode():
            if letter == "!":
                raise WireError.malformed("The server said so.", self.answer_to)
            if letter == "?":
                raise FramingError("No letter.")
            if letter == ".":
                self.ended = True
                return
            chunks.append(CompletionChunk(letter))

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._read(b"z", chunks)
        raise WireError.truncated("There was no full stop.", self.answer_to)


@pytest.fixture
def reader() -> Letters:
    return Letters(answer_to=HttpResponse(status=200, headers={}, body=b""))


@pytest.mark.parametrize(("data", "message"), [(b"ab!c", "The server said so."), (b"ab?c", "No letter.")])
def test_what_came_before_an_error_is_on_it(reader: Letters, data: bytes, message: str) -> None:
    """Whether the server told the error or nobody can read what it sent."""
    with pytest.raises(WireError) as caught:
        reader.feed(data)

    assert ["a", "b"] == [chunk.text for chunk in caught.value.chunks]
    assert ("malformed", message) == (caught.value.fault.kind, caught.value.fault.message)


def test_what_came_with_the_end_is_on_the_error_that_it_is_too_early(reader: Letters) -> None:
    """Bytes ending is no proof."""
    with pytest.raises(WireError) as caught:
        reader.finish()

    assert ["z"] == [chunk.text for chunk in caught.value.chunks]
    assert "truncated" == caught.value.fault.kind


def test_behind_the_end_is_nothing(reader: Letters) -> None:
    """Neither bytes nor their end."""
    assert ["a"] == [chunk.text for chunk in reader.feed(b"a.b")]

    assert [] == reader.feed(b"c!")
    assert [] == reader.finish()
