"""Whose models have which tokenizer."""

from __future__ import annotations

import pytest

from llmkit.catalogue.tokenizers import family_of, weights_of


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-mini", "o200k"),
        ("openai/gpt-4.1", "o200k"),
        ("gpt-5.6", "o200k"),
        ("o3", "o200k"),
        ("gpt-4-turbo", "cl100k"),
        ("gpt-4", "cl100k"),
        ("gpt-4-0613", "cl100k"),
        ("gpt-3.5-turbo-0125", "cl100k"),
        ("text-embedding-3-small", "cl100k"),
        ("claude-3-7-sonnet-latest", "claude"),
        ("claude-sonnet-4-5", "claude"),
        ("claude-sonnet-4-5@20250929", "claude"),
        ("us.anthropic.claude-opus-4-20250514-v1:0", "claude"),
        ("claude-opus-4-6", "claude"),
        ("claude-opus-4-7", "claude_late"),
        ("anthropic/claude-opus-4.8", "claude_late"),
        ("claude-sonnet-5", "claude_late"),
        ("claude-opus-5-5", "claude_late"),
        ("models/gemini-2.5-pro", "gemini"),
        ("meta-llama/Llama-3.1-8B", "llama3"),
        ("llama-4-scout", "llama4"),
        ("open-mixtral-8x7b", "llama2"),
        ("mistral-small-latest", "tekken"),
        ("Qwen/Qwen2.5-72B-Instruct", "qwen"),
        ("deepseek-chat", "deepseek"),
        ("a-model-of-tomorrow", "o200k"),
        ("", "o200k"),
    ],
)
def test_a_name_tells_the_tokenizer(model: str, family: str) -> None:
    """However a host writes it; of unknown ones the commonest is assumed."""
    assert family == family_of(model)


def test_digits_are_counted_as_the_family_cuts_them() -> None:
    """In threes, or one by one."""
    assert (0.0, 1.13) == (weights_of("qwen-max").triple, weights_of("qwen-max").digit)
    assert 1.35 == weights_of("gpt-4").triple
