"""
Types as JSON Schemas (2020-12), schemas as strict mode wants them, and JSON values as the types they were asked for.

Rule 1: a schema says what ``structuring`` accepts: both read a type's fields from ``fields.fields_of``.
Rule 2: what a schema cannot say is refused by name (``ConfigurationError``), never left out in silence.
Rule 3: nothing here is imported on behalf of a type: pydantic, decimal or uuid are there if the type is.
Rule 4: ``structuring`` and ``scalars`` are imported when the first value is structured, since cattrs comes with them.
"""

from __future__ import annotations

from llmkit.schema.describing import schema_of
from llmkit.schema.strict import drop_nulls, is_strict_able, strict_schema

__all__ = ["drop_nulls", "is_strict_able", "schema_of", "strict_schema"]
