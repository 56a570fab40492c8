"""Versions and requirements, held against the ``packaging`` library, which is the reference."""

from __future__ import annotations

from importlib import metadata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement as Reference
from packaging.version import Version as ReferenceVersion

from llmkit import ConfigurationError
from llmkit.requirements import Requirement, Version, as_requirements, command_for

NUMBERS = st.integers(0, 3).map(str)
RELEASES = st.lists(NUMBERS, min_size=1, max_size=3).map(".".join)
VERSIONS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "", "1!", "v"]),
        RELEASES,
        st.sampled_from(["", "", "", "a1", "b", "rc2", ".alpha.1", "-c1", "preview0"]),
        st.sampled_from(["", "", "", ".post1", "-1", "rev2", ".post"]),
        st.sampled_from(["", "", "", ".dev1", "dev", "-dev2"]),
    ),
)
LOCAL = st.sampled_from(["", "", "", "+1", "+ubuntu.1", "+A-2", "+a"])
INSTALLED = st.builds(str.__add__, VERSIONS, LOCAL)
CLAUSES = st.one_of(
    st.builds(str.__add__, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), VERSIONS),
    st.builds(str.__add__, st.sampled_from(["==", "!="]), INSTALLED),
    st.builds("{}{}.*".format, st.sampled_from(["==", "!="]), RELEASES),
    st.builds("~={}.{}".format, RELEASES, NUMBERS),
)


@settings(max_examples=400)
@given(INSTALLED, INSTALLED)
def test_versions_follow_each_other_as_they_do_for_pip(one: str, other: str) -> None:
    """Whatever their spelling."""
    mine, theirs = (Version.of(one), Version.of(other)), (ReferenceVersion(one), ReferenceVersion(other))

    assert (theirs[0] < theirs[1], theirs[0] == theirs[1]) == (mine[0] < mine[1], mine[0] == mine[1])


@settings(max_examples=600)
@given(st.lists(CLAUSES, max_size=2), INSTALLED)
def test_a_requirement_allows_what_pip_would_keep(clauses: list[str], installed: str) -> None:
    """A pre-release that is installed counts, as it does for ``pip check``."""
    text = f"package{', '.join(clauses)}"

    assert Reference(text).specifier.contains(installed, prereleases=True) == Requirement.of(text).allows(installed)


@pytest.mark.parametrize("text", ["pandas", "pandas>=2", "Pandas[excel, sql] >= 2, < 3", "ruamel.yaml (>=0.17)", "x===anything-goes"])
def test_a_requirement_is_kept_as_it_was_written(text: str) -> None:
    """For the command that installs it."""
    assert text == Requirement.of(f" {text} ").text


@pytest.mark.parametrize(
    "text", ["", "pandas>2; python_version<'3.12'", "x @ https://example.org/x.whl", "pandas>", "pandas 2", "pandas>=two", "-e .", "~=2", 3]
)
def test_what_is_no_requirement_is_refused(text: object) -> None:
    """With what was written; a marker would be left out in silence else."""
    with pytest.raises(ConfigurationError):
        Requirement.of(text)


@pytest.mark.parametrize("text", ["x~=2", "x>=1+local", "x>=1.*", "x==1a1.*", "x==1.0+a.*"])
def test_signs_and_versions_go_together(text: str) -> None:
    """What has no meaning is not given one."""
    with pytest.raises(ConfigurationError):
        Requirement.of(text)


def test_what_is_lacking_is_said() -> None:
    """That it is there in another version, or not at all; nothing is said of what will do."""
    version = metadata.version("attrs")

    assert Requirement.of("attrs").lack() is None
    assert Requirement.of(f"ATTRS=={version}").lack() is None
    assert f"is installed as {version}" == Requirement.of("attrs>=9999").lack()
    assert "is not installed" == Requirement.of("no-such-package-anywhere").lack()


def test_a_version_that_is_none_does_where_any_will() -> None:
    """Some packages are installed from a checkout without one."""
    assert Requirement.of("x").allows("unknown")
    assert Requirement.of("x===unknown").allows("unknown")
    assert not Requirement.of("x>=0").allows("unknown")


def test_the_command_is_one_for_the_shell() -> None:
    """A sign would send the output into a file."""
    assert "pip install 'pandas>=2' x" == command_for(["pandas>=2", "x", "x"])


@pytest.mark.parametrize("value", ["pandas", 3, None, ["pandas", 3]])
def test_requirements_come_in_a_list(value: object) -> None:
    """One text alone would be read letter by letter."""
    with pytest.raises(ConfigurationError):
        as_requirements(value)


@pytest.mark.parametrize("text", ["", "one", "1.", "1..2", "1.2.*", "1 2", "٣", None, 1.0])
def test_what_is_no_version_is_refused(text: object) -> None:
    """A float was written without quotes, and has lost its zeros."""
    with pytest.raises(ConfigurationError, match="version is written"):
        Version.of(text)
