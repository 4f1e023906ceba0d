"""A deployment's topics as lists: what an honest system would have written, for tests to tamper with."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.adapters.bundles import decode_bundle
from shared.adapters.folding import Folded, Folder
from shared.adapters.kafka.reader import Received
from shared.adapters.kafka.topics import Topics
from shared.adapters.kafka.writer import Outgoing, TransactionalWriter
from shared.adapters.known_models import KnownModels
from shared.adapters.messages import (
    GapMessage,
    KlineCodec,
    PromotionMessage,
    canonical,
    dead_letter_headers,
    encode_prediction,
    encode_record,
)
from shared.core.card import Bundle
from shared.core.errors import BadInput
from shared.core.fold import Deployment, GroupState
from tests.builders import START_MS, STEP_MS, a_bundle, a_card, a_walk, bundle_bytes, candle_bytes

TOPICS: Final = Topics("5m", 1)
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
OWN: Final = "1-own"
NEXT: Final = "2-next"

FIRST = a_bundle(1)
SECOND_CARD = replace(a_card(), parent=FIRST.version)
SECOND = a_bundle(2, SECOND_CARD)
BUNDLES: Final = {FIRST.version: bundle_bytes(1), SECOND.version: bundle_bytes(2, SECOND_CARD)}

Values = Sequence[tuple[str, bytes]]
"""(key, value) of klines, all of one symbol group."""


@dataclass(frozen=True)
class Recorded:
    """One symbol group's topics, and the bundles by version."""

    klines: list[Received]
    predictions: list[Received]
    letters: list[Received]
    bundles: Mapping[str, bytes]

    def with_prediction(self, at: int, **fields: Any) -> "Recorded":
        """Change fields of the prediction at an index, nested ones as `scores__n`."""
        value = json.loads(self.predictions[at].value or b"")
        for name, new in fields.items():
            *path, last = name.split("__")
            inner = value
            for part in path:
                inner = inner[part]
            inner[last] = new
        return self.with_predictions(lambda old: [*old[:at], old[at]._replace(value=canonical(value)), *old[at + 1 :]])

    def with_predictions(self, change: Callable[[list[Received]], list[Received]]) -> "Recorded":
        return replace(self, predictions=_placed(change(self.predictions)))

    def with_letters(self, change: Callable[[list[Received]], list[Received]]) -> "Recorded":
        return replace(self, letters=_placed(change(self.letters)))

    def index_of(self, symbol: str, candle: int) -> int:
        """Return which prediction was made from a symbol's candle of this number."""
        opens = START_MS + (candle + 1) * STEP_MS
        values = [json.loads(record.value or b"") for record in self.predictions]
        return next(i for i, v in enumerate(values) if (v["symbol"], v["open_time_ms"]) == (symbol, opens))

    def write(self, bootstrap: str, topics: Topics) -> None:
        """Write it to empty topics of one symbol group, in one transaction: offsets are those of the lists."""
        models = [Received(0, 0, START_MS, version.encode(), data) for version, data in self.bundles.items()]
        writer = TransactionalWriter(bootstrap, f"{topics.prefix}recorded")
        writer.write(
            [
                Outgoing(topic, 0, record.key, record.value, record.timestamp_ms, _headers(record, topics))
                for topic, records in (
                    (topics.models, models),
                    (topics.klines, self.klines),
                    (topics.predictions, self.predictions),
                    (topics.dead_letters, self.letters),
                )
                for record in records
            ]
        )
        writer.close()


def folder_of(profile: str, bundles: Mapping[str, bytes]) -> Folder:
    def load(version: str) -> Bundle:
        if version not in bundles:
            raise BadInput("unknown_model", f"model version {version} is not in the log")
        return decode_bundle(version, bundles[version])

    codec = KlineCodec(TOPICS.interval, STEP_MS, TOPICS.groups)
    return Folder(TOPICS.klines, codec, Deployment(TOPICS.interval, STEP_MS, profile), KnownModels(load))


def recorded(values: Values, *, profiles: Sequence[str] = (OWN,), bundles: Mapping[str, bytes] = BUNDLES) -> Recorded:
    """Fold the records of one symbol group as each of these numeric profiles would, and publish what comes of it."""
    klines = [Received(0, offset, START_MS, key.encode(), value) for offset, (key, value) in enumerate(values)]
    predictions: dict[int, Received] = {}
    letters: dict[int, Received] = {}
    for profile in profiles:
        folder = folder_of(profile, bundles)
        folded = Folded(GroupState(numeric_profile=profiles[0]))
        for record in klines:
            folder.fold(folded, record)
        for p in folded.predictions:
            predictions[p.source_offset] = Received(0, 0, START_MS, p.symbol.encode(), encode_prediction(p))
        for letter in folded.dead_letters:
            headers = dict(dead_letter_headers(letter))
            letters[letter.offset] = Received(0, 0, START_MS, letter.key, letter.value, headers)
    return Recorded(
        klines,
        _placed([predictions[offset] for offset in sorted(predictions)]),
        _placed([letters[offset] for offset in sorted(letters)]),
        bundles,
    )


def candles(start: int, stop: int, symbols: Sequence[str] = SYMBOLS) -> list[tuple[str, bytes]]:
    walks = {symbol: a_walk(stop, seed) for seed, symbol in enumerate(symbols)}
    return [(s, candle_bytes(at, s, f"{walks[s][at]:.6f}")) for at in range(start, stop) for s in symbols]


def gap(start: int, stop: int, symbol: str) -> tuple[str, bytes]:
    message = GapMessage(
        type="gap",
        symbol=symbol,
        interval="5m",
        from_open_time_ms=START_MS + start * STEP_MS,
        until_open_time_ms=START_MS + stop * STEP_MS,
    )
    return symbol, encode_record(message)


def promotion(bundle: Bundle, profile: str | None = OWN, sha256: str = "") -> tuple[str, bytes]:
    message = PromotionMessage(
        type="promotion",
        model_version=bundle.version,
        bundle_sha256=sha256 or bundle.sha256,
        numeric_profile=profile,
    )
    return "promotion", encode_record(message)


def eventful(profile: str = OWN) -> list[tuple[str, bytes]]:
    """A log with all that a log may hold: 36 candles of two symbols, of which 19 and 20 are missing of the first."""
    first, second = SYMBOLS
    return [
        *candles(0, 18),
        promotion(FIRST, profile),
        *candles(18, 19),
        *candles(19, 21)[1::2],
        gap(19, 21, first),
        *candles(21, 24),
        (first, b"{nonsense"),
        candles(23, 24)[1],
        (second, candle_bytes(23, second, "101.5", type="amendment")),
        *candles(24, 28),
        promotion(SECOND, profile),
        *candles(28, 36),
    ]


def _headers(record: Received, topics: Topics) -> list[tuple[str, bytes]]:
    return [
        (name, topics.klines.encode() if name == "topic" else value) for name, value in (record.headers or {}).items()
    ]


def _placed(records: list[Received]) -> list[Received]:
    return [record._replace(offset=offset) for offset, record in enumerate(records)]
