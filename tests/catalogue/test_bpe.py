"""The tokenizers themselves, where they are at hand; never fetched."""

from __future__ import annotations

import hashlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llmkit.catalogue import bpe

FILE = hashlib.sha1(b"https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken").hexdigest()


class Words:
    """An encoding of which every word is a token."""

    def encode_ordinary(self, text: str) -> list[str]:
        return text.split()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own; nothing may go over the network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something wants to connect")

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    bpe._loaded.cache_clear()
    yield tmp_path
    bpe._loaded.cache_clear()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that has an encoding."""
    package: Any = ModuleType("tiktoken")
    package.get_encoding = lambda name: Words()
    monkeypatch.setitem(sys.modules, "tiktoken", package)
    monkeypatch.setattr(bpe, "find_spec", lambda name: object())


def fill(cache: Path, monkeypatch: pytest.MonkeyPatch, content: bytes = b"IQ== 0\n") -> None:
    (cache / FILE).write_bytes(content)
    digest = hashlib.sha256(b"IQ== 0\n").hexdigest()
    monkeypatch.setitem(bpe.ENCODINGS, "o200k", ("o200k_base", digest))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/gpt-5", "o3", "o4-mini", "ft:gpt-4o:acme::1", "chatgpt-4o-latest"])
def test_openais_models_have_theirs(cache: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """When package and file are there."""
    fill(cache, monkeypatch)

    found = bpe.tokenizer_at_hand(model)

    assert found is not None
    assert ("tiktoken o200k_base", 3) == (found[0], found[1]("one two three"))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("model", ["claude-sonnet-5", "gemini-2.5-pro", "llama-3.1-8b", "my-gpt", ""])
def test_others_have_none(cache: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """Also where theirs is thought to be like it."""
    fill(cache, monkeypatch)

    assert bpe.tokenizer_at_hand(model) is None


@pytest.mark.usefixtures("installed")
def test_a_file_that_is_not_there_is_not_fetched() -> None:
    """The package would."""
    assert bpe.tokenizer_at_hand("gpt-4o") is None


@pytest.mark.usefixtures("installed")
def test_a_file_that_is_not_what_it_should_be_is_left_alone(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package would replace it."""
    fill(cache, monkeypatch, b"half of it")

    assert bpe.tokenizer_at_hand("gpt-4o") is None
    assert b"half of it" == (cache / FILE).read_bytes()


@pytest.mark.usefixtures("installed")
def test_a_package_without_a_cache_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty name switches its cache off, and then it always fetches."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")

    assert bpe.tokenizer_at_hand("gpt-4o") is None


def test_without_the_package_there_is_none(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in its cache."""
    fill(cache, monkeypatch)
    monkeypatch.setattr(bpe, "find_spec", lambda name: None)

    assert bpe.tokenizer_at_hand("gpt-4o") is None


@pytest.mark.parametrize(("variable", "value"), [("DATA_GYM_CACHE_DIR", "other"), (None, "")])
def test_the_cache_is_where_the_package_has_it(monkeypatch: pytest.MonkeyPatch, variable: str | None, value: str) -> None:
    """A variable of its own, an older one, or the system's folder for temporary files."""
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    if variable is not None:
        monkeypatch.setenv(variable, value)

    file = bpe._cached_file("o200k_base")

    assert file is not None
    assert (value or "data-gym-cache", FILE) == (file.parent.name, file.name)


def test_the_real_package_keeps_its_files_as_is_thought_here() -> None:
    """Names, addresses and digests."""
    openai = pytest.importorskip("tiktoken_ext.openai_public")
    source = Path(openai.__file__).read_text()

    for name, digest in bpe.ENCODINGS.values():
        assert bpe.ADDRESS.format(name=name) in source
        assert digest in source
