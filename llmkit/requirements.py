"""
Which packages something needs, whether they are installed, and the command that installs them.

A requirement is a name, extras and versions, as in ``"pandas[excel]>=2,<3"``. Markers and URLs are refused: whoever needs something on
one platform alone knows the platform.

Source: PyPA specifications, "Version specifiers" and "Dependency specifiers", read 2026-11-21.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from functools import total_ordering
from typing import Any

from attrs import evolve, field, frozen

from llmkit.errors import ConfigurationError

__all__ = ["Requirement", "Version", "as_requirements", "command_for"]

_VERSION = re.compile(
    r"""
    \s*v?
    (?:(?P<epoch>[0-9]+)!)?
    (?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>[0-9]+)?)?
    (?P<post>-(?P<post_bare>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>[0-9]+)?)?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_number>[0-9]+)?)?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?
    \s*
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
_REQUIREMENT = re.compile(
    r"\s*(?P<name>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)\s*(?:\[(?P<extras>[^\]]*)\])?\s*(?P<versions>\([^)]*\)|[^;@]*)", re.IGNORECASE
)
_CLAUSE = re.compile(r"\s*(===|==|!=|~=|<=|>=|<|>)\s*(\S+)\s*")


@total_ordering
@frozen(eq=False)
class Version:
    """A version of a package or tool, in the order in which versions follow each other."""

    epoch: int
    release: tuple[int, ...]
    pre: tuple[str, int] | None
    post: int | None
    dev: int | None
    local: tuple[int | str, ...]

    @classmethod
    def of(cls, text: object) -> Version:
        """
        Return the version that *text* names.

        Raises:
            ConfigurationError: If it names none.
        """
        match = _VERSION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            msg = f"A version is written like '1.2.0' or '2.0rc1', not {text!r}."
            raise ConfigurationError(msg)
        said = match.groupdict()
        pre = said["pre"] and said["pre"].lower()
        return cls(
            epoch=int(said["epoch"] or 0),
            release=tuple(map(int, said["release"].split("."))),
            pre=(_PRE.get(pre, pre), int(said["pre_number"] or 0)) if pre else None,
            post=int(said["post_bare"] or said["post_number"] or 0) if said["post"] else None,
            dev=int(said["dev_number"] or 0) if said["dev"] else None,
            local=tuple(int(word) if word.isdigit() else word.lower() for word in re.split(r"[-_.]", said["local"] or "") if word),
        )

    @property
    def base(self) -> tuple[int, tuple[int, ...]]:
        """Epoch and release, without the zeros at its end."""
        release = self.release
        while len(release) > 1 and release[-1] == 0:
            release = release[:-1]
        return self.epoch, release

    @property
    def _public(self) -> tuple[Any, ...]:
        # A development release comes before the pre-release, and that before the release, that it leads to.
        only_dev = self.pre is None and self.post is None and self.dev is not None
        pre = (0,) if only_dev else (2,) if self.pre is None else (1, *self.pre)
        post = -1 if self.post is None else self.post
        dev = (1,) if self.dev is None else (0, self.dev)
        return (*self.base, pre, post, dev)

    @property
    def _key(self) -> tuple[Any, ...]:
        return (*self._public, tuple((1, word, "") if isinstance(word, int) else (0, 0, word) for word in self.local))

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Version) else NotImplemented

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def begins(self, epoch: int, release: tuple[int, ...]) -> bool:
        """Whether the release begins with *release*: 1.2.3 and 1.2rc1 begin with 1.2, and 1 with 1.0."""
        mine = self.release + (0,) * len(release)
        return self.epoch == epoch and mine[: len(release)] == release


@frozen
class _Clause:
    """One comparison of a requirement: ``>=2``."""

    sign: str
    text: str

    def allows(self, version: Version) -> bool:
        if self.sign in ("==", "!=") and self.text.endswith(".*"):
            start = Version.of(self.text[:-2])
            return version.begins(start.epoch, start.release) == (self.sign == "==")
        bound = Version.of(self.text)
        if self.sign == "~=":
            return version._public >= bound._public and version.begins(bound.epoch, bound.release[:-1])
        if self.sign in ("==", "!="):
            # What was built locally is the version that it was built of, unless the build is asked for.
            alike = version == bound if bound.local else version._public == bound._public
            return alike == (self.sign == "==")
        if self.sign == ">=":
            return version._public >= bound._public
        if self.sign == "<=":
            return version._public <= bound._public
        if self.sign == "<":
            # Not what came before that very release in its making.
            return version < (bound if bound.pre or bound.dev is not None else evolve(bound, dev=0))
        # Nor what was mended in that very release after its day.
        mended = version.post is not None and bound.post is None and bound.dev is None
        return version._public > bound._public and not (mended and (version.base, version.pre) == (bound.base, bound.pre))


@frozen
class Requirement:
    """A package that is needed: its name, its extras, and the versions that will do."""

    text: str
    name: str = field(eq=False)
    _clauses: tuple[_Clause, ...] = field(eq=False, repr=False)

    @classmethod
    def of(cls, text: object) -> Requirement:
        """
        Return the requirement that *text* states.

        Raises:
            ConfigurationError: If it states none, or one that cannot be checked here.
        """
        match = _REQUIREMENT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            msg = f"A requirement is a package's name with versions, like 'pandas>=2', without markers and URLs, not {text!r}."
            raise ConfigurationError(msg)
        versions = match["versions"].strip().removeprefix("(").removesuffix(")")
        clauses = tuple(_clause(one, match.string) for one in versions.split(",")) if versions.strip() else ()
        return cls(match.string.strip(), match["name"], clauses)

    def allows(self, version: str) -> bool:
        """Whether *version*, a pre-release too, will do. One that is no version will do where any will."""
        if not self._clauses:
            return True
        try:
            found = Version.of(version)
        except ConfigurationError:
            found = None
        return all(
            version.lower() == one.text.lower() if one.sign == "===" else found is not None and one.allows(found) for one in self._clauses
        )

    def lack(self) -> str | None:
        """Return what is wrong with what is installed: that it is not, or in which version it is. None if it will do."""
        from importlib import metadata

        try:
            version = metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return "is not installed"
        return None if self.allows(version) else f"is installed as {version}"


def _clause(text: str, whole: str) -> _Clause:
    match = _CLAUSE.fullmatch(text)
    if match is None:
        msg = f"In the requirement {whole!r}, {text.strip()!r} is no comparison with a version, like '>=2'."
        raise ConfigurationError(msg)
    sign, version = match.groups()
    if sign != "===":
        prefixed = version.endswith(".*") and sign in ("==", "!=")
        bound = Version.of(version[:-2] if prefixed else version)
        loose = prefixed and (bound.pre or bound.post is not None or bound.dev is not None or bound.local)
        if loose or (sign == "~=" and len(bound.release) < 2) or (bound.local and sign not in ("==", "!=")):
            msg = f"In the requirement {whole!r}, {sign} does not go with {version!r}."
            raise ConfigurationError(msg)
    return _Clause(sign, version)


def as_requirements(texts: object) -> tuple[str, ...]:
    """
    Return *texts*, a list of requirements, as a tuple.

    Raises:
        ConfigurationError: If one of them states no requirement.
    """
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        msg = f"requires is a list of requirements, like ['pandas>=2'], not {texts!r}."
        raise ConfigurationError(msg)
    return tuple(Requirement.of(text).text for text in texts)


def command_for(requirements: Iterable[str]) -> str:
    """Return the shell command that installs *requirements*."""
    return f"pip install {shlex.join(dict.fromkeys(requirements))}"
