"""Records of the topic `models` that define baskets; the other records there are bundles."""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from shared.adapters.schemas import wire
from shared.core.bounded_json import check_values
from shared.core.dataclass_fields import dataclass_fields
from shared.core.errors import BadInput
from shared.core.market import BasketDefinition, define_baskets
from shared.core.model.card import Card
from shared.core.sequence import MAX_BASKETS

MAX_MEMBERS: Final = 2_000
MAX_BASKETS_BYTES: Final = 4 * 1024 * 1024
MAX_BASKETS_VALUES: Final = 100_000

_KEY_PREFIX: Final = b"baskets:"
Basket = Annotated[tuple[wire.Symbol, ...], Field(min_length=1, max_length=MAX_MEMBERS)]


class BasketsMessage(wire.Wire):
    """Baskets of symbols that move together, and the open times that they were made from."""

    schema_: wire.SchemaNumber = wire.schema_field()
    type: Literal["baskets"] = "baskets"
    version: wire.BasketsVersion = Field(
        description="First 8 hex digits of the SHA-256 of `baskets` as JSON without spaces; the key"
        " is this after `baskets:`."
    )
    baskets: Annotated[tuple[Basket, ...], Field(min_length=1, max_length=MAX_BASKETS)] = Field(
        description="The symbols of each basket."
    )
    made_from_ms: wire.TimeMs = Field(
        description="Opening of the first candle they were made from, ms since 1970 UTC."
    )
    made_through_ms: wire.TimeMs = Field(
        description="Opening of the last candle they were made from, ms since 1970 UTC."
    )


def is_baskets_key(key: bytes | None) -> bool:
    """Say whether a record of the topic `models` defines baskets; a bundle's key is its version."""
    return key is not None and key.startswith(_KEY_PREFIX)


def baskets_key(version: str) -> bytes:
    """Return the key of the record that defines a version of baskets."""
    return _KEY_PREFIX + version.encode()


def encode_baskets(definition: BasketDefinition) -> bytes:
    """Return the canonical bytes of a definition."""
    return wire.canonical_json(baskets_to_json(definition))


def baskets_to_json(definition: BasketDefinition) -> dict[str, Any]:
    """Return the fields of a definition, for a record or a card."""
    message = BasketsMessage(**dataclass_fields(definition))
    return message.model_dump(mode="json", by_alias=True)


def decode_baskets(value: bytes | None) -> BasketDefinition:
    """Return the definition of a record's bytes.

    Raises:
        BadInput: they are none, or the version is not that of the baskets.
    """
    checked = wire.check_size(value, MAX_BASKETS_BYTES, "a definition of baskets")
    check_values(checked, MAX_BASKETS_VALUES)
    try:
        return _to_definition(BasketsMessage.model_validate_json(checked))
    except ValidationError as error:
        raise wire.to_bad_input(error) from error


def card_baskets(card: Card) -> BasketDefinition | None:
    """Return the definition that a model was trained with, which its card has; None for none.

    Raises:
        BadInput: the card names a version and has no definition of it.
    """
    if card.baskets is None:
        return None
    try:
        definition = decode_baskets(json.dumps(card.training.get("baskets")).encode())
    except BadInput as error:
        text = f"the card names baskets {card.baskets} and does not define them: {error}"
        raise BadInput("no_definition", text) from error
    if definition.version != card.baskets:
        text = f"the card names baskets {card.baskets} and defines {definition.version}"
        raise BadInput("no_definition", text)
    return definition


def _to_definition(message: BasketsMessage) -> BasketDefinition:
    found = define_baskets(message.baskets, message.made_from_ms, message.made_through_ms)
    if found.version != message.version:
        text = (
            f"baskets {message.version} have the symbols of version {found.version}; publish them"
            " under that version"
        )
        raise BadInput("wrong_version", text)
    return found
