"""The model versions and promotions in the log, read as they come."""

import logging
import time
from collections.abc import Callable, Mapping
from sys import maxsize
from typing import Any, Final

from services.dashboard.log_region import LogRegion, ReadingBudget
from services.dashboard.models.card_fields import PublishedBundle, describe_bundle
from services.dashboard.models.promotion_timeline import (
    DatedPromotion,
    champion_of,
    promotion_timeline,
)
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.baskets import is_baskets_key
from shared.core.errors import BadInput
from shared.core.topics import Topics
from shared.log.bundle_store import decode_version, published_ms
from shared.log.promotion_log import PromotionLog, PromotionRecord

log = logging.getLogger(__name__)

_PARTITION: Final = 0  # every partition has the same promotions
# What one refresh reads of the older candles among which promotions lie.
_RECORDS: Final = 200_000
_READING_S: Final = 1.0
_NEIGHBOURS: Final = 50  # records before a promotion that tell its time


class LoggedModels:
    """Follows `models` and the promotions in `klines`; reads each bundle once.

    One thread refreshes, any thread reads the page.
    """

    def __init__(
        self, kafka: KafkaConnection, topics: Topics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take Kafka's address and the deployment's topics; connect on first use."""
        self._kafka, self._topics, self._clock = kafka, topics, clock
        self._promotion_log = PromotionLog(kafka, topics, self._is_usable)
        self._next_offset = 0  # of `models`
        self._bundles: dict[str, PublishedBundle | None] = {}  # None: no usable bundle
        self._promotions = LogRegion(_PARTITION, None, self._promotion_log.decode, most_new=maxsize)
        self._current: PromotionRecord | None = None
        self._times: dict[int, int] = {}  # by offset of a promotion
        self._page: Mapping[str, Any] = self._build_page()

    def refresh(self) -> bool:
        """Read what is new, and a part of what is older; return whether the page has changed.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self._read_bundles()
        self._read_promotions()
        before, self._page = self._page, self._build_page()
        return before != self._page

    def page(self) -> Mapping[str, Any]:
        """Return versions, promotions and the newest comparison, as of the last refresh."""
        return self._page

    def champion(self) -> Mapping[str, Any] | None:
        """Return the champion and since when it is, as of the last refresh."""
        champion: Mapping[str, Any] | None = self._page["champion_since"]
        return champion

    def lacks_champion(self) -> bool:
        """Return whether no version was promoted, as is certain once all of the log was read."""
        return self._promotions.is_whole and not self._found

    def _read_bundles(self) -> None:
        with Reader(self._kafka, self._topics.models, headers=True) as reader:
            if not reader.partitions():
                return
            for block in reader.read(_PARTITION, self._next_offset):
                for record in block:
                    self._add_bundle(record)
                    self._next_offset = record.offset + 1

    def _add_bundle(self, record: ConsumerRecord) -> None:
        """Add a bundle, unless its version is there: a later record of it changes nothing."""
        version = (record.key or b"").decode("ascii", "replace")
        if is_baskets_key(record.key) or version in self._bundles:
            return
        try:
            bundle = decode_version(version, record.value)
        except BadInput as error:
            log.warning("%s", error)
            self._bundles[version] = None
        else:
            self._bundles[version] = describe_bundle(bundle, published_ms(record))

    def _read_promotions(self) -> None:
        with Reader(self._kafka, self._topics.klines) as reader:
            if not reader.partitions():
                return
            budget = ReadingBudget(_RECORDS, self._clock() + _READING_S, self._clock)
            self._promotions.read_new(reader)
            self._promotions.read_older(reader, lambda: False, budget)
            if not self._found and not self._promotions.is_whole:
                # The predictions name the newest, so that it is known before all is read.
                self._current = self._promotion_log.current(_PARTITION)
            for promotion in self._found:
                if promotion.offset not in self._times:
                    self._times[promotion.offset] = _time_before(reader, promotion.offset)

    @property
    def _found(self) -> list[PromotionRecord]:
        effective = [one for one in self._promotions.values if self._takes_effect(one)]
        current = [] if self._current is None else [self._current]
        return effective or current

    def _takes_effect(self, record: PromotionRecord) -> bool:
        return self._is_usable(record.promotion.model_version, record.promotion.bundle_sha256)

    def _is_usable(self, version: str, sha256: str) -> bool:
        """Return whether predictors accept a promotion: its bundle is there and sound."""
        bundle = self._bundles.get(version)
        return bundle is not None and bundle.sha256 == sha256

    def _build_page(self) -> Mapping[str, Any]:
        bundles = [bundle for bundle in self._bundles.values() if bundle is not None]
        dated = (
            DatedPromotion(one.promotion.model_version, self._times[one.offset])
            for one in self._found
        )
        timeline = promotion_timeline(dated)
        champion = champion_of(timeline)
        compared = (bundle.comparison for bundle in reversed(bundles))
        comparisons = (comparison for comparison in compared if comparison is not None)
        return {
            "champion": champion and champion["version"],
            "champion_since": champion,
            "versions": [bundle.fields for bundle in bundles],
            "promotions": timeline,
            "comparison": next(comparisons, None),
            "unusable": sum(bundle is None for bundle in self._bundles.values()),
            "all_promotions": self._promotions.is_whole,
        }


def _time_before(reader: Reader, offset: int) -> int:
    """Return the time of the record before an offset: a promotion's own is its training's."""
    start = max(0, offset - _NEIGHBOURS)
    records = [one for block in reader.read(_PARTITION, start, offset + 1) for one in block]
    return records[-2:][0].timestamp_ms + 1
