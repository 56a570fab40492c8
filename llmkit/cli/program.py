"""
From arguments to an exit status.

Rule 1: the status is 0 when all went well, 1 when a call or a claim failed, 2 for wrong usage; 130 after Ctrl-C and 141 after a reader
        that left, as if the signal had ended the process.
Rule 2: an error that llmkit raises is shown as its own text on standard error; a traceback is a bug of ours.
Rule 3: nothing but argparse is loaded before it is known what is to be done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from llmkit.cli.arguments import UsageError, parse

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

__all__ = ["main"]

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports of a process that Ctrl-C ended
READER_LEFT = 141  # 128 + SIGPIPE

# Where each command lives: module and function.
HOMES = {
    "ask": ("llmkit.cli.asking", "ask"),
    "chat": ("llmkit.cli.asking", "chat"),
    "batch": ("llmkit.cli.batching", "batch"),
    "models": ("llmkit.cli.listing", "models"),
    "providers": ("llmkit.cli.listing", "providers"),
    "doctor": ("llmkit.cli.doctor", "doctor"),
    "demo": ("llmkit.cli.demo", "demo"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Do what *arguments* (by default those of the process) say and return the exit status.

    Raises:
        SystemExit: With status 2 for wrong usage, 0 after ``--help`` and ``--version``; argparse has printed what there is to say.
    """
    _never_fail_on_a_character()
    try:
        status = _run(parse(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more when it exits, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    return status


def _run(options: Namespace) -> int:
    from llmkit.errors import LLMKitError

    module, name = HOMES[options.command]
    command: Callable[[Namespace], int] = getattr(import_module(module), name)
    try:
        return command(options)
    except UsageError as error:
        parser: ArgumentParser = options.parser
        parser.error(str(error))
    except LLMKitError as error:
        print_error(str(error))
        return 1


def print_error(text: str) -> None:
    """Write *text* to standard error, behind what standard output has got so far."""
    sys.stdout.flush()
    sys.stderr.write(f"llmkit: {text}\n")


def _never_fail_on_a_character() -> None:
    """What cannot be shown becomes a question mark, rather than ending the program in the middle of an answer."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
