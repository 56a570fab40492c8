"""
``llmkit demo``: real calls over real HTTP, with a user's code, what it prints, and whether each claim holds.

Rule 1: the code that is shown is the code that runs.
Rule 2: the status is 0 only if every claim of every step holds; a step that cannot run here says so and claims nothing.
Rule 3: nothing leaves this machine, whatever proxy is set, and no key of the environment is used.
"""

from __future__ import annotations

import inspect
import io
import logging
import os
import re
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING

from attrs import frozen

from llmkit.cli.claims import Answers, Claim, Sight, Step
from llmkit.cli.screen import Screen, open_screen
from llmkit.cli.steps import STEPS
from llmkit.detection import detect
from llmkit.errors import LLMKitError
from llmkit.models.usage import Usage
from llmkit.testing import FakeServer

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["demo", "run"]

PACE = 0.03  # seconds from token to token: as fast as models are, and slow enough to be seen
FAST_PACE = 0.002

INDENT = "   "


def demo(options: Namespace) -> int:
    """Show everything; return 1 if anything did not do what it claims."""
    screen = open_screen()
    screen.line("llmkit, shown by real calls over real HTTP to a provider on this machine.")
    screen.line()
    with _undisturbed():
        status = run(STEPS, screen, pace=FAST_PACE if options.fast else PACE)
    screen.text(_next_thing(), "quiet")
    return status


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep proxies out of the way, and log lines out of the picture: what they would tell is in the ledgers shown."""
    logger = logging.getLogger("llmkit")
    level, variables = logger.level, {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    logger.setLevel(logging.CRITICAL)
    os.environ.update(dict.fromkeys(variables, "*"))
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in variables.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@frozen(kw_only=True)
class Outcome:
    """What became of a step. ``claims`` is None where it was skipped."""

    step: Step
    claims: Sequence[Claim] | None = None
    requests: int = 0
    seconds: float = 0.0
    answers: Answers = ()

    @property
    def holds(self) -> bool:
        return self.claims is None or (bool(self.claims) and all(claim.holds for claim in self.claims))


def run(steps: Sequence[Step], screen: Screen, *, pace: float) -> int:
    """Show *steps* and a summary; return 0 if every claim holds, else 1."""
    outcomes: list[Outcome] = []
    with FakeServer() as server:
        for number, step in enumerate(steps, 1):
            screen.line(f"{number}. {step.title} - {step.shows}", "title")
            replies = [reply for outcome in outcomes for reply in outcome.answers]
            outcomes.append(_Player(step, server, screen, replies, pace).play())
            screen.line()
    _summarise(outcomes, screen)
    return 0 if all(outcome.holds for outcome in outcomes) else 1


class _Player:
    """Plays one step."""

    def __init__(self, step: Step, server: FakeServer, screen: Screen, replies: Answers, pace: float) -> None:
        self.step = step
        self.server = server
        self.screen = screen
        self.replies = replies
        self.pace = pace

    def play(self) -> Outcome:
        step, screen = self.step, self.screen
        if step.needs is not None and find_spec(step.needs) is None:
            screen.text(f"Skipped, since {step.needs} is not installed: pip install 'llmkit[async]'", indent=INDENT)
            return Outcome(step=step)
        screen.text(step.setting, "quiet", indent=INDENT)
        screen.code(textwrap.indent(source_of(step.code), INDENT))
        claims: list[Claim] = []
        sight = None
        try:
            sight = self._watch()
            claims.extend(step.check(sight))
        except Exception as error:  # noqa: BLE001 - whatever it is, the step did not do what it claims
            seen = f"{type(error).__name__}: {error}"
            claims.append(Claim(text="its code and its checks run to their end", expected="no error", seen=seen, holds=False))
        for claim in claims:
            self._show(claim)
        seconds, answers = (sight.seconds, sight.answers) if sight is not None else (0.0, [])
        return Outcome(step=step, claims=claims, requests=self.server.hits, seconds=seconds, answers=answers)

    def _watch(self) -> Sight:
        """Run the user's code, and return what there was to see."""
        step, server = self.step, self.server
        server.reset()
        step.script(server, self.pace)
        offered = {"url": server.url("openai"), "replies": self.replies}
        wanted = {name: offered[name] for name in inspect.signature(step.code).parameters}
        printed = Printed(self.screen)
        started = time.monotonic()
        try:
            with redirect_stdout(printed):
                answers = step.code(**wanted)
        finally:
            seconds = time.monotonic() - started
            printed.end_line()
        return Sight(
            answers=answers, requests=server.requests, writes=printed.writes, seconds=seconds, pace=self.pace, replies=self.replies
        )

    def _show(self, claim: Claim) -> None:
        text = claim.text if claim.holds else f"{claim.text}: expected {claim.expected}, saw {claim.seen}"
        self.screen.line(f"{INDENT}{self.screen.marks[claim.holds]} {text}", "good" if claim.holds else "bad")


_FOR_TOOLS = re.compile(r"\s+# (?:type: ignore|noqa|fmt:).*$", re.MULTILINE)


def source_of(code: Callable[..., Answers]) -> str:
    """
    Return the lines of *code* as a user would write them: without the ``def`` around them, the result handed back at the end, and
    remarks to type checkers and formatters.
    """
    try:
        source = textwrap.dedent(inspect.getsource(code))
    except OSError:
        return "# (The source is not installed.)"
    body = textwrap.dedent(source.partition(":\n")[2])
    lines = _FOR_TOOLS.sub("", body).rstrip().splitlines()
    if lines and lines[-1].startswith("return "):
        del lines[-1]
    return "\n".join(lines).rstrip()


class Printed(io.TextIOBase):
    """What a user's code prints: shown at once, with a bar before each line, and remembered with its moments."""

    def __init__(self, screen: Screen) -> None:
        self.writes: list[tuple[float, str]] = []
        self._screen = screen
        self._prefix = f"{INDENT}{screen.bar} "
        self._room = screen.width - len(self._prefix)
        self._column = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes.append((time.monotonic(), text))
        for piece in re.findall(r"\n| *[^ \n]+| +", text):
            self._put(piece)
        return len(text)

    def _put(self, piece: str) -> None:
        if piece == "\n":
            self._begin_line()
            self._screen.write("\n")
            self._column = 0
            return
        if self._column + len(piece) > self._room:
            self.end_line()
            piece = piece.lstrip(" ")
        self._begin_line()
        self._screen.write(piece, "output")
        self._column += len(piece)

    def _begin_line(self) -> None:
        if not self._column:
            self._screen.write(self._prefix, "quiet")

    def end_line(self) -> None:
        """End the line, if one was begun."""
        if self._column:
            self._screen.write("\n")
            self._column = 0


def _summarise(outcomes: Sequence[Outcome], screen: Screen) -> None:
    rows = [_row(outcome, screen) for outcome in outcomes]
    screen.table(("", "step", "what was shown", "requests", "time"), rows, right=(3, 4))
    screen.line()
    usage = sum((reply.usage for outcome in outcomes for reply in outcome.answers), Usage())
    requests = sum(outcome.requests for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    screen.line(f"In all {requests} requests, {usage.total_tokens} tokens, {seconds:.1f} s.")
    failed = [outcome.step.title for outcome in outcomes if not outcome.holds]
    skipped = [outcome.step.title for outcome in outcomes if outcome.claims is None]
    if failed:
        screen.line(f"Not as claimed: {', '.join(failed)}.", "bad")
    else:
        screen.line(f"Every step {'that ran ' if skipped else ''}did what it claims.", "good")


def _row(outcome: Outcome, screen: Screen) -> tuple[str, ...]:
    step = outcome.step
    if outcome.claims is None:
        return "-", step.title, f"skipped: needs {step.needs}", "", ""
    return screen.marks[outcome.holds], step.title, step.shows, str(outcome.requests), f"{outcome.seconds:.2f} s"


def _next_thing() -> str:
    """Return what to try now."""
    try:
        found = detect()
    except LLMKitError:
        return 'Next: set OPENAI_API_KEY, or a key of another provider (llmkit providers), and try llmkit "Say hi".'
    return f'Next: llmkit "Say hi", which would ask {found.provider}/{found.model}. {found.reason}'
