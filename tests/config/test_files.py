"""Configuration files, and what only looks like one."""

from __future__ import annotations

import builtins
import json
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigurationError
from llmkit.config.files import load_shelf

KEY = "sk-canary-0123456789"
ARGUMENTS = {"provider": "openai", "model": "gpt-4o", "timeout": 5}

# A billion of one, in nine lines.
BOMB = "\n".join(["a: &a [x]", *(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))])


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Return a writer of files that nobody else may read."""

    def written(name: str, text: str, mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return path

    return written


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", '[provider]\ntype = "openai"\nmodel = "gpt-4o"\ntimeout = 5\n'),
        ("a.json", '{"provider": {"type": "openai", "model": "gpt-4o", "timeout": 5}}'),
        ("a.yaml", "provider:\n  type: openai\n  model: gpt-4o\n  timeout: 5\n"),
        ("a.YML", "provider: {type: openai, model: gpt-4o, timeout: 5}\n"),
    ],
)
def test_each_format_is_read(write: Any, name: str, text: str) -> None:
    """As its ending tells."""
    assert ARGUMENTS == load_shelf(write(name, text)).choose(None).arguments()


def test_dates_are_texts(write: Any) -> None:
    """Unquoted, an API version is a date to TOML and to YAML."""
    toml = write("a.toml", 'type = "azure"\nmodel = "d"\napi_version = 2024-10-21\n')
    yaml = write("a.yaml", "type: azure\nmodel: d\napi_version: 2024-10-21\n")

    for path in (toml, yaml):
        assert {"api_version": "2024-10-21"} == load_shelf(path).choose(None).arguments()["options"]


def test_the_users_home_is_found(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would."""
    monkeypatch.setenv("HOME", str(write("a.json", json.dumps(ARGUMENTS)).parent))

    assert ARGUMENTS == load_shelf("~/a.json").choose(None).arguments()


def test_files_that_it_names_are_beside_it(write: Any, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever the process was started."""
    write("key", f"{KEY}\n")
    path = write("a.json", json.dumps({**ARGUMENTS, "api_key": "file:key"}))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    assert KEY == load_shelf(path).choose(None).arguments()["api_key"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", f'[provider]\napi_key = "{KEY}"\nmodel = \n', "no TOML: .*at line 3"),
        ("a.toml", f'[provider]\napi_key = "{KEY}"\napi_key = "{KEY}"\n', "no TOML: .*at line 3"),
        ("a.json", f'{{"api_key": "{KEY}",\n3}}', "no JSON: .*at line 2, column 1"),
        ("a.json", f'{{"api_key": "{KEY}", "api_key": "b"}}', "'api_key' stands twice"),
        ("a.json", f'{{"api_key": "{KEY}", "timeout": {"9" * 5000}}}', "integer string"),
        ("a.json", "[" * 50_000, "nested too deeply"),
        ("a.json", "", "no JSON"),
        ("a.yaml", f"api_key: {KEY}\n  model: x\n", "no YAML: .*at line 2, column 8"),
        ("a.yaml", '!!python/object/apply:os.system ["true"]', "no YAML: could not determine a constructor"),
        ("a.yaml", "api_version: 2024-13-41", "no YAML: month must be in"),
        ("a.yaml", f"openai: {{4: {{api_key: {KEY}}}}}", "openai: a name is a text, so 4 stands in quotation marks"),
        ("a.yaml", "a: &a [*a]", "too much is nested"),
        ("a.yaml", BOMB, "too much is nested"),
        ("a.ini", "[provider]", r"a configuration is a file that ends in \.toml, \.json"),
        ("noending", "", "a file that ends in"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(write: Any, name: str, text: str, words: str) -> None:
    """By the name of the file; what it says is not quoted, not even by the parser's own error or a frame's locals."""
    path = write(name, text)
    del text

    with pytest.raises(ConfigurationError, match=words) as caught:
        load_shelf(path)

    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert caught.value.message.startswith(str(path))
    assert "load_shelf(path)" in told
    assert "canary" not in told


def test_a_wrong_value_is_not_in_any_frame(write: Any) -> None:
    """Nor is a literal key that stands beside it."""
    path = write("a.json", json.dumps({"providers": {"prod": {"type": "openai", "api_key": KEY, "tmeout": KEY}}}))

    with pytest.raises(ConfigurationError, match="tmeout") as caught:
        load_shelf(path)

    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "tmeout" in told
    assert "canary" not in told


def test_a_huge_file_is_refused(write: Any) -> None:
    """It is a log, or a model."""
    with pytest.raises(ConfigurationError, match="larger than"):
        load_shelf(write("a.json", " " * (1 << 20) + "{}"))


def test_yaml_without_pyyaml_is_refused_with_the_cure(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    path = write("a.yaml", "type: openai\n")
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'llmkit\[yaml\]'"):
        load_shelf(path)


def test_the_profile_of_the_environment_counts(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless one is asked for; a file without profiles does not mind."""
    path = write("a.json", json.dumps({**ARGUMENTS, "profiles": {"dev": {"timeout": 6}, "prod": {"timeout": 7}}}))
    plain = write("b.json", json.dumps(ARGUMENTS))
    monkeypatch.setenv("LLMKIT_PROFILE", "dev")

    assert 6 == load_shelf(path).choose(None).arguments()["timeout"]
    assert 7 == load_shelf(path, profile="prod").choose(None).arguments()["timeout"]
    assert 5 == load_shelf(plain).choose(None).arguments()["timeout"]


# -- who may read it


def test_a_key_that_others_can_read_is_warned_of_once(write: Any) -> None:
    """Whatever the number of keys."""
    path = write("a.json", json.dumps({"openai": {"a": {"api_keys": [KEY, f"{KEY}x"]}, "b": {"api_key": KEY}}}), 0o644)

    with pytest.warns(UserWarning, match="can be read by others: chmod 600") as caught:
        load_shelf(path)

    assert 1 == len(caught)
    assert "canary" not in str(caught[0].message)


@pytest.mark.parametrize(
    ("table", "mode"),
    [({"api_key": KEY}, 0o600), ({"api_key": "${A}"}, 0o644), ({"api_key": "file:a"}, 0o644), ({}, 0o644), ({"api_key": "EMPTY"}, 0o644)],
)
def test_a_file_that_gives_nothing_away_is_not_warned_of(write: Any, table: dict[str, str], mode: int) -> None:
    """Nobody else can read it, or it holds no key."""
    path = write("a.json", json.dumps({**ARGUMENTS, **table}), mode)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_shelf(path)


def test_a_link_is_judged_by_what_it_leads_to(write: Any, tmp_path: Path) -> None:
    """A link itself can always be read."""
    link = tmp_path / "link.json"
    link.symlink_to(write("a.json", json.dumps({**ARGUMENTS, "api_key": KEY}), 0o600))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert KEY == load_shelf(link).choose(None).arguments()["api_key"]


# -- whatever there may be in it


@pytest.mark.parametrize("ending", [".toml", ".json", ".yaml"])
@given(text=st.text(alphabet="{}[]\":,=.#&*!-\n abopenaiprovidermodel'1", max_size=60))
def test_any_text_is_understood_or_refused(tmp_path_factory: pytest.TempPathFactory, ending: str, text: str) -> None:
    """By the name of the file, and nothing else can come of it."""
    path = tmp_path_factory.getbasetemp() / f"fuzz{ending}"
    path.write_text(text)

    try:
        load_shelf(path)
    except ConfigurationError as error:
        assert error.message.startswith(str(path))


def test_nothing_is_read_that_was_not_asked_for(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a file opens that file, and no file that it names."""
    path = write("a.json", json.dumps({**ARGUMENTS, "api_key": "file:key"}))
    opened: list[Any] = []
    real = os.open

    def note(file: Any, *args: Any, **kwargs: Any) -> int:
        opened.append(file)
        return real(file, *args, **kwargs)

    monkeypatch.setattr(os, "open", note)
    monkeypatch.setattr(builtins, "open", None)

    load_shelf(path)

    assert [str(path)] == opened
