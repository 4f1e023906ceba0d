"""Headers of records, as their readers find them: texts in UTF-8."""

from typing import Annotated, Literal

from pydantic import Field

from shared.adapters.schemas import wire

Digits = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,17})$")]


class KlineHeaders(wire.Wire):
    """Where a record of `klines` came from. A promotion has no headers."""

    source: Literal["stream", "rest", "producer", "import", "dead-letter"] = Field(
        description="stream, rest: of the exchange. producer: what it found out itself. import: a"
        " file. dead-letter: redriven."
    )
    arrival_ms: Digits = Field(
        description="When it arrived, by the writer's clock, ms since 1970 UTC."
    )
    newest_before_ms: Digits | None = Field(
        default=None,
        description="In one of 1,000 records of a partition: the newest timestamp of all records"
        " before it, ms since 1970 UTC. A time is found by it.",
    )
    replayed_from: str | None = Field(
        default=None,
        alias="replayed-from",
        description="Of a redriven record: topic, partition and offset of the rejected one.",
    )


class PredictionHeaders(wire.Wire):
    """Who wrote a transaction: in its first prediction of each partition, and in no other.

    A predictor that takes a partition over from a killed one ends the transaction that it left.
    """

    transactional_id: str | None = Field(
        default=None,
        alias="transactional-id",
        description="The writer's transactional id, another with each start of a predictor.",
    )


class BundleHeaders(wire.Wire):
    """When a bundle was published. Bundles of earlier versions have no headers."""

    published_ms: Digits = Field(description="By the writer's clock, ms since 1970 UTC.")


class DeadLetterHeaders(wire.Wire):
    """Place and reason of a rejected record, whose bytes are key and value of the dead letter."""

    schema_: Literal["1"] = Field(alias="schema", description="Number of this schema.")
    topic: str = Field(
        description="Topic of the rejected record; exchange:SOURCE for a kline that reached none."
    )
    partition: Digits = Field(description="Its partition.")
    offset: Annotated[str, Field(pattern=r"^(-1|0|[1-9][0-9]{0,17})$")] = Field(
        description="Its offset; -1 for a kline of the exchange, which had none."
    )
    reason: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")] = Field(
        description="Why, one word for machines, such as not_json or out_of_order."
    )
    message: Annotated[str, Field(max_length=1_000)] = Field(
        description="Why, for people: value, limit and what to do."
    )
