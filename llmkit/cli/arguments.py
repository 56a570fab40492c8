"""
What may be typed.

A first word that is a command is that command; everything else is a prompt. ``llmkit -- chat`` asks a model about the word "chat".
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from llmkit import __version__

__all__ = ["COMMANDS", "UsageError", "parse"]

COMMANDS = {
    "chat": "talk with a model that remembers what was said",
    "batch": "answer a file of prompts, one in each line",
    "models": "list the models that a provider offers",
    "providers": "list the providers, and which keys are set",
    "doctor": "tell which provider would be used, and why",
    "demo": "show real calls to a server on this machine; needs no key",
}


class UsageError(Exception):
    """What was typed makes no sense; the text says why."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Return what is to be done: ``command``, its options, and the ``parser`` for complaints.

    Raises:
        SystemExit: With status 2 if it cannot be told, 0 after ``--help`` and ``--version``.
    """
    name, rest = (arguments[0], arguments[1:]) if arguments and arguments[0] in COMMANDS else ("ask", arguments)
    parser = _PARSERS[name]()
    options = parser.parse_intermixed_args(rest)
    options.command, options.parser = name, parser
    if name == "ask" and len(options.words) == 1 and options.words[0] in COMMANDS and "--" not in rest:
        word = options.words[0]
        parser.error(f"a command stands first: llmkit {word} ... (or llmkit -- {word}, if it is the prompt)")
    return options


def _prompt_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  llmkit {name:<{width}}  {what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="llmkit",
        usage='llmkit [options] "prompt"\n       llmkit COMMAND [options]',
        description="Ask a language model and print its answer as it arrives.\nText piped in is appended to the prompt, or is the prompt.",
        epilog=f"commands, each with --help:\n{listing}\n\n"
        "Keys are taken from the environment, e.g. OPENAI_API_KEY; without any, an Ollama\non this machine is used.\n"
        "Exit status: 0 if all went well, 1 if a call failed, 2 for wrong usage.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="prompt", help="what to ask")
    _add_model_options(parser)
    _add_show_options(parser)
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON, with usage and attempts")
    parser.add_argument("--version", action="version", version=f"llmkit {__version__}", help="print the version")
    return parser


def _chat_parser() -> argparse.ArgumentParser:
    parser = _command_parser("chat", "Ctrl-C stops the current answer, Ctrl-D or /exit ends, /new forgets what was said.")
    _add_model_options(parser)
    _add_show_options(parser)
    return parser


def _batch_parser() -> argparse.ArgumentParser:
    parser = _command_parser(
        "batch",
        "What is done is kept in OUTPUT.checkpoint, for --resume; a terminal shows how far it is. The status is 1 if a prompt failed.",
    )
    parser.add_argument("input", metavar="INPUT", help='JSON lines: "prompt", [messages] or {"prompt": ..., "temperature": ..., "id": ...}')
    parser.add_argument("-o", "--output", required=True, metavar="OUTPUT", help="where the answers go, as JSON lines in the same order")
    parser.add_argument("--resume", action="store_true", help="go on with an earlier run, and ask again what failed in passing")
    parser.add_argument("-c", "--concurrency", type=int, default=8, metavar="N", help="how many are asked at a time (8)")
    _add_model_options(parser)
    return parser


def _models_parser() -> argparse.ArgumentParser:
    parser = _command_parser("models")
    parser.add_argument("provider", nargs="?", metavar="PROVIDER", help="whose; by default the one that a prompt would go to")
    _add_base_url(parser)
    return parser


def _providers_parser() -> argparse.ArgumentParser:
    parser = _command_parser("providers")
    parser.add_argument("--markdown", action="store_true", help="print what each can do, its variables and its options, as Markdown")
    return parser


def _doctor_parser() -> argparse.ArgumentParser:
    parser = _command_parser("doctor", "Names of variables are shown, never their values. The status is 1 if no provider was found.")
    parser.add_argument("--check", action="store_true", help="also ask the provider whether it answers and takes the key")
    return parser


def _demo_parser() -> argparse.ArgumentParser:
    parser = _command_parser("demo", "The status is 0 only if each step did what it claims.")
    parser.add_argument("--fast", action="store_true", help="do not pace the streams for the eye")
    return parser


_PARSERS = {
    "ask": _prompt_parser,
    "chat": _chat_parser,
    "batch": _batch_parser,
    "models": _models_parser,
    "providers": _providers_parser,
    "doctor": _doctor_parser,
    "demo": _demo_parser,
}


def _command_parser(name: str, more: str = "") -> argparse.ArgumentParser:
    description = f"{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}. {more}"
    return argparse.ArgumentParser(prog=f"llmkit {name}", description=description)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--model", metavar="MODEL", help="'provider/model', or the name of a well-known model")
    parser.add_argument("-s", "--system", metavar="TEXT", help="instructions for the model")
    parser.add_argument("-t", "--temperature", type=float, metavar="T", help="how freely it chooses its words, from 0 on")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="how long the answer may become")
    parser.add_argument("--provider", metavar="NAME", help="whose model; see llmkit providers")
    _add_base_url(parser)


def _add_show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plain", action="store_true", help="show Markdown as it is written, also on a terminal")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell tokens, time and attempts on standard error")


def _add_base_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base-url", metavar="URL", help="where the provider is, if not at its own address")
