"""Texts that are kept elsewhere, and never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.config.references import expand, is_reference, referenced
from llmkit.errors import ConfigurationError
from llmkit.secrets import Hidden, Referenced

KEY = "sk-canary-0123456789"


@pytest.mark.parametrize("text", ["${ACME_KEY}", "env:ACME_KEY", "os.environ/ACME_KEY"])
def test_a_variable_is_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each way that people write it; its name is known afterwards."""
    monkeypatch.setenv("ACME_KEY", KEY)

    found = expand(text)

    assert KEY == found
    assert isinstance(found, Referenced)
    assert "ACME_KEY" == found.source


def test_a_file_is_read_from_beside_the_file_that_names_it(tmp_path: Path) -> None:
    """Without the end of its line; also by its whole path, and as a URL."""
    (tmp_path / "key").write_text(f"{KEY}\n")

    assert KEY == expand("file:key", str(tmp_path))
    assert KEY == expand(f"file:{tmp_path / 'key'}", "/elsewhere")
    assert KEY == expand(f"file://{tmp_path / 'key'}")


def test_a_file_of_the_users_home_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would find it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text(KEY)

    assert KEY == expand("file:~/key", "/elsewhere")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("https://${HOST}/v1", "https://llm.example/v1"),
        ("${HOST}${HOST}", "llm.examplellm.example"),
        ("${NOBODY:-here}", "here"),
        ("${BLANK:-here}", "here"),
        ("${HOST:-here}", "llm.example"),
        ("a${NOBODY:-}b", "ab"),
        ("$${HOST}", "${HOST}"),
        ("$HOST", "$HOST"),
        ("no reference at all", "no reference at all"),
        ("env:two words", "env:two words"),
        ("file: a heading", "file: a heading"),
        ("", ""),
    ],
)
def test_references_inside_a_text_are_replaced(text: str, result: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default counts where the variable has nothing; two signs of money are one."""
    monkeypatch.setenv("HOST", "llm.example")
    monkeypatch.setenv("BLANK", "")
    monkeypatch.delenv("NOBODY", raising=False)

    assert result == expand(text)


def test_what_a_variable_holds_is_not_expanded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key may have any signs in it."""
    monkeypatch.setenv("ACME_KEY", "a${HOST}b")

    assert "a${HOST}b" == expand("${ACME_KEY}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${NOBODY}", "variable NOBODY is not set"),
        ("x${NOBODY}", "variable NOBODY is not set"),
        ("env:BLANK", "variable BLANK is empty"),
        ("${no closing", "begins a reference"),
        ("${1}", "begins a reference"),
        ("file:gone", "There is no file"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(text: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name."""
    monkeypatch.setenv("BLANK", "")
    monkeypatch.delenv("NOBODY", raising=False)

    with pytest.raises(ConfigurationError, match=words):
        expand(text)


def test_a_reference_pickles_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side reads its own."""
    monkeypatch.setenv("ACME_KEY", KEY)
    packed = pickle.dumps(referenced("env:ACME_KEY"))
    monkeypatch.setenv("ACME_KEY", "sk-of-the-other-side")

    again = pickle.loads(packed)

    assert KEY.encode() not in packed
    assert "sk-of-the-other-side" == again


def test_neither_kind_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """By repr, as frames and containers are printed."""
    monkeypatch.setenv("ACME_KEY", KEY)

    shown = repr({"a": Hidden(KEY), "b": [referenced("${ACME_KEY}")]})

    assert "{'a': '***', 'b': [<${ACME_KEY}>]}" == shown


@given(st.text())
def test_a_text_without_marks_is_left_alone(text: str) -> None:
    """Whatever it is."""
    if "${" not in text and not is_reference(text):
        assert text == expand(text)


@given(st.text(alphabet="${}A:-", max_size=12))
def test_every_text_is_expanded_or_refused_by_name(text: str) -> None:
    """Nothing else can come of it."""
    try:
        found = expand(text)
    except ConfigurationError as error:
        assert "reference" in error.message or "variable" in error.message
    else:
        assert isinstance(found, str)


@given(st.text())
def test_a_doubled_sign_makes_any_text_literal(text: str) -> None:
    """So that everything can be said."""
    if "${" not in text and not text.endswith("$"):
        assert f"{text}${{NOBODY}}" == expand(f"{text}$${{NOBODY}}")
