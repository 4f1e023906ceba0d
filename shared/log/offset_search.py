"""Find a place in a partition by halving the offsets in which it may be."""

from collections.abc import Callable

from shared.adapters.kafka.backwards_reader import OffsetRangeReader


def search_offset(
    reader: OffsetRangeReader, partition: int, near: int, look: Callable[[int, int], int | None]
) -> int:
    """Return an offset before which nothing is that is searched for.

    Args:
        reader: of the topic.
        partition: the partition.
        near: offsets within which the search ends.
        look: takes a span of offsets. It returns an offset in it before which nothing is that is
            searched for; None if the span tells nothing, or may begin behind that.

    Raises:
        Unavailable: Kafka does not answer.
    """
    low, right = reader.ends(partition)
    while right - low > near:
        middle = (low + right) // 2
        found = look(middle, right)
        if found is None:
            right = middle
        else:
            low = found
    return low
