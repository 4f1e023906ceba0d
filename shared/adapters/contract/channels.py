"""The topics as others find them, and what they promise, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from shared.adapters.contract.record_kinds import ChannelName
from shared.core.topics import Topics

SYMBOL_GROUPS: Final = 6  # the default of the setting


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic: what is on it, and its messages by name."""

    description: str
    messages: tuple[str, ...]
    is_partitioned: bool = False  # by symbol

    @property
    def partitions(self) -> int:
        """Number of partitions of a deployment with the default settings."""
        return SYMBOL_GROUPS if self.is_partitioned else 1


CHANNELS: Final[Mapping[ChannelName, Channel]] = {
    "klines": Channel(
        "Closed candles and their corrections, gaps, statuses and promotions: the archive that all"
        " predictions are a function of. Compressed like predictions.",
        ("candle", "gap", "status", "promotion"),
        is_partitioned=True,
    ),
    "predictions": Channel(
        "A prediction for each candle, in the partition of its candle. Batches are compressed as"
        " KAFKA_COMPRESSION says: lz4, for which some clients need a package, unless it is set.",
        ("prediction",),
        is_partitioned=True,
    ),
    "models": Channel(
        "Model versions as bundles, withdrawals of versions that never came, and definitions of"
        " baskets. The first record of a version decides; the newest definition is in force.",
        ("bundle", "withdrawal", "baskets"),
    ),
    "dead-letters": Channel("Records that could not be read, with the reason.", ("dead-letter",)),
    "control": Channel(
        "Who is wanted and followed, bans of the exchange, and how far another deployment was"
        " copied here. The newest record of each kind and key holds.",
        ("symbol-control", "ban", "skip", "copy"),
    ),
}


def topic_of(name: ChannelName, topics: Topics) -> str:
    """Return the topic's name in a deployment."""
    topic: str = getattr(topics, name.replace("-", "_"))
    return topic


def read_contract() -> str:
    """Return what the topics promise, as Markdown."""
    return (files(__package__) / "contract.md").read_text(encoding="utf-8")
