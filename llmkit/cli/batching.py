"""
``llmkit batch in.jsonl -o out.jsonl``: a file of prompts, answered into another.

Each line of the input is a prompt, a list of messages, or an object with ``prompt`` or ``messages``, other arguments of ``complete`` and an
``id`` of the user's own. Each line of the output has the index, the id, and a text with the whole response, or an error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from llmkit.cli.arguments import UsageError
from llmkit.cli.asking import make_client
from llmkit.cli.program import print_error

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from llmkit.batch.items import BatchItem

__all__ = ["batch"]


def batch(options: Namespace) -> int:
    """Answer a file of prompts; the status is 1 if one of them failed."""
    if options.concurrency < 1:
        msg = "--concurrency is a number of at least 1"
        raise UsageError(msg)
    count = _check_input(options.input)
    checkpoint = options.output + ".checkpoint"
    if os.path.exists(checkpoint) and not options.resume:
        msg = f"{checkpoint} is there, of an earlier run: go on with --resume, or delete it to begin anew"
        raise UsageError(msg)
    part = options.output + ".part"
    failed = 0
    with make_client(options) as client, _opened(part) as output, open(options.input, encoding="utf-8-sig") as names:
        prompts = _Prompts(options.input, count)
        said: dict[str, Any] = {"max_concurrency": options.concurrency, "progress": _show if sys.stderr.isatty() else None}
        try:
            for item in client.batch_iter(prompts, checkpoint=checkpoint, **said):
                failed += not item.ok
                output.write(json.dumps(_line(item, _id(next(names))), ensure_ascii=False) + "\n")
        finally:
            if sys.stderr.isatty() and count:
                sys.stderr.write("\n")
    os.replace(part, options.output)
    if failed:
        print_error(f"{failed} of {count} items failed; their errors are in {options.output}, and --resume asks again.")
    return 1 if failed else 0


def _opened(path: str) -> Any:
    try:
        # A half of a pair, which JSON can say and UTF-8 cannot, is no reason to lose an answer.
        return open(path, "w", encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise UsageError(msg) from error


class _Prompts:
    """The prompts of a file, read when they are needed; *count* of them."""

    def __init__(self, path: str, count: int) -> None:
        self._path = path
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        with open(self._path, encoding="utf-8-sig") as file:
            for line in file:
                yield _prompt(json.loads(line))


def _check_input(path: str) -> int:
    """Return how many prompts there are; refuse what is none before anything is sent."""
    number = 0
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not isinstance(json.loads(line), (str, list, dict)):
                    msg = f"line {number} of {path} is neither a string, a list nor an object"
                    raise UsageError(msg)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise UsageError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not text in UTF-8"
        raise UsageError(msg) from error
    except ValueError as error:
        msg = f"line {number} of {path} is not JSON"
        raise UsageError(msg) from error
    return number


def _prompt(line: Any) -> Any:
    if not isinstance(line, dict):
        return line
    arguments = {name: value for name, value in line.items() if name != "id"}
    if "prompt" in arguments and "messages" not in arguments:
        arguments["messages"] = arguments.pop("prompt")
    return arguments


def _id(line: str) -> Any:
    read = json.loads(line)
    return read.get("id") if isinstance(read, dict) else None


def _line(item: BatchItem, own_id: Any) -> dict[str, Any]:
    line: dict[str, Any] = {"index": item.index}
    if own_id is not None:
        line["id"] = own_id
    if item.response is not None:
        return {**line, "text": item.response.text, "response": item.response.to_dict()}
    return {**line, "error": item.error.to_dict() if item.error is not None else None}


def _show(done: int, total: int | None, failed: int) -> None:
    """Draw how far it is, over what was drawn before."""
    told = f", {failed} failed" if failed else ""
    sys.stderr.write(f"\r{done}/{total}{told}")
    sys.stderr.flush()
