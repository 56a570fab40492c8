"""The providers' own batches, as they are on the wire: pure, like dialects."""

from __future__ import annotations

from collections.abc import Mapping

from llmkit.batch.wires.anthropic import AnthropicBatches
from llmkit.batch.wires.base import BatchWire
from llmkit.batch.wires.gemini import GeminiBatches
from llmkit.batch.wires.openai import OpenAIBatches

__all__ = ["WIRES"]

# By the word in a provider's row.
WIRES: Mapping[str, BatchWire] = {"openai": OpenAIBatches(), "anthropic": AnthropicBatches(), "gemini": GeminiBatches()}
