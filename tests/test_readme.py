"""Every snippet of the README and the docs is run, against a server on loopback."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from llmkit.testing import FakeServer, RecordedRequest, Reply

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


@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_runs(code: str, server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As it stands, with nothing but a key and an address in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-readme-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url("openai"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-readme-9876543210")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url("anthropic"))
    server.always(answer)
    names: dict[str, Any] = {"__name__": "__main__"}

    exec(compile(code, "snippet", "exec"), names)


def test_there_are_snippets() -> None:
    """A changed heading must not empty the list above."""
    assert len(SNIPPETS) >= 7
