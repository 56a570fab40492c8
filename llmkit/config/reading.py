"""Small files of text, read with care: what a configuration names may be anything."""

from __future__ import annotations

import os
import stat

from attrs import frozen

from llmkit.errors import ConfigurationError

__all__ = ["Page", "read_page"]


@frozen(kw_only=True)
class Page:
    """A file's text, and whether others than its owner may read it."""

    path: str
    text: str
    exposed: bool

    def __repr__(self) -> str:
        # The text may hold keys, and frames are printed.
        return f"Page({self.path!r})"


def read_page(path: str, *, limit: int) -> Page:
    """
    Return what the file at *path* holds. A symbolic link is followed: it is how secrets are mounted.

    Args:
        path: Where it is.
        limit: The most bytes that it may have.

    Raises:
        ConfigurationError: If it is not there, may not be read, is no regular file, is too large, or is no UTF-8.
    """
    data, mode = _read(path, limit)
    text, unfit = _decoded(data)
    del data  # the frame of the error below is printed by some, and this may be a key
    if text is None:
        msg = f"{path} is not UTF-8: its byte {unfit} is none."
        raise ConfigurationError(msg)
    return Page(path=path, text=text, exposed=os.name == "posix" and bool(mode & (stat.S_IRGRP | stat.S_IROTH)))


def _decoded(data: bytes) -> tuple[str | None, int]:
    """Return *data* as text, or the place of the first byte that is none: a UnicodeDecodeError would carry all bytes of the file."""
    try:
        return data.decode("utf-8-sig"), 0
    except UnicodeDecodeError as error:
        return None, error.start


def _read(path: str, limit: int) -> tuple[bytes, int]:
    try:
        # Opening a pipe would wait for its writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        msg = f"There is no file {path}" + ("." if os.path.isabs(path) else f" in {os.getcwd()}.")
        raise ConfigurationError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}."
        raise ConfigurationError(msg) from None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            msg = f"{path} is no regular file."
            raise ConfigurationError(msg)
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(data) > limit:
        del data
        msg = f"{path} is larger than {limit:,} bytes, so it is not what it is taken for."
        raise ConfigurationError(msg)
    return data, facts.st_mode
