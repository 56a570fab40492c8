"""
Where Google's models are, behind a base URL.

Source: Google AI for Developers, "All methods"; Google Cloud, "Vertex AI in express mode" and "REST resources"; read 2026-11-21.
"""

from __future__ import annotations

from llmkit.errors import ConfigurationError

__all__ = ["model_path"]


def model_path(model: str, *, publisher: str = "", project: str | None = None, location: str | None = None) -> str:
    """
    Return the path of *model*, which may be a bare name or a resource's: ``tunedModels/…``, ``projects/…/endpoints/…``.

    Args:
        publisher: What stands before ``models/``.
        project: The project that the models are asked in, if any.
        location: Where that project's models run; everywhere unless said.

    Raises:
        ConfigurationError: If a name cannot stand in an address.
    """
    within = f"/projects/{_quoted(project)}/locations/{_quoted(location or 'global')}" if project else ""
    kind, _, rest = model.partition("/")
    if kind == "projects" and rest:
        return "/" + _path(model)
    if kind in ("publishers", "endpoints", "tunedModels") and rest:
        return f"{within}/{_path(model)}"
    if kind == "models" and rest:
        model = rest
    return f"{within}/{publisher}models/{_quoted(model)}"


def _quoted(text: str) -> str:
    if not text.strip("."):
        msg = f"{text!r} is no name that could stand in an address."
        raise ConfigurationError(msg)
    # Most names have nothing to quote, and loading urllib for them costs more than the request.
    if text.isascii() and text.replace("-", "").replace(".", "").replace("_", "").isalnum():
        return text
    from urllib.parse import quote

    return quote(text, safe="@")


def _path(name: str) -> str:
    return "/".join(_quoted(part) for part in name.split("/"))
