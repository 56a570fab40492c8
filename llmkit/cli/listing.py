"""``llmkit models`` and ``llmkit providers``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from llmkit.cli.screen import open_screen
from llmkit.errors import ConfigurationError

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


def providers(options: Namespace) -> int:
    """List the providers. Elsewhere than on a terminal no cell is empty or has a space in it, so that columns can be cut out again."""
    from llmkit.providers import ROWS, discover

    screen = open_screen()
    discover()
    rows = sorted(ROWS, key=lambda row: row.name)
    if options.markdown:
        from llmkit.cli.abilities import tables  # writes requests on all wires: not for a plain list

        screen.line("\n\n".join(tables(rows)))
        return 0
    if not sys.stdout.isatty():
        cells = [(row.name, _key_state(row), ",".join(row.key_env) or "-", _address(row) or "-") for row in rows]
        screen.table(("provider", "key", "variables", "address"), cells)
        return 0
    found = {row.name: _variable_set(row) for row in rows}
    brief = [
        (
            screen.marks[True] if found[row.name] else "",
            row.name,
            found[row.name] or next(iter(row.key_env), ""),
            _address(row).removeprefix("https://"),
        )
        for row in rows
    ]
    screen.table(("", "provider", "key variable", "address"), brief)
    screen.line()
    screen.text(
        f"{screen.marks[True]} its key is set. Any other server that speaks OpenAI's wire is --provider custom --base-url URL.", "quiet"
    )
    return 0


def _variable_set(row: Provider) -> str | None:
    return next((variable for variable in row.key_env if os.environ.get(variable)), None)


def _key_state(row: Provider) -> str:
    if _variable_set(row) is not None:
        return "set"
    return "missing" if row.key_required else "optional"


def _address(row: Provider) -> str:
    """Return where it is, with what is not known yet in braces; nothing where that is up to the user."""
    try:
        return row.base(None, {})
    except ConfigurationError:
        return row.base_url or ""
