"""
The same call, twelve providers.

As it stands it asks a server on this machine that speaks all twelve wires, with no key and no network. With ``--real`` it asks those
providers whose keys, or addresses, are in the environment::

    python examples/twelve_providers.py
    python examples/twelve_providers.py --real
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from attrs import field, frozen

from llmkit import Client, LLMKitError, Usage
from llmkit.testing import FakeServer, Reply


@frozen
class Place:
    """Whom to ask, which variables say that one can, and what else is needed where there is nothing but the server on this machine."""

    model: str
    needs: tuple[str, ...]
    offline: dict[str, Any] = field(factory=dict)


AWS = {"region": "us-east-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
PLACES = (
    Place("openai/gpt-4o-mini", ("OPENAI_API_KEY",)),
    Place("openai-responses/gpt-5-mini", ("OPENAI_API_KEY",)),
    Place("anthropic/claude-sonnet-4-5", ("ANTHROPIC_API_KEY",)),
    Place("google/gemini-2.5-flash", ("GOOGLE_API_KEY",)),
    Place("vertex/gemini-2.5-flash", ("GOOGLE_CLOUD_PROJECT",), {"options": {"project": "p", "token": "ya29.a-token"}, "api_key": None}),
    Place("azure/gpt-4o-mini", ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")),
    Place("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", ("AWS_BEARER_TOKEN_BEDROCK",), {"options": AWS, "api_key": None}),
    Place("cohere/command-a-03-2025", ("CO_API_KEY",)),
    Place("mistral/mistral-small-latest", ("MISTRAL_API_KEY",)),
    Place("deepseek/deepseek-flash", ("DEEPSEEK_API_KEY",)),
    Place("openrouter/openai/gpt-4o-mini", ("OPENROUTER_API_KEY",)),
    Place("ollama/llama3.2", ("OLLAMA_HOST",), {"api_key": None}),
)


@frozen
class Capital:
    """The capital of a country."""

    city: str
    country: str


def ask(client: Client) -> tuple[Capital, str, Usage]:
    """Return a typed answer, the words of a streamed one, and the tokens of both: these lines are the same for all."""
    reply = client.complete("What is the capital of France?", response_format=Capital, max_tokens=2000)
    stream = client.stream("Say that in one sentence.", max_tokens=2000)
    words = "".join(chunk.text for chunk in stream)
    return reply.parsed, words, reply.usage + stream.response.usage


def clients(real: bool) -> Iterator[tuple[str, Client]]:
    with ExitStack() as stack:
        server = None if real else stack.enter_context(FakeServer())
        for place in PLACES:
            if server is not None:
                server.enqueue(Reply('{"city": "Paris", "country": "France"}'))
                terms = {"api_key": "a-key-for-nobody", **place.offline}
                yield place.model, Client(place.model, base_url=server.url(place.model.partition("/")[0]), **terms)
            elif all(os.environ.get(variable) for variable in place.needs):
                yield place.model, Client(place.model)
            else:
                print(f"{place.model:55} is not asked: {' and '.join(place.needs)} not set")


def main(arguments: list[str]) -> int:
    failed = 0
    for model, client in clients(real="--real" in arguments):
        with client:
            try:
                capital, words, usage = ask(client)
            except LLMKitError as error:
                print(f"{model:55} {error}", file=sys.stderr)
                failed += 1
            else:
                print(f"{model:55} {capital.city}, {words!r}, {usage.total_tokens} tokens")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
