"""The steps of the demo: each shows its code, and each would notice if it were not so."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from attrs import evolve

from llmkit.cli.claims import Answers, Step
from llmkit.cli.demo import FAST_PACE, run, source_of
from llmkit.cli.screen import Screen
from llmkit.cli.steps import STEPS


def play(*steps: Step) -> tuple[int, str]:
    """Run *steps* on a plain screen and return status and output."""
    out = io.StringIO()
    status = run(steps, Screen(out), pace=FAST_PACE)
    return status, out.getvalue()


@pytest.mark.parametrize("step", [step for step in STEPS if "script" in step.script.__name__], ids=lambda step: step.title)
def test_each_step_notices_when_the_provider_did_not_do_its_part(step: Step) -> None:
    """Without faults to survive there is nothing to show, and it must not pass."""
    status, shown = play(evolve(step, script=lambda _server, _pace: None))

    assert 1 == status
    assert "FAILED" in shown


def test_totals_that_do_not_add_up_are_noticed() -> None:
    """They are compared with what the server counted."""
    totals = STEPS[-1]

    def other(replies: Answers) -> Answers:
        print(len(replies), "answers, 1 tokens in all")
        return []

    assert 0 == play(STEPS[0], totals)[0]
    assert 1 == play(STEPS[0], evolve(totals, code=other))[0]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_code_is_shown_whole_and_fits(step: Step) -> None:
    """It compiles as it stands, but for the names it is given; and is narrow enough for 80 columns."""
    source = source_of(step.code)

    compile(source, step.title, "exec")
    assert max(map(len, source.splitlines())) <= 77
    assert "noqa" not in source
    assert "type: ignore" not in source


def test_the_demo_needs_no_aiohttp_to_be_loaded() -> None:
    """Its sync steps must run where the extra is not installed."""
    script = "import sys; sys.modules['aiohttp'] = None; import llmkit.cli.demo"

    assert 0 == subprocess.run([sys.executable, "-c", script], check=False).returncode
