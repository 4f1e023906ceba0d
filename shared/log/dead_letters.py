"""Read the dead-letters topic: the records that a service rejected, with their place and reason."""

from collections.abc import Iterable, Iterator

from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.dead_letters import DeadLetter, decode_dead_letter


def decode_dead_letters(
    blocks: Iterable[Iterable[ConsumerRecord]],
) -> Iterator[tuple[ConsumerRecord, DeadLetter]]:
    """Yield each record of the dead-letters topic with the dead letter it holds.

    Any record is one: a header that is missing or damaged gives an empty text, or -1.

    Args:
        blocks: the topic's records, read with headers.
    """
    for block in blocks:
        for record in block:
            yield record, decode_dead_letter(record.headers or {}, record.key, record.value)


def format_place(dead_letter: DeadLetter) -> str:
    """Return the place of the rejected record as users name it: topic/partition/offset."""
    return f"{dead_letter.topic}/{dead_letter.partition}/{dead_letter.offset}"
