from __future__ import annotations

import pickle

from llmkit.dialects.framing import FramingError


def test_the_message_names_the_place() -> None:
    """Where a byte can be named, the sentence ends with it."""
    error = FramingError("The checksum of a frame is wrong", 153)

    assert "The checksum of a frame is wrong (at byte 153)" == str(error)


def test_without_a_place_the_message_stands_alone() -> None:
    """An error of the whole document names no byte."""
    assert "NaN is not JSON" == str(FramingError("NaN is not JSON"))


def test_the_error_survives_pickling() -> None:
    """A copy made by pickle, as process pools make it, has the same facts."""
    error = FramingError("The checksum of a frame is wrong", 153)

    copy = pickle.loads(pickle.dumps(error))

    assert ("The checksum of a frame is wrong", 153) == (copy.message, copy.offset)


def test_the_error_is_a_value_error() -> None:
    """Code that knows only the standard library's errors of decoding catches it too."""
    assert issubclass(FramingError, ValueError)
