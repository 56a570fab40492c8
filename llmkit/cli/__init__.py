"""The command line: ``llmkit "prompt"``, ``llmkit chat``, ``llmkit demo`` and what helps to set them up."""

from __future__ import annotations

from llmkit.cli.program import main

__all__ = ["main"]
