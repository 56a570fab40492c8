"""Texts to embed, and their vectors."""

from __future__ import annotations

import json
import pickle
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.errors import ConfigurationError
from llmkit.models.embedding import EmbeddingResponse, Filling, Vectors, make_embedding_request
from llmkit.models.usage import Usage

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("inputs", ["a", ["a"], ("a",), iter(["a"])])
def test_one_text_may_be_given_in_any_way(inputs: Any) -> None:
    """By itself, in a list, or by something that yields it."""
    assert ("a",) == make_embedding_request(inputs, model="m").inputs


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        ([], "inputs is empty"),
        (b"bytes", "not bytes"),
        ({"a": 1}, "not dict"),
        (7, "not int"),
        (["a", 7], r"inputs\[1\] is a string, not int"),
        ([["a"]], r"inputs\[0\] is a string, not list"),
    ],
)
def test_what_is_no_text_is_refused_by_its_place(inputs: Any, word: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match=word):
        make_embedding_request(inputs, model="m")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dimensions", 0),
        ("dimensions", True),
        ("dimensions", "256"),
        ("input_type", ""),
        ("input_type", 3),
        ("user", ""),
        ("extra_body", 3),
        ("extra_headers", {"Host": "x"}),
        ("temperature", 7),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_by_name(name: str, value: Any) -> None:
    """As everywhere."""
    with pytest.raises(ConfigurationError, match=name if name != "extra_headers" else "Host"):
        make_embedding_request("a", model="m", **{name: value})


def test_vectors_are_a_sequence_of_lists() -> None:
    """That is what other libraries take."""
    vectors = Vectors.of([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])

    assert 3 == len(vectors)
    assert [0.3, 0.4] == vectors[1]
    assert [0.5, 0.6] == vectors[-1]
    assert [[0.1, 0.2], [0.5, 0.6]] == vectors[::2]
    assert [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]] == vectors.tolist() == list(vectors)
    assert "[[0.1,0.2]]" == json.dumps(vectors[:1], separators=(",", ":"))
    assert "<3 vectors of 2 numbers>" == repr(vectors)
    with pytest.raises(IndexError):
        vectors[3]


def test_vectors_compare_with_lists() -> None:
    """And with each other."""
    vectors = Vectors.of([[0.5, 0.25]])

    assert vectors == [[0.5, 0.25]]
    assert vectors == ((0.5, 0.25),)
    assert vectors == Vectors.of([array("f", [0.5, 0.25])])
    assert vectors != [[0.5, 0.25], [0.5, 0.25]]
    assert vectors != [[0.5, 0.3]]
    assert vectors != "vectors"


@given(st.integers(1, 5).flatmap(lambda size: st.lists(st.lists(FLOATS, min_size=size, max_size=size), min_size=1, max_size=6)))
def test_no_number_changes_by_being_packed(rows: list[list[float]]) -> None:
    """Decimals keep all their digits."""
    assert rows == Vectors.of(rows).tolist()


def test_floats_of_32_bits_stay_small() -> None:
    """As they came."""
    vectors = Vectors.of([array("f", [0.1, 0.2])])

    assert 4 == vectors.numbers.itemsize
    assert [array("f", [0.1])[0], array("f", [0.2])[0]] == vectors[0]


@pytest.mark.parametrize(
    ("rows", "error"),
    [([], ValueError), ([[]], ValueError), ([[1.0], [1.0, 2.0]], ValueError), ([["a"]], TypeError), ([None], TypeError)],
)
def test_what_is_no_matrix_is_none(rows: Any, error: type[Exception]) -> None:
    """Its maker says why."""
    with pytest.raises(error):
        Vectors.of(rows)


@given(st.permutations(range(6)), st.integers(1, 5))
def test_parts_fill_their_places_in_any_order(places: list[int], at: int) -> None:
    """However they come."""
    filling = Filling(6)

    for part in (places[:at], places[at:]):
        filling.put(Vectors.of([[float(place), 0.5] for place in part]), part)

    assert [[float(place), 0.5] for place in range(6)] == filling.vectors.tolist()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_no_number_changes_where_widths_differ(order: tuple[int, int]) -> None:
    """Also when a server changes its encoding between two parts: the wider wins."""
    parts = [Vectors.of([array("f", [0.1])]), Vectors.of([[0.1]])]
    filling = Filling(2)

    for place in order:
        filling.put(parts[place], [place])

    assert [[array("f", [0.1])[0]], [0.1]] == filling.vectors.tolist()
    assert 8 == filling.vectors.numbers.itemsize


def test_one_part_for_all_places_is_not_copied() -> None:
    """One that is in another order, or has too much, is."""
    whole = Vectors.of([[0.5], [0.25]])
    first, second = Filling(2), Filling(2)

    first.put(whole, range(2))
    second.put(Vectors.of([[0.25], [9.0], [0.5]]), [1, None, 0])

    assert whole.numbers is first.vectors.numbers
    assert whole == second.vectors


def test_vectors_of_another_length_fill_no_place() -> None:
    """What was only looked at counts too, as it is about to be put."""
    filling = Filling(2)
    filling.check(Vectors.of([[1.0]]))

    for refused in (filling.check, lambda part: filling.put(part, [0])):
        with pytest.raises(ValueError, match="some vectors have 2 numbers, others 1"):
            refused(Vectors.of([[1.0, 2.0]]))


@pytest.mark.parametrize("code", ["f", "d"])
def test_numpy_sees_them_without_copying(code: str) -> None:
    """And cannot change them."""
    numpy = pytest.importorskip("numpy")
    vectors = Vectors.of([array(code, [0.5, 0.25, 1.0]), array(code, [2.0, 4.0, 8.0])])

    matrix = numpy.asarray(vectors)

    assert (2, 3) == matrix.shape
    assert f"float{8 * vectors.numbers.itemsize}" == str(matrix.dtype)
    assert vectors.tolist() == matrix.tolist()
    assert not matrix.flags.writeable
    assert numpy.shares_memory(matrix, numpy.frombuffer(vectors.numbers, dtype=matrix.dtype))


def test_a_response_travels() -> None:
    """To another process."""
    answer = EmbeddingResponse(vectors=Vectors.of([[0.1]]), usage=Usage(input_tokens=1), model="m", provider="p")

    assert answer == pickle.loads(pickle.dumps(answer))
