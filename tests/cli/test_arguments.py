"""What was typed, understood."""

from __future__ import annotations

import pytest

from llmkit.cli.arguments import COMMANDS, parse


def test_a_first_word_that_is_a_command_is_one() -> None:
    """Everything else is a prompt."""
    assert ("chat", "gpt-4o") == (parse(["chat", "-m", "gpt-4o"]).command, parse(["chat", "-m", "gpt-4o"]).model)
    assert ("ask", ["chatter"]) == (parse(["chatter"]).command, parse(["chatter"]).words)
    assert ("ask", ["about", "chat"]) == (parse(["about", "chat"]).command, parse(["about", "chat"]).words)


def test_nothing_is_set_that_was_not_typed() -> None:
    """Only what the caller said is sent."""
    options = parse(["hi"])

    assert {None} == {options.model, options.provider, options.base_url, options.system, options.temperature, options.max_tokens}


def test_a_prompt_may_begin_with_a_hyphen() -> None:
    """Behind two of them."""
    assert ["-5 degrees?"] == parse(["--", "-5 degrees?"]).words


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In a sentence, on standard output, with status 0."""
    with pytest.raises(SystemExit) as ended:
        parse([command, "--help"])

    assert 0 == ended.value.code
    assert f"usage: llmkit {command}" in capsys.readouterr().out


def test_help_fits_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns are enough, and every command is named."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse(["--help"])

    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert all(f"llmkit {command}" in shown for command in COMMANDS)
