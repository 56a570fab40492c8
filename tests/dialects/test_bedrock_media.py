"""Pictures, documents and sounds as blocks of Converse, and the names of documents."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.bedrock_media import DocumentNames, write_media
from llmkit.errors import ConfigurationError
from llmkit.models.content import Audio, Document, Image


def block(part: Any) -> Any:
    return write_media(part, DocumentNames(), owner="bedrock")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image(data=b"hi", media_type="image/jpg"), {"image": {"format": "jpeg", "source": {"bytes": "aGk="}}}),
        (Image(url="data:image/webp;base64,aGk="), {"image": {"format": "webp", "source": {"bytes": "aGk="}}}),
        (Image(url="s3://b/x/cat.JPG"), {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://b/x/cat.JPG"}}}}),
        (
            Document(url="s3://b/x/My report.pdf"),
            {"document": {"format": "pdf", "name": "My report", "source": {"s3Location": {"uri": "s3://b/x/My report.pdf"}}}},
        ),
        (
            Document(data=b"hi", media_type="text/markdown; charset=utf-8"),
            {"document": {"format": "md", "name": "document", "source": {"bytes": "aGk="}}},
        ),
        (
            Document(data=b"hi", media_type="text/x-python", name="a.py"),
            {"document": {"format": "txt", "name": "a", "source": {"bytes": "aGk="}}},
        ),
        (Audio(data=b"hi", media_type="audio/x-wav"), {"audio": {"format": "wav", "source": {"bytes": "aGk="}}}),
    ],
)
def test_media_are_blocks(part: Any, expected: Any) -> None:
    """With their format, as data or where they lie in S3."""
    assert expected == block(part)


@pytest.mark.parametrize(
    ("part", "match"),
    [
        (Image(url="https://x.example/cat.png"), "not by URL"),
        (Image(url="data:image/png,hi"), "base64 only"),
        (Image(data=b"x", media_type="image/tiff"), "not as image/tiff"),
        (Image(url="s3://b/cat"), "no media_type"),
        (Document(data=b"x", media_type="application/zip"), "not as application/zip"),
        (Audio(data=b"x", media_type="audio/midi"), "not as audio/midi"),
    ],
)
def test_what_is_not_taken_is_refused(part: Any, match: str) -> None:
    """With what is."""
    with pytest.raises(ConfigurationError, match=match):
        block(part)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("John's report #1.pdf", "John s report 1"),
        ("a_b.tar.gz", "a b tar"),
        ("テスト　資料.xlsx", "document"),
        ("  x   y (1) [2]-z.txt", "x y (1) [2]-z"),
        (None, "document"),
        ("", "document"),
        (".pdf", "document"),
        ("n" * 300, "n" * 200),
    ],
)
def test_names_have_the_characters_that_are_taken(name: str | None, expected: str) -> None:
    """Without the ending, which the format says."""
    assert expected == DocumentNames().new(name)


@given(st.lists(st.none() | st.text(max_size=250), max_size=8))
def test_names_always_fit_and_differ(names: list[str | None]) -> None:
    """Whatever files are called."""
    given_names = DocumentNames()

    made = [given_names.new(name) for name in names]

    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"(?!.*  )[a-zA-Z0-9 \-()\[\]]{1,200}", one) for one in made)
