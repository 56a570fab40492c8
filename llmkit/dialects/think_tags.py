"""Thoughts that a model writes into its answer, between ``<think>`` and ``</think>`` at its beginning."""

from __future__ import annotations

from typing import Literal

__all__ = ["ThinkTags"]

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkTags:
    """
    Tells thoughts from answer in a text that may begin with ``<think>``, and may come in pieces.

    ``is_over`` says that all that follows is answer, and need not come by here.
    """

    __slots__ = ("_held", "_where", "is_over")

    def __init__(self) -> None:
        self.is_over = False
        self._held = ""  # what may still become a tag, or line feeds beside one
        self._where: Literal["before", "begun", "inside", "closed"] = "before"

    def feed(self, text: str) -> tuple[str, str]:
        """Return the thoughts and the answer that *text* adds."""
        if self.is_over:
            return "", text
        self._held += text
        if self._where == "before":
            opened = self._held.lstrip()
            if len(opened) < len(_OPEN) and _OPEN.startswith(opened):
                return "", ""
            if not opened.startswith(_OPEN):
                self.is_over = True
                return "", self._released()
            self._where = "begun"
            self._held = opened[len(_OPEN) :]
        if self._where == "begun":
            self._held = self._held.lstrip("\n")
            self._where = "inside" if self._held else "begun"
        if self._where == "closed":
            return "", self._answer()
        thoughts, closed, answer = self._held.partition(_CLOSE)
        if closed:
            self._where, self._held = "closed", answer
            return thoughts.rstrip("\n"), self._answer()
        certain = self._without_beginning_of_close().rstrip("\n")
        self._held = self._held[len(certain) :]
        return certain, ""

    def _answer(self) -> str:
        self._held = self._held.lstrip("\n")
        self.is_over = bool(self._held)
        return self._released()

    def _released(self) -> str:
        held, self._held = self._held, ""
        return held

    def _without_beginning_of_close(self) -> str:
        held = self._held
        size = next((n for n in range(len(_CLOSE) - 1, 0, -1) if held.endswith(_CLOSE[:n])), 0)
        return held[: len(held) - size]

    def held(self) -> tuple[str, str]:
        """Return what is held back, as thoughts and answer, for the case that nothing more comes."""
        return ("", self._held) if self._where == "before" else (self._held.rstrip("\n"), "")
