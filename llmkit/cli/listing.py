"""``llmkit models`` and ``llmkit providers``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from llmkit.cli.screen import open_screen

if TYPE_CHECKING:
    from argparse import Namespace

    from llmkit.models.info import ModelInfo
    from llmkit.providers import Provider

__all__ = ["models", "providers"]


def models(options: Namespace) -> int:
    """List the models of a provider: with what is known of them on a terminal, else one name a line."""
    from llmkit.client import Client

    # Some providers have no model of their own to begin with, and a list does not need one.
    model = None if options.provider is None and options.base_url is None else "-"
    provider = options.provider or (None if options.base_url is None else "custom")
    with Client(model, provider=provider, base_url=options.base_url) as client:
        found = sorted(client.models(), key=lambda model: model.id)
    screen = open_screen()
    if not sys.stdout.isatty():
        for info in found:
            screen.line(info.id)
        return 0
    screen.table(("model", "owner", "window"), [_model_row(info) for info in found], right=(2,))
    return 0


def _model_row(info: ModelInfo) -> tuple[str, str, str]:
    return info.id, info.owned_by or "", f"{info.context_window:,}" if info.context_window else ""


def providers(options: Namespace) -> int:  # noqa: ARG001 - it has none
    """List the providers. No cell is empty or has a space in it, so that the columns can be cut out again."""
    from llmkit.providers import ROWS

    rows = [(row.name, _key_state(row), ",".join(row.key_env) or "-", row.base_url or "-") for row in ROWS]
    open_screen().table(("provider", "key", "variables", "address"), sorted(rows))
    return 0


def _key_state(row: Provider) -> str:
    if any(os.environ.get(variable) for variable in row.key_env):
        return "set"
    return "missing" if row.key_required else "optional"
