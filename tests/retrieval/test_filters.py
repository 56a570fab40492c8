"""One language of filters: what it says, what it refuses, and that all stores take it in the same way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit import ConfigurationError
from llmkit.retrieval import MemoryStore, QdrantStore, Record
from llmkit.retrieval.filters import holds, parse_filter

METADATA = {
    "lang": "en",
    "year": 2020,
    "score": 0.5,
    "draft": False,
    "tags": ["a", "b"],
    "none": None,
    "author": {"name": "Ada", "born": 1815},
}


@pytest.mark.parametrize(
    ("filter", "holding"),
    [
        (None, True),
        ({}, True),
        ({"lang": "en"}, True),
        ({"lang": "fr"}, False),
        ({"lang": {"$eq": "en", "$ne": "fr"}}, True),
        ({"year": 2020.0}, True),
        ({"year": {"$gte": 2020, "$lt": 2021}}, True),
        ({"year": {"$gt": 2020}}, False),
        ({"score": {"$lte": 0.5}}, True),
        ({"lang": {"$gt": 1}}, False),
        ({"draft": False}, True),
        ({"draft": 0}, False),
        ({"draft": {"$lt": 1}}, False),
        ({"tags": "b"}, True),
        ({"tags": {"$in": ["x", "a"]}}, True),
        ({"tags": {"$nin": ["x", "a"]}}, False),
        ({"tags": {"$ne": "x"}}, True),
        ({"missing": "x"}, False),
        ({"missing": {"$ne": "x"}}, True),
        ({"missing": {"$nin": ("x",)}}, True),
        ({"none": {"$ne": "x"}}, True),
        ({"author.name": "Ada", "author.born": {"$lt": 1900}}, True),
        ({"lang.name": "en"}, False),
        ({"lang": "en", "year": 1}, False),
        ({"$and": [{"lang": "en"}, {"year": 2020}]}, True),
        ({"$or": [{"lang": "fr"}, {"$and": [{"year": 2020}, {"tags": "a"}]}]}, True),
        ({"$or": [{"lang": "fr"}, {"year": 1}]}, False),
        ({"$or": [{"lang": "fr"}, {}]}, True),
    ],
)
def test_a_filter_says_what_it_says(filter: Any, holding: bool) -> None:
    """Of metadata as documents have it."""
    assert holding is holds(parse_filter(filter), METADATA)


@pytest.mark.parametrize(
    ("filter", "told"),
    [
        ("lang", "filter is a dict"),
        ({"year": {"$gtee": 1}}, "filter['year'].$gtee is not known. Did you mean '$gte'?"),
        ({"year": {"gt": 1}}, "filter['year'].gt is not known. Did you mean '$gt'?"),
        ({"$not": [{"a": 1}]}, "filter.$not is not known."),
        ({"$or": []}, "filter['$or'] is a list of filters that is not empty"),
        ({"$or": {"a": 1}}, "filter['$or'] is a list of filters"),
        ({"$or": [{"a": {"$xx": 1}}]}, "filter['$or'][0]['a'].$xx is not known"),
        ({"a": {}}, "filter['a'] is empty"),
        ({"a": None}, "filter['a']['$eq'] is a string, a number, True or False, not NoneType"),
        ({"a": [1]}, "filter['a']['$eq'] is a string"),
        ({"a": {"$in": "xy"}}, "filter['a']['$in'] is a list of values"),
        ({"a": {"$in": []}}, "filter['a']['$in'] is a list of values"),
        ({"a": {"$gt": "x"}}, "filter['a']['$gt'] is a number"),
        ({"a": {"$gt": True}}, "filter['a']['$gt'] is a number"),
        ({"a": float("nan")}, "filter['a']['$eq'] is a finite number"),
        ({1: 2}, "a field is named by a string"),
        ({"a..b": 2}, "a field is named by a string"),
        ({'a"b': 2}, "a field is named by a string"),
    ],
)
def test_what_is_wrong_is_refused_by_its_place(filter: Any, told: str) -> None:
    """Whatever is not understood is not passed over."""
    with pytest.raises(ConfigurationError) as caught:
        parse_filter(filter)

    assert told in str(caught.value)


FIELDS = st.sampled_from(["a", "b", "c.d"])
STRINGS = st.sampled_from(["", "x", "y", "1"])
NUMBERS = st.integers(-2, 2) | st.sampled_from([-0.5, 0.0, 1.0, 1.5])
SCALARS = STRINGS | NUMBERS | st.booleans()
VALUES = SCALARS | st.none() | st.lists(SCALARS | st.none(), max_size=3)
ENTRIES = st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES, "c": st.fixed_dictionaries({}, optional={"d": VALUES}) | SCALARS})
ASKED = (
    SCALARS
    | st.fixed_dictionaries({}, optional={"$eq": SCALARS, "$ne": SCALARS, "$gt": NUMBERS, "$lte": NUMBERS}).filter(bool)
    | st.fixed_dictionaries({"$in": st.lists(SCALARS, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"$nin": st.lists(SCALARS, min_size=1, max_size=3)})
)
PLAIN = st.dictionaries(FIELDS, ASKED, max_size=2)
FILTERS = st.recursive(
    PLAIN,
    lambda inner: st.sampled_from(["$and", "$or"]).flatmap(
        lambda joint: st.fixed_dictionaries({joint: st.lists(inner, min_size=1, max_size=3)})
    ),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ENTRIES, min_size=1, max_size=6), FILTERS)
def test_all_stores_take_a_filter_in_the_same_way(entries: list[dict[str, Any]], filter: dict[str, Any]) -> None:
    """What Qdrant finds, the store in memory finds."""
    records = [Record(id=str(n), text="t", metadata=entry, digest="d", vector=[1.0, n]) for n, entry in enumerate(entries)]
    wanted = parse_filter(filter)
    found = []

    for store in (MemoryStore(), QdrantStore()):
        store.create("all", 2)
        store.upsert("all", records)
        found.append({hit.id for hit in store.search("all", [1.0, 0.0], limit=10, filter=wanted)})
        assert len(found[-1]) == store.count("all", wanted)
        store.delete("all", filter=wanted)
        assert len(records) - len(found[-1]) == store.count("all")
        store.close()

    assert found[0] == found[1]
