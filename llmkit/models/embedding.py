"""
Texts as vectors: what is asked for, checked at the door, and what comes back.

Vectors are kept packed, as the wire gave them (4 bytes a number where it sends 32-bit floats, else 8), and become lists of floats when
they are looked at: ten thousand of 1,536 numbers are 61 MB so, and would be half a gigabyte as lists.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, overload

from attrs import field

from llmkit.errors import ConfigurationError
from llmkit.models.request import check_parameter
from llmkit.models.usage import Usage
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.models.ledger import Attempt

__all__ = ["EMBEDDING_PARAMETERS", "EmbeddingRequest", "EmbeddingResponse", "Filling", "Vectors", "make_embedding_request"]

EMBEDDING_PARAMETERS = frozenset({"dimensions", "input_type", "user", "extra_body", "extra_headers"})


@frozen(kw_only=True)
class EmbeddingRequest:
    """What is to be embedded, and how. ``input_type`` says what the texts are for, in our words or the provider's."""

    inputs: tuple[str, ...]
    model: str = ""
    dimensions: int | None = None
    input_type: str | None = None
    user: str | None = None
    extra_body: Mapping[str, Any] | None = field(default=None, repr=False)
    extra_headers: Mapping[str, str] | None = field(default=None, repr=False)


def make_embedding_request(inputs: Any, *, model: str, **parameters: Any) -> EmbeddingRequest:
    """
    Return the request for *inputs*, a string or strings; a parameter that is None was not said.

    Raises:
        ConfigurationError: If there is no input, or something is not what it must be; it names it.
    """
    said = {name: _checked(name, value) for name, value in parameters.items() if value is not None}
    return EmbeddingRequest(inputs=_as_inputs(inputs), model=model, **said)


def _as_inputs(inputs: Any) -> tuple[str, ...]:
    if isinstance(inputs, str):
        return (inputs,)
    if isinstance(inputs, (bytes, Mapping)) or not isinstance(inputs, Iterable):
        msg = f"inputs is a string or strings, not {type(inputs).__name__}."
        raise ConfigurationError(msg)
    texts = tuple(inputs)
    if not texts:
        msg = "inputs is empty: there is nothing to embed."
        raise ConfigurationError(msg)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            msg = f"inputs[{index}] is a string, not {type(text).__name__}."
            raise ConfigurationError(msg)
    return texts


def _checked(name: str, value: Any) -> Any:
    if name == "dimensions":
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            msg = f"dimensions is a whole number of at least 1, not {value!r}."
            raise ConfigurationError(msg)
        return value
    if name == "input_type":
        if not isinstance(value, str) or not value:
            msg = f"input_type is a string that is not empty, such as 'query' or 'document', not {value!r}."
            raise ConfigurationError(msg)
        return value
    return check_parameter(name, value)


@frozen(eq=False, repr=False)
class Vectors(Sequence[list[float]]):
    """
    Vectors of one length, in the order of the inputs: a sequence of lists of floats, which compares like one.

    ``numpy.asarray(vectors)`` is a matrix of them without copying a number; ``tolist()`` makes lists of them all, for JSON.
    """

    numbers: array[float]  # those of all vectors, one after the other
    dimensions: int

    @classmethod
    def of(cls, rows: Iterable[Iterable[float]]) -> Vectors:
        """
        Return *rows*, of which each is an ``array`` or a list of numbers.

        Raises:
            ValueError: If there are none, one is empty, or they differ in length.
            TypeError: If something in them is no number.
        """
        numbers: array[float] | None = None
        dimensions = 0
        for row in rows:
            packed = row if isinstance(row, array) else array("d", row)
            if numbers is None:
                numbers, dimensions = _empty_like(packed), len(packed)
            if not packed or len(packed) != dimensions:
                msg = f"a vector has {len(packed)} numbers, the first one {dimensions}"
                raise ValueError(msg)
            _extend(numbers, packed)
        if numbers is None:
            msg = "there is no vector"
            raise ValueError(msg)
        return cls(numbers, dimensions)

    def __len__(self) -> int:
        return len(self.numbers) // self.dimensions

    @overload
    def __getitem__(self, index: int) -> list[float]: ...

    @overload
    def __getitem__(self, index: slice) -> list[list[float]]: ...

    def __getitem__(self, index: int | slice) -> list[float] | list[list[float]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        start = range(len(self))[index] * self.dimensions
        return self.numbers[start : start + self.dimensions].tolist()

    def __iter__(self) -> Iterator[list[float]]:
        return (self[number] for number in range(len(self)))

    def tolist(self) -> list[list[float]]:
        """Return the vectors as lists of floats."""
        return list(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Vectors):
            return self.dimensions == other.dimensions and self.numbers == other.numbers
        if isinstance(other, (list, tuple)):
            return len(self) == len(other) and all(mine == list(theirs) for mine, theirs in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        return f"<{len(self)} vectors of {self.dimensions} numbers>"

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """What NumPy asks for. Source: NumPy, "The array interface protocol", version 3, read 2026-11-21."""
        order = "<" if sys.byteorder == "little" else ">"
        return {
            "shape": (len(self), self.dimensions),
            "typestr": f"{order}f{self.numbers.itemsize}",
            "data": memoryview(self.numbers).toreadonly(),
            "version": 3,
        }


def _empty_like(numbers: array[float]) -> array[float]:
    return array("f" if numbers.typecode == "f" else "d")


def _extend(numbers: array[float], more: array[float]) -> None:
    # One of another width is taken number by number.
    numbers.extend(more) if numbers.typecode == more.typecode else numbers.fromlist(more.tolist())


class Filling:
    """Vectors for *count* places, that come in parts and in no order; memory for all of them is taken with the first part."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._numbers: array[float] | None = None
        self._dimensions = 0

    def check(self, part: Vectors) -> None:
        """Raise ``ValueError`` if *part* has vectors of another length than the first that was checked or put."""
        if not self._dimensions:
            self._dimensions = part.dimensions
        if self._dimensions != part.dimensions:
            msg = f"some vectors have {part.dimensions} numbers, others {self._dimensions}"
            raise ValueError(msg)

    def put(self, part: Vectors, places: Sequence[int | None]) -> None:
        """
        Put each of *part* in its place; one whose place is None is left out.

        Raises:
            ValueError: If they are of another length than those before them.
        """
        self.check(part)
        if self._numbers is None:
            if len(part) == self._count and list(places) == list(range(self._count)):
                self._numbers = part.numbers
                return
            self._numbers = array(part.numbers.typecode, [0.0]) * (self._count * self._dimensions)
        elif part.numbers.itemsize > self._numbers.itemsize:
            # The wider wins, in whatever order they come: no number may change by being put here.
            self._numbers = array("d", self._numbers)
        same = part.numbers.typecode == self._numbers.typecode
        numbers = part.numbers if same else array(self._numbers.typecode, part.numbers)
        size = self._dimensions * numbers.itemsize
        into, out_of = memoryview(self._numbers).cast("B"), memoryview(numbers).cast("B")
        for row, place in enumerate(places):
            if place is not None:
                into[place * size : (place + 1) * size] = out_of[row * size : (row + 1) * size]

    @property
    def vectors(self) -> Vectors:
        """All of them, once every place has one."""
        assert self._numbers is not None  # there are no texts without vectors
        return Vectors(self._numbers, self._dimensions)


@frozen(kw_only=True)
class EmbeddingResponse:
    """
    The vectors of all inputs, in their order.

    ``usage`` is summed over all requests that it took, those of earlier runs that a checkpoint had included, and ``attempts`` the ledger
    of them all. ``model`` is the name that the provider
    gave. ``cost`` is US dollars, None where it is not known. ``elapsed`` is seconds from call to answer.
    """

    vectors: Vectors
    usage: Usage
    cost: Decimal | None = None
    model: str = ""
    provider: str = ""
    attempts: tuple[Attempt, ...] = field(default=(), repr=False)
    elapsed: float = 0.0
