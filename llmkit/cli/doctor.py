"""
``llmkit doctor``: what ``Client()`` would use, why, and what else of this machine matters.

Rule: of a variable that may hold a secret only the name is shown.
"""

from __future__ import annotations

import os
import platform
import ssl
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from llmkit import __version__
from llmkit.cli.screen import open_screen
from llmkit.client import Client
from llmkit.config.files import PROFILE_VARIABLE
from llmkit.detection import CONFIG_VARIABLE, MODEL_VARIABLE
from llmkit.errors import LLMKitError
from llmkit.providers import ROWS
from llmkit.transport.base import TransportError
from llmkit.transport.settings import TransportSettings

if TYPE_CHECKING:
    from argparse import Namespace

    from llmkit.cli.screen import Screen

__all__ = ["doctor"]

LIBRARIES = ("requests", "urllib3", "attrs", "cattrs", "backoff", "aiohttp", "rich")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
OLLAMA_PATIENCE = 1.0  # seconds


def doctor(options: Namespace) -> int:
    """Report; return 1 if no provider was found, or it was asked and did not answer well."""
    screen = open_screen()
    for title, lines in (
        ("Software", _software()),
        ("Variables that are set (their values are not shown)", _variables()),
        ("Ollama on this machine", _ollama()),
        ("Network", _network()),
        ("What was looked at, in this order", Client.detect().lines()),
    ):
        screen.line(title, "title")
        for line in lines:
            screen.text(line, indent="  ")
        screen.line()
    screen.line("Client() is", "title")
    try:
        with Client() as client:
            return _verdict(client, screen, check=options.check)
    except LLMKitError as error:
        screen.text(f"{screen.marks[False]} {error}", "bad", indent="  ")
        return 1


def _verdict(client: Client, screen: Screen, *, check: bool) -> int:
    found = client.explain("ping")
    screen.line(f"  {screen.marks[True]} {found.provider}/{found.model} at {found.url}", "good")
    for reason in found.reasons:
        screen.text(reason, indent="    ")
    if not check:
        return 0
    report = client.check()
    if not report.ok:
        screen.text(f"{screen.marks[False]} {report.error}", "bad", indent="  ")
        return 1
    screen.line(f"  {screen.marks[True]} It answers and takes the key, after {report.latency:.2f} s.", "good")
    return 0


def _software() -> list[str]:
    versions = [f"{name} {_version_of(name)}" for name in LIBRARIES]
    return [
        f"llmkit {__version__}, Python {platform.python_version()} on {platform.platform(terse=True)}",
        sys.executable,
        ", ".join(versions[:4]),
        ", ".join(versions[4:]),
        ssl.OPENSSL_VERSION,
    ]


def _version_of(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "is not installed"


def _variables() -> list[str]:
    meanings: dict[str, list[str]] = {
        MODEL_VARIABLE: ["the model of Client()"],
        CONFIG_VARIABLE: ["the configuration file of Client()"],
        PROFILE_VARIABLE: ["the profile of configuration files"],
    }
    for row in ROWS:
        for names, meaning in ((row.key_env, "key"), (row.base_env, "address")):
            for name in names:
                meanings.setdefault(name, []).append(f"{meaning} of {row.name}")
    return [f"{name}: {', '.join(what)}" for name, what in meanings.items() if os.environ.get(name)] or ["none"]


def _ollama() -> list[str]:
    try:
        with Client("ollama/-", retry=None, deadline=OLLAMA_PATIENCE) as client:
            names = [model.id for model in client.models()]
    except LLMKitError as error:
        return [f"does not answer ({error.kind})"]
    return [f"answers, with {', '.join(names) if names else 'no model'}"]


def _network() -> list[str]:
    proxies = [name for word in PROXIES for name in (word, word.upper()) if os.environ.get(name)]
    lines = [f"proxies are set by {', '.join(proxies)}" if proxies else "no proxy is set"]
    lines += [f"{name}={paths}" for name in AUTHORITIES if (paths := os.environ.get(name))]
    try:
        TransportSettings().ssl_context()
    except TransportError as error:
        return [*lines, f"no certificate can be checked: {error}"]
    return [*lines, "certificates can be checked"]
