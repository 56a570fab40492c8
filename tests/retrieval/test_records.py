"""Documents: their ids, digests and metadata. (What is refused is tested where users meet it.)"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmkit.retrieval.records import Document, Record, as_documents, as_ids

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé\u2028 "),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
)


def one(text: str, metadata: Any = None, id: str | None = None, made_by: str = "m") -> Document:
    return as_documents([text], None if id is None else [id], None if metadata is None else [metadata], made_by=made_by)[0]


def test_an_id_is_made_of_the_content() -> None:
    """Of text and metadata, whatever the order of its keys; not of who embeds it."""
    document = one("a", {"x": 1, "y": 2})

    assert document.id == one("a", {"y": 2, "x": 1}).id == one("a", {"x": 1, "y": 2}, made_by="other").id
    assert 5 == len({document.id, one("b", {"x": 1, "y": 2}).id, one("a").id, one("a", {"x": 1}).id, one("a", {"x": 1.0, "y": 2}).id})


def test_an_id_stays_the_same_for_ever() -> None:
    """What was stored by one version is found by the next."""
    assert "e46dc813c4295635c5fd3402ff405c8e" == one("a cat", {"page": 1}).id


def test_a_digest_is_of_everything() -> None:
    """Of the content and of who embeds it; the id says nothing of it."""
    assert one("a").digest == one("a", id="mine").digest
    assert 4 == len({one("a").digest, one("b").digest, one("a", {"x": 1}).digest, one("a", made_by="other").digest})


@given(st.dictionaries(st.text("abc", min_size=1), JSON, max_size=3))
def test_metadata_comes_back_as_it_was(metadata: dict[str, Any]) -> None:
    """All that JSON can say; a tuple is a list."""
    assert metadata == Record.of(one("a", metadata), [1.0]).metadata


def test_metadata_is_the_documents_own() -> None:
    """What is changed after the call, or in one of its records, changes nothing else."""
    given = {"tags": ["x"]}
    documents = as_documents(["a", "b"], None, given, made_by="m")
    first = Record.of(documents[0], [1.0])

    given["tags"].append("y")
    first.metadata["tags"].append("z")

    assert {"tags": ["x"]} == Record.of(documents[1], [1.0]).metadata


def test_any_iterable_will_do() -> None:
    """Each is taken once."""
    documents = as_documents((text for text in "ab"), iter(["1", "2"]), ({"n": n} for n in range(2)), made_by="m")

    assert [("1", "a", '{"n": 0}'), ("2", "b", '{"n": 1}')] == [(made.id, made.text, made.metadata) for made in documents]
    assert ["1", "2"] == as_ids(iter(["1", "2"]))


def test_a_vector_does_not_flood_a_repr() -> None:
    """It is long, and says nothing to a reader."""
    assert "vector" not in repr(Record.of(one("a"), [1.0] * 1536))
