"""
Rules of OpenAI's own models: which of them think, and how they are told how much; which were made before answers had schemas.

``no_schemas``: cannot be held to a JSON Schema in its answer.

Source: pydantic-ai at 4fda389, profiles/openai.py (checked against the API in July 2026), and for schemas, which begin with
gpt-4o-mini and gpt-4o-2024-08-06, the reference of LangChain's ``ChatOpenAI`` and users' reports; read 2026-11-21.
"""

from __future__ import annotations

from attrs import evolve

from llmkit.models.facts import ModelFacts

__all__ = ["RULES"]

_OLD = ModelFacts(thinking="none", thinks_by_default=False, traits={"no_schemas"})

RULES: tuple[tuple[str, ModelFacts], ...] = (
    (r"^chatgpt-4o", evolve(_OLD, forced_tools=False)),
    (r"^(?:ft:)?gpt-(?:3\.?5|4(?:$|[-:](?!o))|4o-2024-05-13)", evolve(_OLD, forced_tools=True)),
    (r"^(?:ft:)?(?:chat)?gpt-[34]", ModelFacts(thinking="none", thinks_by_default=False)),
    (r"^gpt-5-chat", ModelFacts(thinking="none", thinks_by_default=False)),
    (r"^gpt-5\.6(?!\d)", ModelFacts(thinking="level", thinks_by_default=True, can_stop_thinking=True, efforts=("low", "medium", "high"))),
)
