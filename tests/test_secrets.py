"""Keeping secrets out of sight."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import pprint
import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.secrets import MASK, Headers, Secret, clean, fingerprint

KEY = "sk-canary/+=0123456789"
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=60)


@pytest.mark.parametrize(
    "show", [str, repr, "{}".format, "{!r}".format, "{:>40}".format, "%s".__mod__, "%r".__mod__, ascii, pprint.pformat]
)
def test_a_secret_does_not_show_itself(show: object) -> None:
    """However it is made into text, alone or inside of something."""
    for holder in (Secret(KEY), [Secret(KEY)], {"key": (Secret(KEY),)}):
        if isinstance(holder, Secret) or show is not "{:>40}".format:
            try:
                shown = show(holder)  # type: ignore[operator]  # each is a function of one value
            except TypeError:
                continue  # a format specification is for the secret alone
            assert "canary" not in shown
            assert MASK in shown


def test_a_secret_is_not_in_a_log_or_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Not even in one that prints local variables."""
    key = Secret(KEY)
    logging.getLogger("llmkit").warning("the key is %s or %r", key, key)
    try:
        raise ValueError(key)
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert MASK in shown
    assert "canary" not in shown + caplog.text


def test_a_secret_is_given_to_whoever_asks_for_it() -> None:
    """By one word that is easily searched for."""
    assert KEY == Secret(KEY).reveal()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_refuses_to_be_pickled(protocol: int) -> None:
    """With the way out, and without the secret."""
    with pytest.raises(TypeError, match="pickle_keys=True") as refused:
        pickle.dumps({"key": Secret(KEY)}, protocol)

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, json.dumps, vars])
def test_a_secret_leaves_by_no_side_door(way: object) -> None:
    """Copies, JSON and the inside of the object are refused."""
    with pytest.raises(TypeError):
        way(Secret(KEY))  # type: ignore[operator]  # each is a function of one value


def test_secrets_compare_by_what_they_hide() -> None:
    """So that a pool can tell its keys apart."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert ({Secret("a")}, False) == ({Secret("a"), Secret("a")}, Secret("a") == "a")
    assert (True, False) == (bool(Secret("a")), bool(Secret("")))


@pytest.mark.parametrize(
    ("value", "fit"), [("sk-1", True), ("", False), ("a b", False), ("a\n", False), ("ä", False), ("\x7f", False), ("a\x00", False)]
)
def test_a_secret_is_fit_for_a_header_or_not(value: str, fit: bool) -> None:
    """Visible ASCII, at least one character of it."""
    assert fit == Secret(value).is_fit()


@pytest.mark.parametrize("name", ["Authorization", "api-key", "X-Goog-Api-Key", "Cookie", "X-Invented-Tomorrow"])
def test_headers_show_harmless_values_only(name: str) -> None:
    """What is not known to be harmless is taken for a credential."""
    headers = Headers({name: KEY, "Content-Type": "application/json"})

    for shown in (repr(headers), str(headers), f"{headers}", repr([headers.copy()]), pprint.pformat(headers)):
        assert "canary" not in shown
        assert "application/json" in shown
    assert KEY == headers[name]


def test_a_fingerprint_tells_keys_apart() -> None:
    """In eight hex digits, which say nothing of the key."""
    prints = {fingerprint(f"sk-{n}") for n in range(100)}

    assert (100, {8}) == (len(prints), {len(mark) for mark in prints})
    assert fingerprint("a") == fingerprint("a")
    assert 8 == len(fingerprint("\ud800"))


# -- cleaning


@given(key=KEYS, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_key_is_masked_wherever_it_stands(key: str, before: str, after: str) -> None:
    """As it is, and percent-encoded with either case and either notion of what is safe, or escaped by JSON."""
    escaped = json.dumps(key)[1:-1]
    lower = "".join(f"%{ord(char):02x}" if quote(char, safe="") != char else char for char in key)
    for form in (key, quote(key, safe=""), quote(key), lower, escaped, escaped.replace("/", "\\/")):
        shown = clean(before + form + after, [key])

        assert form not in shown or form in before + MASK + after
        assert MASK in shown


@given(key=KEYS, around=st.binary(max_size=9), after=st.binary(max_size=9))
def test_a_key_in_base64_is_masked(key: str, around: bytes, after: bytes) -> None:
    """Whatever stands before and behind it: all but its edges, which its neighbours share, is gone."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(around + key.encode() + after).decode()

        shown = clean(text, [key])

        assert MASK in shown
        left = shown.replace(MASK, "")
        assert len(left) <= len(text) - (len(key) * 4 // 3 - 8)


def test_a_key_behind_a_user_name_is_masked() -> None:
    """As Basic authentication has it, at each of three offsets."""
    for user in ("", "a", "ab", "abc"):
        header = base64.b64encode(f"{user}:{KEY}".encode()).decode()

        assert header[8:-4] not in clean(f"Basic {header}", [KEY])


def test_a_key_that_another_begins_with_leaves_nothing_of_it() -> None:
    """The longer one is masked first, in whichever order they come."""
    for keys in (["sk-live", "sk-live-2-canary"], ["sk-live-2-canary", "sk-live"]):
        assert "*** and ***" == clean("sk-live-2-canary and sk-live", keys)


def test_short_words_are_no_secrets() -> None:
    """They would be found inside of harmless ones."""
    assert "abcabc" == clean("abcabc", ["", "a", "abc"])


@given(text=st.text(max_size=60))
def test_nothing_that_drives_a_terminal_is_left(text: str) -> None:
    """Control characters are written out; lines and tabs stay."""
    shown = clean(text)

    assert not [char for char in shown if char not in "\t\n" and (ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0)]
    assert text == shown or len(shown) > len(text)


def test_control_characters_are_written_out() -> None:
    """So that what was sent can still be seen."""
    assert "a\\x1b[31m\\x0d\n\\x9b" == clean("a\x1b[31m\r\n\x9b")


@given(text=st.text(min_size=1, max_size=50), limit=st.integers(1, 60))
def test_a_text_is_cut_at_its_limit(text: str, limit: int) -> None:
    """With a sign that it goes on."""
    shown = clean(text, limit=limit)

    assert len(shown) <= limit
    assert shown == clean(text) or shown.endswith("…")


def test_a_key_across_the_limit_is_masked_first() -> None:
    """Half a key would be shown otherwise."""
    assert "canary" not in clean("x" * 10 + KEY, [KEY], limit=20)


def test_what_may_be_a_credential_in_headers_is_told() -> None:
    """Everything but what is known to be harmless: a date and a host are not to be masked in an error's text."""
    headers = Headers({"Authorization": "Bearer sk-1", "X-Amz-Date": "20260115T120000Z", "host": "a.example", "X-New": "sk-2"})

    assert {"sk-1", "sk-2"} == headers.credentials()
