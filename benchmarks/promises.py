"""What is promised, what was measured, and whether it holds; and what the operating system says of this process."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

__all__ = ["Level", "Promise", "level", "table"]

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@frozen
class Promise:
    """One figure: at most ``limit``, or at least that where ``at_least``; without a limit it is only told."""

    name: str
    value: float
    limit: float | None = None
    at_least: bool = False

    @property
    def is_kept(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@frozen
class Level:
    """What this process holds at a quiet moment."""

    memory: float  # MB, resident
    blocks: int  # of Python's allocator: objects, in effect
    descriptors: int
    threads: int


def level() -> Level:
    """Return what is held now, once what is garbage is gone and the allocator has given back what is free. Needs Linux' ``/proc``."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Level(pages * _PAGE / 1e6, sys.getallocatedblocks(), len(os.listdir("/proc/self/fd")), threading.active_count())


def table(title: str, promises: Sequence[Promise]) -> str:
    """Return the figures as lines, each with what was promised of it."""
    lines = [title, "-" * len(title)]
    for promise in promises:
        said = ""
        if promise.limit is not None:
            sign = ">=" if promise.at_least else "<="
            said = f"{sign} {promise.limit:<10,g}{'kept' if promise.is_kept else 'BROKEN'}"
        number = f"{promise.value:,.0f}" if float(promise.value).is_integer() else f"{promise.value:,.3f}"
        lines.append(f"  {promise.name:<52}{number:>12}  {said}".rstrip())
    return "\n".join([*lines, ""])
