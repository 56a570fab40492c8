"""
Many prompts at once: handed out, answered, logged and put in order.

``run`` decides, for both clients; ``threads`` and, in the twin, ``llmkit_async.batch`` carry it out; ``checkpoint`` remembers.
"""

from __future__ import annotations

from llmkit.batch.items import BatchItem, BatchResult

__all__ = ["BatchItem", "BatchResult"]
