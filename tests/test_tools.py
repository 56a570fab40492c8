"""Functions as tools: what a model is told of them, and how its arguments come back."""

from __future__ import annotations

import enum
import functools
import gc
import sys
import weakref
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
import pytest
from annotated_types import Ge

from llmkit.errors import ConfigurationError, ToolExecutionError
from llmkit.tools import Tool, as_tool, as_tools, tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping


class Unit(enum.Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


@attrs.frozen
class Tree:
    branches: list[Tree]


@attrs.frozen
class Place:
    city: str
    country: str = "FR"


def get_weather(place: Place, days: Annotated[int, Ge(1)] = 1, unit: Unit = Unit.CELSIUS, *, since: date | None = None) -> str:
    """
    Tell the weather.

    Only for the coming days.

    Args:
        place: Where.
        days: How many,
            at least one.

    Returns:
        One line.
    """
    return f"{place} {days} {unit} {since}"


async def get_weather_later(place: Place) -> str:
    """Tell the weather, but later."""
    return f"{place}"


def untyped(a, b=None, c=object()):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, B008
    return a, b, c


def implicit(n: int = None) -> int:  # type: ignore[assignment]  # noqa: RUF013
    return n


def gathered(*args: int) -> int:
    return sum(args)


def spread(**options: int) -> int:
    return sum(options.values())


def positional(x: int, /) -> int:
    return x


def binary(data: bytes) -> bytes:
    return data


def shouting(function: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> str:
        return function(*args, **kwargs).upper()

    return wrapper


@shouting
def greet(name: str) -> str:
    """Greet somebody."""
    return f"hello {name}"


@shouting
@tool(name="greet-politely", description="Greet well.", strict=True)
def greet_marked(name: str) -> str:
    """Greet somebody."""
    return f"good day {name}"


@tool
def bare(x: int) -> int:
    """Do nothing."""
    return x


def nothing() -> None:
    """Do nothing."""


def mapped(x: int) -> Mapping[str, int]:
    return {"x": x}


class Shop:
    def sell(self, item: str, price: float = 1.0) -> str:
        """Sell something."""
        return f"{item} {price}"

    @classmethod
    def opened(cls, day: date) -> bool:
        """Tell whether the shop is open."""
        return bool(day)

    @staticmethod
    @tool(name="close_shop")
    def close(hard: bool) -> bool:
        return hard


def test_a_function_becomes_a_tool() -> None:
    """Name, prose, annotations, defaults and the Args section are what the model is told."""
    made = as_tool(get_weather)

    assert "get_weather" == made.name
    assert "Tell the weather.\n\nOnly for the coming days." == made.description
    assert {
        "type": "object",
        "properties": {
            "place": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "country": {"type": "string", "default": "FR"}},
                "required": ["city"],
                "additionalProperties": False,
                "description": "Where.",
            },
            "days": {"type": "integer", "minimum": 1, "default": 1, "description": "How many, at least one."},
            "unit": {"type": "string", "enum": ["celsius", "kelvin"], "default": "celsius"},
            "since": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
        },
        "required": ["place"],
        "additionalProperties": False,
    } == made.parameters
    assert get_weather is made.function
    assert made.strict is None


def test_arguments_come_back_as_annotated() -> None:
    """The JSON of a model becomes what the function was written for; what is left out keeps its default."""
    made = as_tool(get_weather)

    bound = made.bind({"place": {"city": "Paris"}, "unit": "kelvin", "since": "2026-11-21"})

    assert {"place": Place("Paris"), "unit": Unit.KELVIN, "since": date(2026, 11, 21)} == bound
    assert "Place(city='Paris', country='FR') 1 Unit.KELVIN 2026-11-21" == get_weather(**bound)


def test_an_async_function_is_a_tool_too() -> None:
    """What it takes is told in the same way; whether to await it is the caller's affair."""
    made = as_tool(get_weather_later)

    assert "get_weather_later" == made.name
    assert {"place": Place("Paris")} == made.bind({"place": {"city": "Paris"}})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"place": {"city": 3}}, r"\$\.place\.city: expected text, got 3"),
        ({"place": {}}, r"\$\.place\.city: is required, but missing"),
        ({}, r"\$\.place: is required, but missing"),
        ({"place": {"city": "x"}, "dayz": 3}, r"\$\.dayz: is unknown; known are: place, days, unit, since"),
        ({"place": {"city": "x"}, "days": 0}, r"\$\.days: expected minimum 1, got 0"),
        ({"place": {"city": "x"}, "days": "3"}, r'\$\.days: expected an integer, got "3"'),
        ({"place": {"city": "x"}, "unit": "rankine"}, r'\$\.unit: expected one of "celsius", "kelvin"'),
    ],
)
def test_wrong_arguments_are_told_with_their_path(arguments: dict[str, Any], words: str) -> None:
    """The message can be sent back to the model as it is."""
    made = as_tool(get_weather)

    with pytest.raises(ToolExecutionError, match=words) as caught:
        made.bind(arguments)

    assert "get_weather" == caught.value.tool
    assert arguments == caught.value.arguments


def test_arguments_that_are_no_object_are_refused() -> None:
    """A model that writes a list has not called the tool."""
    with pytest.raises(ToolExecutionError, match="must be an object, not list"):
        as_tool(bare).bind([1])


def test_arguments_nested_too_deeply_are_refused() -> None:
    """With an error of the tool's, as everything else that is wrong with them; where any JSON will do, so does a deep one."""
    deep: dict[str, Any] = {"branches": []}
    for _ in range(900):
        deep = {"branches": [deep]}

    def take(tree: Tree) -> None: ...

    with pytest.raises(ToolExecutionError, match=r"do not fit: .*recursion"):
        as_tool(take).bind({"tree": deep})
    assert deep is as_tool(untyped).bind({"a": deep})["a"]


def test_a_null_for_an_optional_parameter_means_its_default() -> None:
    """Strict mode makes a model write every key; where None is a value of the parameter, it stays."""
    bound = as_tool(get_weather).bind({"place": {"city": "x", "country": None}, "days": None, "since": None})

    assert {"place": Place("x"), "since": None} == bound


def test_parameters_without_annotation_take_anything() -> None:
    """No annotation, no rule; a default that JSON cannot say makes it optional all the same."""
    made = as_tool(untyped)

    assert {"a": {}, "b": {"default": None}, "c": {}} == made.parameters["properties"]
    assert ["a"] == made.parameters["required"]
    assert {"a": [1, {"b": 2}]} == made.bind({"a": [1, {"b": 2}]})


def test_what_a_function_returns_need_not_be_importable() -> None:
    """Its annotation may stand under TYPE_CHECKING; those of the parameters are needed."""
    assert {"x": {"type": "integer"}} == as_tool(mapped).parameters["properties"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="until then, Python does not look its own type parameters up")
def test_a_generic_function_is_a_tool() -> None:
    """Its type parameters are what they may be."""
    names: dict[str, Any] = {}
    exec("from __future__ import annotations\ndef first[T: int](items: list[T]) -> T: return items[0]", names)

    assert {"items": {"type": "array", "items": {"type": "integer"}}} == as_tool(names["first"]).parameters["properties"]


def test_a_default_of_none_lets_the_parameter_be_none() -> None:
    """``n: int = None`` is still written, and means the same on every Python."""
    made = as_tool(implicit)

    assert {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None} == made.parameters["properties"]["n"]
    assert {"n": None} == made.bind({"n": None})


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    """Providers want a schema even so."""
    made = as_tool(nothing)

    assert {"type": "object", "properties": {}, "additionalProperties": False} == made.parameters
    assert {} == made.bind({})


def one_by_one(x: int) -> Iterator[int]:
    yield x


async def aone_by_one(x: int) -> AsyncIterator[int]:
    yield x


@tool(version="1.2")
def fetch(host: str, pages: list[int], *, key: str = "") -> str:
    """
    Fetch a page.

    Args:
        host: Where.
        pages: Which.
        key: Who.
    """
    return f"{host} {pages} {key}"


@attrs.define
class Scale:
    """Has equality, and so no hash; has slots, and so no weak references."""

    factor: float

    def __call__(self, weight: float) -> float:
        """
        Weigh it.

        Args:
            weight: In kg.
        """
        return self.factor * weight


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (gathered, r"gathered cannot be a tool.*\*args"),
        (spread, r"spread cannot be a tool.*\*\*options"),
        (positional, "x is positional-only"),
        (binary, r"binary\.data"),
        (lambda x: x, "A name must be"),
        (Shop.sell, "self is bound"),
        (dict.fromkeys, "cannot be a tool"),
        (max, "Python knows no signature"),
        (one_by_one, "one_by_one cannot be a tool: it yields"),
        (aone_by_one, "aone_by_one cannot be a tool: it yields"),
    ],
)
def test_what_a_model_could_not_call_is_refused(function: Callable[..., Any], words: str) -> None:
    """The error names the function, the parameter and the reason."""
    with pytest.raises(ConfigurationError, match=words):
        as_tool(function)


def test_methods_are_tools_without_self() -> None:
    """An instance's method, a class method and a static method each take what is left to give."""
    shop = Shop()

    sell, opened, close = as_tools([shop.sell, Shop.opened, Shop.close])

    assert ["item", "price"] == list(sell.parameters["properties"])
    assert ["day"] == list(opened.parameters["properties"])
    assert ("close_shop", ["hard"]) == (close.name, list(close.parameters["properties"]))
    assert "apple 2.0" == shop.sell(**sell.bind({"item": "apple", "price": 2}))


def test_what_a_partial_gives_is_not_asked_for() -> None:
    """Nor shown to the model: it may be a key. The rest is as annotated, and what was said with @tool holds."""
    made = as_tool(functools.partial(functools.partial(fetch, "https://x.example"), key="secret"))

    assert ("fetch", "Fetch a page.", "1.2") == (made.name, made.description, made.version)
    assert {"pages": {"type": "array", "items": {"type": "integer"}, "description": "Which."}} == made.parameters["properties"]
    assert made.function is not None
    assert "https://x.example [1] secret" == made.function(**made.bind({"pages": [1]}))
    with pytest.raises(ToolExecutionError, match=r"\$\.key: is unknown"):
        made.bind({"pages": [1], "key": "mine"})


def test_an_object_that_can_be_called_is_a_tool() -> None:
    """It has the name of its class; what it does is told by its method, also where a partial calls it."""
    made, named, part = as_tool(Scale(2)), Tool(name="double", function=Scale(2)), as_tool(functools.partial(Scale(2), weight=3.0))

    assert ("Scale", "double", "Scale") == (made.name, named.name, part.name)
    assert made.description == named.description == part.description == "Weigh it."
    assert {"weight": {"type": "number", "description": "In kg."}} == made.parameters["properties"] == named.parameters["properties"]
    assert {} == part.parameters["properties"]
    assert all(one.function is not None for one in (made, named, part))
    assert 6.0 == made.function(**made.bind({"weight": 3})) == part.function()  # type: ignore[misc]


def test_a_decorated_function_stays_a_function() -> None:
    """@tool marks; it neither wraps nor replaces."""
    assert 3 == bare(3)
    assert ("bare", "Do nothing.", None) == (as_tool(bare).name, as_tool(bare).description, as_tool(bare).strict)


def test_a_mark_survives_further_decoration() -> None:
    """functools.wraps carries it on, and the outermost function is the one that is called."""
    made = as_tool(greet_marked)

    assert ("greet-politely", "Greet well.", True) == (made.name, made.description, made.strict)
    assert made.function is greet_marked
    assert ["name"] == list(made.parameters["properties"])
    assert "HELLO YOU" == greet(**as_tool(greet).bind({"name": "you"}))


@pytest.mark.parametrize("thing", [3, staticmethod(bare), Shop])
def test_the_decorator_takes_only_functions(thing: Any) -> None:
    """A mark on anything else would be lost without a word."""
    with pytest.raises(ConfigurationError, match="@tool decorates functions"):
        tool(thing)


def test_the_decorator_refuses_a_bad_name_at_once() -> None:
    """Not only when the tool is first sent."""
    for name in ("has spaces", ""):
        with pytest.raises(ConfigurationError, match="A name must be"):
            tool(name=name)(bare)


NESTED = {
    "type": "function",
    "function": {"name": "f", "description": "F.", "parameters": {"type": "object", "properties": {}}, "strict": True},
}
FLAT = {"type": "function", "name": "f", "description": "F.", "parameters": {"type": "object", "properties": {}}, "strict": True}


@pytest.mark.parametrize("value", [NESTED, FLAT], ids=["chat", "responses"])
def test_openai_dicts_are_tools(value: dict[str, Any]) -> None:
    """Both forms say the same."""
    made = as_tool(value)

    assert Tool(name="f", description="F.", parameters={"type": "object", "properties": {}}, strict=True) == made
    assert made.function is None


def test_a_dict_needs_only_a_name() -> None:
    """Responses sends nulls for what is not said."""
    made = as_tool({"type": "function", "name": "f", "description": None, "parameters": None, "strict": None})

    assert Tool(name="f") == made


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "3 is no tool"),
        ("get_weather", "'get_weather' is no tool"),
        (Place, "is no tool"),
        ({"type": "web_search"}, "web_search"),
        ({"name": "f", "input_schema": {}}, "input_schema"),
        ({"type": "function", "function": "f"}, "must have type 'function'"),
        ({"type": "function", "function": {"name": "f", "cache": 1}}, "'f' has keys that are not known: 'cache'"),
        ({**NESTED, "cache_control": {}}, "'cache_control'"),
        ({"type": "function", "name": "f", "parameters": {"type": "string"}}, "of type object, not 'string'"),
        ({"type": "function", "parameters": {}}, "A name must be"),
    ],
)
def test_what_is_no_tool_is_refused_by_name(value: object, words: str) -> None:
    """The message shows what was given, and what would do."""
    with pytest.raises(ConfigurationError, match=words):
        as_tool(value)


@pytest.mark.parametrize("name", ["", "a b", "é", "a" * 65, "a.b", "a\n", 3])
def test_a_name_that_no_provider_takes_is_refused(name: Any) -> None:
    """1 to 64 of a-z, A-Z, 0-9, _ and -."""
    with pytest.raises(ConfigurationError, match="A name must be"):
        Tool(name=name)


def test_a_tool_does_not_share_its_schema() -> None:
    """Changing one tool's parameters changes neither the caller's dict nor the next tool of the same function."""
    given: dict[str, Any] = {"type": "object", "properties": {}}
    from_dict, from_function = Tool(name="f", parameters=given), as_tool(bare)

    from_dict.parameters["properties"]["x"] = {}
    from_function.parameters["properties"].clear()

    assert {"type": "object", "properties": {}} == given
    assert ["x"] == list(as_tool(bare).parameters["properties"])


def test_a_tool_made_of_a_dict_binds_its_arguments_as_they_are() -> None:
    """Without a function there is no type to make of them; only nulls that say "absent" go."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]}

    bound = Tool(name="f", parameters=schema).bind({"a": 1, "b": None, "c": "x"})

    assert {"a": 1, "c": "x"} == bound


def test_a_tool_made_by_hand_knows_its_function() -> None:
    """What is not given is read from it, so that no parameter goes missing; what is given stands."""
    made = Tool(name="weather", function=get_weather)
    told = Tool(name="weather", function=get_weather, description="", parameters={"type": "object", "properties": {}})

    assert (as_tool(get_weather).description, as_tool(get_weather).parameters) == (made.description, made.parameters)
    assert ("", {}) == (told.description, told.parameters["properties"])
    with pytest.raises(ConfigurationError, match="positional-only"):
        Tool(name="f", function=positional)


def test_two_tools_of_one_name_are_refused() -> None:
    """A model could not say which one it means."""
    with pytest.raises(ConfigurationError, match=r"same name: bare\."):
        as_tools([bare, Tool(name="bare"), get_weather])


@pytest.mark.parametrize("values", ["bare", bare, {"type": "function", "name": "f"}, 3])
def test_tools_come_in_a_list(values: Any) -> None:
    """One tool alone, or a text, is not a list of them."""
    with pytest.raises(ConfigurationError, match="tools must be a list"):
        as_tools(values)


def test_a_tool_that_is_one_stays_itself() -> None:
    """Nothing is made twice."""
    made = as_tool(bare)

    assert (made,) == as_tools([made])
    assert made is as_tools(iter([made]))[0]


def test_a_function_made_for_one_call_is_not_kept() -> None:
    """What is remembered of a function does not keep it alive."""

    def passing(x: int, kind: Literal["a"] = "a") -> dict[str, int]:
        return {kind: x}

    made = as_tool(passing)
    assert {"x": 1} == made.bind({"x": 1})
    alive = weakref.ref(passing)

    del passing, made
    gc.collect()

    assert alive() is None


@tool(version="1.2.0", requires=["attrs>=23", "no-such-package>=2"], timeout=2, needs_approval=True)
def careful(x: int) -> int:
    """Do much."""
    return x


def test_a_tool_says_what_it_needs() -> None:
    """Its version, its packages, its time and whether somebody must approve."""
    made = as_tool(careful)

    assert ("1.2.0", ("attrs>=23", "no-such-package>=2"), 2.0, True) == (made.version, made.requires, made.timeout, made.needs_approval)
    assert {"no-such-package>=2": "is not installed"} == made.missing()
    with pytest.raises(ConfigurationError, match=r"careful 1\.2\.0 lacks .*pip install 'no-such-package>=2'"):
        made.check()


def test_a_tool_that_needs_nothing_lacks_nothing() -> None:
    """And what nobody said is None."""
    made = as_tool(bare)

    made.check()
    assert (None, (), None, None, {}) == (made.version, made.requires, made.timeout, made.needs_approval, made.missing())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"version": "new"}, "version is written like"),
        ({"version": 1.2}, "version is written like"),
        ({"requires": "pandas"}, "requires is a list"),
        ({"requires": ["pandas>two"]}, "version is written like"),
        ({"timeout": 0}, "timeout is a number of seconds above zero"),
        ({"timeout": True}, "timeout is a number of seconds above zero"),
        ({"timeout": float("inf")}, "timeout is a number of seconds above zero"),
        ({"needs_approval": "yes"}, "needs_approval is True, False or None"),
    ],
)
def test_what_is_said_wrongly_is_refused_at_once(said: dict[str, Any], words: str) -> None:
    """When the function is marked, or the tool made, not when it is used."""
    with pytest.raises(ConfigurationError, match=words):
        tool(**said)
    with pytest.raises(ConfigurationError, match=words):
        Tool(name="f", **said)
