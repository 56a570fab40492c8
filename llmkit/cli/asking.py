"""``llmkit "prompt"`` and ``llmkit chat``: a model's answer, shown as it arrives."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmkit.cli.arguments import UsageError
from llmkit.cli.program import print_error
from llmkit.cli.screen import open_screen
from llmkit.client import Client
from llmkit.errors import LLMKitError
from llmkit.models.content import Message, assistant, user
from llmkit.models.response import FinishReason

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from llmkit.cli.screen import Answer, Screen
    from llmkit.models.response import CompletionResponse

__all__ = ["ask", "chat", "make_client"]

# Why an answer that ended is not all that it might have been.
NOTES = {
    FinishReason.LENGTH: "The answer was cut at its greatest length; see --max-tokens.",
    FinishReason.CONTENT_FILTER: "The provider's content filter ended the answer.",
    FinishReason.REFUSAL: "The model refused to answer.",
}


def ask(options: Namespace) -> int:
    """Answer one prompt."""
    messages = [user(_prompt(options.words))]
    _tell_retries()
    with make_client(options) as client:
        if options.json:
            _print_json(client.complete(messages))
            return 0
        reply = _show(client, messages, open_screen(plain=options.plain).answer())
    _tell(reply, verbose=options.verbose)
    return 0


def make_client(options: Namespace) -> Client:
    """Return the client that the options of a model describe."""
    said = {"system": options.system, "temperature": options.temperature, "max_tokens": options.max_tokens}
    defaults: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    return Client(options.model, provider=options.provider, base_url=options.base_url, **defaults)


def _prompt(words: Sequence[str]) -> str:
    """Return what was typed, what was piped in, or both."""
    typed = " ".join(words)
    if any("\ud800" <= letter <= "\udfff" for letter in typed):  # how Python marks bytes that are no text
        msg = "the prompt is not text in UTF-8"
        raise UsageError(msg)
    prompt = "\n\n".join(part for part in (typed, _piped()) if part.strip())
    if not prompt:
        msg = "a prompt is needed, or text on standard input"
        raise UsageError(msg)
    return prompt


def _piped() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    try:
        # Not what the locale says: in the C locale Python would let bytes pass that are no text.
        return sys.stdin.buffer.read().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        msg = "standard input is not text in UTF-8"
        raise UsageError(msg) from error


def _show(client: Client, messages: Sequence[Message], answer: Answer) -> CompletionResponse:
    """Write the model's answer as it arrives and return it."""
    with answer, client.stream(messages) as stream:
        for text in stream.text_iter():
            answer.write(text)
    return stream.response


def _print_json(reply: CompletionResponse) -> None:
    import json

    sys.stdout.write(json.dumps(reply.to_dict(), ensure_ascii=False, indent=2) + "\n")


def _tell(reply: CompletionResponse, *, verbose: bool) -> None:
    note = NOTES.get(reply.finish_reason)
    if note is not None:
        print_error(note)
    if verbose:
        tokens = f"{reply.usage.input_tokens} tokens in, {reply.usage.output_tokens} out" if reply.usage.reported else "tokens unknown"
        tries = "; ".join(attempt.brief() for attempt in reply.attempts)
        print_error(f"{reply.provider}/{reply.model}, {tokens}, {reply.elapsed:.2f} s. {tries}")


def _tell_retries() -> None:
    """Let warnings, such as that a call is tried again in 30 s, appear on standard error: somebody waits."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("llmkit: %(message)s"))
    logging.getLogger("llmkit").addHandler(handler)


def chat(options: Namespace) -> int:
    """Talk until the input ends. The status tells of failed calls only where nobody watched them fail."""
    if sys.stdin is None:
        msg = "there is no standard input to talk on"
        raise UsageError(msg)
    interactive = sys.stdin.isatty()
    screen = open_screen(plain=options.plain)
    _tell_retries()
    failed = False
    history: list[Message] = []
    with make_client(options) as client:
        if interactive:
            screen.line(f"{_label(client)}. Ctrl-C stops an answer, Ctrl-D or /exit ends, /new forgets.", "quiet")
        for line in _lines(interactive, screen):
            if line == "/exit":
                break
            if line == "/new":
                history.clear()
                continue
            failed |= not _take_turn(client, history, line, screen, verbose=options.verbose)
    return 1 if failed and not interactive else 0


def _label(client: Client) -> str:
    found = client.explain("ping")
    return f"{found.provider}/{found.model}"


def _lines(interactive: bool, screen: Screen) -> Iterator[str]:
    """Yield what the user says: lines that are not empty."""
    if interactive:
        with suppress(ImportError):
            import readline  # noqa: F401 - input() then edits lines and remembers them
    while True:
        try:
            line = input("> ").strip() if interactive else sys.stdin.readline()
        except EOFError:
            screen.line()
            return
        except KeyboardInterrupt:
            if not interactive:
                raise
            screen.line()
            continue
        if not interactive and not line:
            return
        if line.strip():
            yield line.strip()


def _take_turn(client: Client, history: list[Message], line: str, screen: Screen, *, verbose: bool) -> bool:
    """Add what was said and the answer to *history*; return whether the call did not fail."""
    said = user(line)
    answer = screen.answer()
    try:
        reply = _show(client, [*history, said], answer)
    except KeyboardInterrupt:
        # What was read of a stopped answer may be spoken of, so the model is to know it too.
        if answer.text:
            history += [said, assistant(answer.text)]
        return True
    except LLMKitError as error:
        print_error(str(error))
        return False
    history += [said, reply.message]
    _tell(reply, verbose=verbose)
    return True
