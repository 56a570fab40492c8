"""A registry holds several versions of a tool: which one serves, what it lacks."""

from __future__ import annotations

import pytest

from llmkit import ConfigurationError, Tool, ToolRegistry, tool
from llmkit.tools import as_tools


@tool(version="1.9.0")
def chart(title: str) -> str:
    """Draw a chart."""
    return f"old {title}"


@tool(name="chart", version="1.10.0")
def new_chart(title: str, width: int = 3) -> str:
    """Draw a better chart."""
    return f"new {title} {width}"


@tool(name="chart", version="2.0rc1", requires=["no-such-package>=2", "attrs>=9999", "cattrs"])
def next_chart(title: str) -> str:
    """Draw the best chart."""
    return title


def plain(x: int) -> int:
    return x


def test_the_newest_version_serves() -> None:
    """By the order of versions, not of text or of arrival."""
    registry = ToolRegistry([new_chart, chart])

    assert new_chart is registry.get("chart").function
    assert ("1.10.0", "1.9.0") == registry.versions("chart")


def test_the_named_version_serves() -> None:
    """However it is spelled; only for the one who names it."""
    registry = ToolRegistry([new_chart, chart])

    assert chart is registry.get("chart", "1.9").function
    assert new_chart is registry.get("chart").function


def test_a_registry_is_a_list_of_tools() -> None:
    """One for each name: those that serve."""
    registry = ToolRegistry([chart, plain, new_chart])

    assert ["chart 1.10.0", "plain"] == [one.title for one in as_tools(registry)]
    assert ("chart" in registry, "pie" in registry, len(registry)) == (True, False, 2)
    assert "ToolRegistry(chart 1.10.0, plain)" == repr(registry)


def test_a_version_is_chosen_until_another_is() -> None:
    """A newer one that comes meanwhile waits."""
    registry = ToolRegistry([chart])

    registry.use("chart", "1.9.0")
    registry.add(new_chart)
    before = registry.get("chart")
    registry.use("chart")

    assert (chart, new_chart) == (before.function, registry.get("chart").function)


def test_rolling_back_goes_one_version_down() -> None:
    """From the one that serves; below the first there is nothing."""
    registry = ToolRegistry([chart, new_chart, Tool(name="chart", function=plain)])

    assert [chart, plain] == [registry.rollback("chart").function for _ in range(2)]
    assert plain is registry.get("chart").function
    with pytest.raises(ConfigurationError, match="no version of the tool chart before 0"):
        registry.rollback("chart")
    assert new_chart is registry.use("chart").function


def test_what_a_tool_lacks_is_said_by_name() -> None:
    """With what is wrong and the command that helps; an older version is never taken in silence."""
    registry = ToolRegistry([chart, next_chart])

    with pytest.raises(ConfigurationError) as caught:
        registry.get("chart")

    text = caught.value.message
    assert "chart 2.0rc1 lacks" in text
    assert "no-such-package>=2 is not installed" in text
    assert "attrs>=9999 is installed as" in text
    assert "pip install 'no-such-package>=2' 'attrs>=9999'" in text
    assert {"chart": {"no-such-package>=2", "attrs>=9999"}} == {name: set(lacks) for name, lacks in registry.missing().items()}


def test_a_version_that_cannot_work_is_not_chosen() -> None:
    """What served goes on serving."""
    registry = ToolRegistry([chart, next_chart])
    registry.use("chart", "1.9.0")

    for choose in (lambda: registry.use("chart", "2.0rc1"), lambda: registry.use("chart")):
        with pytest.raises(ConfigurationError, match="lacks"):
            choose()

    assert chart is registry.get("chart").function
    assert {} == registry.missing()


def test_a_decorator_takes_a_function_in() -> None:
    """It stays the function it was."""
    registry = ToolRegistry()

    @registry.tool("3.1", timeout=2.5, needs_approval=True)
    def drop(table: str) -> str:
        return table

    found = registry.get("drop")
    assert "x" == drop("x")
    assert ("3.1", 2.5, True) == (found.version, found.timeout, found.needs_approval)


def test_a_version_may_be_said_to_the_registry() -> None:
    """For functions that say none."""
    registry = ToolRegistry()

    made = registry.add(plain, version="2.1")

    assert ("2.1", ("2.1",)) == (made.version, registry.versions("plain"))


def test_a_version_is_there_once() -> None:
    """1.9 and 1.9.0 are the same."""
    registry = ToolRegistry([chart])

    with pytest.raises(ConfigurationError, match=r"chart 1\.9 is there already"):
        registry.add(Tool(name="chart", function=plain, version="1.9"))


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("chat", None, "Did you mean 'chart'"),
        ("chart", "7", "no version 7 of the tool chart; there are 1.9.0"),
        ("chart", "new", "written"),
    ],
)
def test_what_is_not_there_is_refused(name: str, version: str | None, words: str) -> None:
    """With what there is."""
    with pytest.raises(ConfigurationError, match=words):
        ToolRegistry([chart]).get(name, version)
