"""Every snippet of the README and the docs is run, against a server on loopback."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from llmkit.cli.abilities import tables
from llmkit.providers.registry import Registry
from llmkit.providers.table import TABLE
from llmkit.testing import FakeServer, RecordedRequest, Reply
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPETS = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE), start=1)
]


def answer(request: RecordedRequest) -> Reply:
    """Answer what the snippets ask: with a city where one is wanted, as the fake server would elsewhere."""
    if "City" in str(request.json.get("response_format") if request.json else ""):
        return Reply('{"name": "Paris", "population": 2100000}')
    return Reply()


def set_up(server: FakeServer, monkeypatch: pytest.MonkeyPatch, *providers: str) -> None:
    """Put a key and the fake's address into the variables of *providers*, the first of each."""
    for name in providers:
        row = TABLE[name](name)
        for variable in row.key_env[:1]:
            monkeypatch.setenv(variable, "sk-readme-0123456789")
        for variable in row.base_env[:1]:
            monkeypatch.setenv(variable, server.url(name))


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody beyond this machine can be asked, be it by mistake."""
    look_up = socket.getaddrinfo

    def only_here(host: Any, *args: Any, **kwargs: Any) -> Any:
        assert host in ("127.0.0.1", "localhost", b"127.0.0.1"), f"{host} was to be asked"
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", only_here)


@pytest.mark.parametrize("code", SNIPPETS)
@pytest.mark.usefixtures("own_registry", "at_home")
def test_a_snippet_runs(
    code: str, request: pytest.FixtureRequest, server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As it stands, in an empty directory, with nothing but keys and addresses in the environment."""
    monkeypatch.chdir(tmp_path)
    set_up(server, monkeypatch, "openai", "anthropic")
    if request.node.callspec.id.startswith("providers-"):
        request.getfixturevalue("all_providers")
    server.always(answer)
    names: dict[str, Any] = {"__name__": "__main__"}

    exec(compile(code, "snippet", "exec"), names)


@pytest.fixture
def all_providers(server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Variables of every provider, credentials that sign, and the file of a key pair."""
    set_up(server, monkeypatch, *TABLE)
    monkeypatch.setenv("ANTHROPIC_VERTEX_BASE_URL", f"{server.origin}/vertex/v1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    Path("rsa_key.p8").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_each_provider_has_its_lines() -> None:
    """Somewhere on the page a model of it is asked."""
    page = (ROOT / "docs" / "providers.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE))

    assert [] == [name for name in TABLE if f'"{name}/' not in code]


def test_the_tables_are_those_of_the_code() -> None:
    """`make docs` renews them."""
    page = (ROOT / "docs" / "providers.md").read_text()

    for table in tables(Registry(TABLE)):
        assert f"\n\n{table}\n" in page


def test_the_pages_links_lead_somewhere() -> None:
    """Each to a heading, or to a file that is there."""
    for page in PAGES:
        text = page.read_text()
        headings = {
            re.sub(r"[^\w -]", "", line.lstrip("#").strip()).lower().replace(" ", "-") for line in re.findall(r"^#+ .*", text, re.M)
        }
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            assert target.startswith("http") or not path or (page.parent / path).exists(), target
            assert path or anchor in headings, target


def test_there_are_snippets() -> None:
    """A changed heading must not empty the list above."""
    assert len(SNIPPETS) >= 7
