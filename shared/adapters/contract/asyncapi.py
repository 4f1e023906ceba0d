"""The AsyncAPI 3.0 document of all topics: `ulstm schema asyncapi` prints it."""

from collections.abc import Mapping
from typing import Any, Final

from shared.adapters.contract.channels import CHANNELS, Channel, read_contract, topic_of
from shared.adapters.contract.json_schema import component_schemas
from shared.adapters.contract.messages import messages
from shared.adapters.contract.record_kinds import KINDS, ChannelName
from shared.adapters.schemas.wire import SCHEMA
from shared.core.topics import INTERVALS, Topics

_BINDING_VERSION: Final = "0.5.0"
_PARAMETERS: Final[Mapping[str, Any]] = {
    "prefix": {"description": "Setting TOPIC_PREFIX; empty by default.", "default": ""},
    "interval": {
        "description": "Setting INTERVAL: of the candles.",
        "enum": list(INTERVALS),
        "default": "5m",
    },
}
_ADDRESSES: Final = Topics("{interval}", 1, "{prefix}")
_DEFAULTS: Final = Topics("5m", 1)


def asyncapi_document() -> dict[str, Any]:
    """Return the document: topics, messages with keys, headers and examples, schemas."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:updating-lstm",
        "info": {
            "title": "Updating LSTM",
            "version": f"{SCHEMA}.0.0",
            "description": read_contract(),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "localhost:9092",
                "protocol": "kafka",
                "description": "Setting KAFKA_BOOTSTRAP_SERVERS.",
            }
        },
        "channels": {name: _channel(name, channel) for name, channel in CHANNELS.items()},
        "operations": {
            f"send-{name}": {"action": "send", "channel": {"$ref": f"#/channels/{name}"}}
            for name in CHANNELS
        },
        "components": {"messages": messages(), "schemas": _schemas()},
    }


def _channel(name: ChannelName, channel: Channel) -> dict[str, Any]:
    address = topic_of(name, _ADDRESSES)
    return {
        "address": address,
        "title": name,
        "description": channel.description,
        "parameters": {one: text for one, text in _PARAMETERS.items() if f"{{{one}}}" in address},
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in channel.messages},
        "bindings": {
            "kafka": {
                "partitions": channel.partitions,
                "topicConfiguration": _topic_settings(name),
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _topic_settings(name: ChannelName) -> dict[str, Any]:
    """Return the settings that a topic is created with, as the binding for Kafka wants them."""
    _, settings = _DEFAULTS.specifications()[topic_of(name, _DEFAULTS)]
    numbers = ("retention.ms", "retention.bytes", "max.message.bytes")
    return {
        "cleanup.policy": [settings["cleanup.policy"]],
        **{each: int(settings[each]) for each in numbers if each in settings},
    }


def _schemas() -> dict[str, Any]:
    models = [kind.model for kind in KINDS.values()]
    schemas: dict[str, Any] = _wrap_references(
        component_schemas(models, "#/components/schemas/{model}")
    )
    return schemas


def _wrap_references(value: Any) -> Any:
    """Put each reference that has a description beside it into `allOf`.

    AsyncAPI's schemas are those of draft 7, where a reference hides what stands beside it.
    """
    if isinstance(value, list):
        return [_wrap_references(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _wrap_references(one) for name, one in value.items()}
    if "$ref" in found and len(found) > 1:
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return found
