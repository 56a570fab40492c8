"""A client's configuration as a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Attribute, field, fields, frozen

from llmkit.abilities import as_capabilities
from llmkit.address import check_base_url
from llmkit.config.tables import Table
from llmkit.errors import ConfigurationError
from llmkit.models.request import check_parameter, check_seconds
from llmkit.providers import Provider, find_provider
from llmkit.resilience.checks import number, whole

__all__ = ["LLMConfig", "table_of"]


def _text(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and not (isinstance(value, str) and value):
        # Not shown: a key may have got into the wrong place.
        msg = f"{attribute.name} is a string that is not empty."
        raise ConfigurationError(msg)


def _provider(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Provider):
        _text(instance, attribute, value)


def _address(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None:
        check_base_url(value)


def _parameter(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None:
        check_parameter(attribute.name, value)


def _retries(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    whole(attribute.name, value)


def _delay(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    number(attribute.name, value)


def _seconds(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value)


def _rate(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None:
        number(attribute.name, value, above=0.0)


def _table(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value)):
        msg = f"{attribute.name} is a dict with strings as keys, not {type(value).__name__}."
        raise ConfigurationError(msg)


def _as_keys(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _keys(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (not isinstance(value, tuple) or not value or not all(isinstance(key, str) and key for key in value)):
        msg = "api_keys is a list of keys, none of them empty; a single key is api_key."
        raise ConfigurationError(msg)


@frozen
class LLMConfig:
    """
    What a client is to be; ``Client.from_config`` makes it.

    ``provider`` and ``model_name`` may also be one, as in ``LLMConfig(model_name="openai/gpt-4o-mini")``. A key may be a reference:
    ``env:NAME``, ``${NAME}`` or ``file:PATH``. ``retry_delay`` and ``timeout`` are seconds. Of ``extra_params``, what is a parameter
    of a request is used for each call, what is an option of the provider is one, and the rest goes into the body as it is.
    ``capabilities`` says what the model can do, where the catalogue is wrong. ``rate_limit_capacity`` requests may go at once, and
    ``rate_limit_refill_rate`` more each second. ``options`` are the provider's own.

    Raises:
        ConfigurationError: If a value is not what it must be, or out of range; it names the field.
    """

    provider: str | Provider | None = field(default=None, validator=_provider)
    model_name: str | None = field(default=None, validator=_text)
    api_key: str | None = field(default=None, repr=False, validator=_text)
    api_keys: Sequence[str] | None = field(default=None, repr=False, converter=_as_keys, validator=_keys)
    base_url: str | None = field(default=None, validator=_address)
    temperature: float | None = field(default=None, validator=_parameter)
    max_tokens: int | None = field(default=None, validator=_parameter)
    top_p: float | None = field(default=None, validator=_parameter)
    frequency_penalty: float | None = field(default=None, validator=_parameter)
    presence_penalty: float | None = field(default=None, validator=_parameter)
    max_retries: int = field(default=3, validator=_retries)
    retry_delay: float = field(default=1.0, validator=_delay)
    timeout: float = field(default=60.0, validator=_seconds)
    extra_params: Mapping[str, Any] = field(factory=dict, repr=False, hash=False, validator=_table)
    capabilities: Any = field(default=None, hash=False, converter=as_capabilities)
    rate_limit_capacity: float | None = field(default=None, validator=_rate)
    rate_limit_refill_rate: float | None = field(default=None, validator=_rate)
    options: Mapping[str, Any] | None = field(default=None, repr=False, hash=False, kw_only=True, validator=_table)

    def __attrs_post_init__(self) -> None:
        if self.provider is None and self.model_name is None:
            msg = "provider and model_name are both missing: name one of them at least."
            raise ConfigurationError(msg)
        if self.api_key is not None and self.api_keys is not None:
            msg = "api_key and api_keys were both given; one of them is enough."
            raise ConfigurationError(msg)
        if (self.rate_limit_capacity is None) != (self.rate_limit_refill_rate is None):
            msg = "rate_limit_capacity and rate_limit_refill_rate go together: give both or none."
            raise ConfigurationError(msg)

    @classmethod
    def openai(cls, api_key: str | None = None, model: str | None = None, **others: Any) -> LLMConfig:
        """Return the configuration of a model of OpenAI's; *others* are fields by name."""
        return cls(provider="openai", model_name=model or find_provider("openai").default_model, api_key=api_key, **others)

    @classmethod
    def anthropic(cls, api_key: str | None = None, model: str | None = None, **others: Any) -> LLMConfig:
        """Return the configuration of a model of Anthropic's; *others* are fields by name."""
        return cls(provider="anthropic", model_name=model or find_provider("anthropic").default_model, api_key=api_key, **others)

    @classmethod
    def ollama(cls, model: str = "llama3.2", base_url: str | None = None, **others: Any) -> LLMConfig:
        """Return the configuration of a model of a local Ollama; *others* are fields by name."""
        return cls(provider="ollama", model_name=model, base_url=base_url, **others)

    @classmethod
    def azure_openai(
        cls, api_key: str | None, deployment_name: str, endpoint: str, api_version: str | None = None, **others: Any
    ) -> LLMConfig:
        """
        Return the configuration of a deployment on Azure; *others* are fields by name.

        Args:
            api_key: The resource's key.
            deployment_name: The deployment, which stands for its model.
            endpoint: The resource's address, ``https://NAME.openai.azure.com``.
            api_version: A date such as ``2024-10-21``, for the API before v1.
        """
        address = endpoint if "://" in str(endpoint) else f"https://{endpoint}"
        options = {**(others.pop("options", None) or {}), **({} if api_version is None else {"api_version": api_version})}
        return cls(provider="azure", model_name=deployment_name, api_key=api_key, base_url=address, options=options or None, **others)

    @classmethod
    def custom(cls, base_url: str, model: str, api_key: str | None = "EMPTY", **others: Any) -> LLMConfig:
        """Return the configuration of any server that speaks OpenAI's wire. ``"EMPTY"`` is no key: none is sent."""
        return cls(provider="custom", model_name=model, api_key=api_key, base_url=base_url, **others)


_DEFAULTS: dict[str, Any] = {one.name: {} if one.name == "extra_params" else one.default for one in fields(LLMConfig)}


def table_of(config: object) -> Table:
    """
    Return *config*, an ``LLMConfig`` or a dict with its fields, or with the arguments of a client, as a table.

    Raises:
        ConfigurationError: If it is neither, or has a name that nobody knows.
    """
    if isinstance(config, LLMConfig):
        values = {name: value for name, default in _DEFAULTS.items() if (value := getattr(config, name)) != default}
        return Table(values=values)
    if not isinstance(config, Mapping) or not all(isinstance(name, str) for name in config):
        msg = f"A configuration is an LLMConfig or a dict, not {type(config).__name__}."
        raise ConfigurationError(msg)
    return Table(values=dict(config))
