"""The model registry in the log: publishes bundles and promotes versions."""

import logging
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final

from shared.adapters.bundle_codec import decode_bundle
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import Aborted, OutcomeUnknown
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.retry import wait_until
from shared.adapters.schemas.baskets import card_baskets
from shared.core.errors import BadInput, Incompatible, Unavailable
from shared.core.model.card import Bundle
from shared.core.model.numeric_profile import self_test
from shared.core.topics import Topics
from shared.log.basket_store import BasketStore
from shared.log.bundle_store import BundleStore
from shared.log.promotion_log import PromotionLog

log = logging.getLogger(__name__)

_VISIBLE_S: Final = 10.0


class ModelRegistry:
    """Model versions (`bundles`) and their promotions (`promotions`)."""

    def __init__(
        self, kafka: KafkaConnection, topics: Topics, numeric_profile: Callable[[], str] = self_test
    ) -> None:
        """Take where the log is; connect on first use.

        Args:
            kafka: how Kafka is reached.
            topics: the deployment's topics.
            numeric_profile: returns the numeric profile that promotions name.
        """
        self._kafka, self._numeric_profile = kafka, numeric_profile
        # All who promote share one id: two at the same time fence each other, so that every
        # partition sees the promotions in one order.
        self._transactional_id = topics.transactional_id("trainer")
        self.bundles = BundleStore(kafka, topics)
        self.promotions = PromotionLog(kafka, topics, self.bundles.is_usable)
        self.baskets = BasketStore(kafka, topics)

    def release(self, data: bytes, version: str, timestamp_ms: int, *, promote: bool) -> None:
        """Publish a bundle and, if wanted, promote it in every partition, in one transaction.

        A version that is in the log already with the same bytes is not written again.

        Args:
            data: the bundle's bytes.
            version: its version.
            timestamp_ms: of the records: the time of the last candle considered.
            promote: False publishes the bundle alone.

        Raises:
            BadInput: the bytes are no usable bundle.
            Incompatible: the version is in the log with other bytes, or this machine must not
                predict.
            Unavailable: Kafka did not take it; nothing was changed.
        """
        bundle = decode_bundle(version, data)
        records = []
        if not self.bundles.contains(version, bundle.sha256):
            records.append(self.bundles.to_record(version, data, timestamp_ms))
        if promote:
            records += self._promotion_records(bundle, timestamp_ms)
        if records:
            self._write(records, bundle, promote=promote)

    def promote(self, version: str) -> None:
        """Promote a version that is in the log, in every partition.

        Raises:
            Unknown: the log has none of this version.
            BadInput: its bytes are no usable bundle.
            Incompatible: this machine must not predict.
            Unavailable: Kafka did not take it; nothing was changed.
        """
        bundle = self.bundles.load(version)
        records = self._promotion_records(bundle, bundle.card.trained_through_ms)
        self._write(records, bundle, promote=True)

    def rollback(self) -> str:
        """Promote the version that predicted before the current one; return it.

        Raises:
            Unknown: there is none.
        """
        version = self.promotions.previous_version()
        self.promote(version)
        return version

    def withdraw(self, version: str, reason: str) -> None:
        """End the wait for a version that was promoted and never published.

        Predictors reject its promotions, and the model before goes on.

        Args:
            version: the version.
            reason: why, as the dead letters of its promotions repeat it.

        Raises:
            Incompatible: its bundle is there.
            BadInput: the log has something else under it, so its promotions are rejected already.
            Unavailable: Kafka did not take it; nothing was changed.
        """
        if version in self.bundles.versions():
            self._refuse_withdrawal(version)
        with closing(TransactionalProducer(self._kafka, self._transactional_id)) as writer:
            try:
                writer.write([self.bundles.to_withdrawal(version, reason)])
            except (Aborted, OutcomeUnknown) as error:
                raise Unavailable(f"{version} may not be withdrawn; try again: {error}") from error
        wait_until(lambda: version in self.bundles.versions(), timeout_s=_VISIBLE_S)
        # The first record of a version decides, and its bundle may have come just before.
        with suppress(BadInput):
            self._refuse_withdrawal(version)

    def _refuse_withdrawal(self, version: str) -> None:
        self.bundles.load(version)
        raise Incompatible(
            f"model version {version} is in the log; `ulstm models rollback` promotes the one"
            " before it"
        )

    def _promotion_records(self, bundle: Bundle, timestamp_ms: int) -> list[ProducerRecord]:
        """Return a promotion, and the record that puts its model's baskets in force.

        It is written though they may be in force already: behind the bundle, who looks for the
        newest definition finds it without reading bundles.
        """
        promotions = self.promotions.to_records(bundle, self._numeric_profile(), timestamp_ms)
        try:
            baskets = card_baskets(bundle.card)
        except BadInput as error:
            log.warning("%s has unknown baskets: %s", bundle.version, error)
            return promotions
        if baskets is None:
            return promotions
        return [self.baskets.to_record(baskets, timestamp_ms), *promotions]

    def _write(self, records: list[ProducerRecord], bundle: Bundle, *, promote: bool) -> None:
        since = self.promotions.end() if promote else None
        writer = TransactionalProducer(self._kafka, self._transactional_id)
        try:
            writer.write(records)
            self._await_visible(bundle, since)
        except Aborted as error:
            message = f"release of {bundle.version} was aborted, nothing of it is visible: {error}"
            raise Unavailable(message) from error
        except OutcomeUnknown as error:
            # The writer has ended its transaction by now: what is not visible never will be.
            if not self._is_visible(bundle, since):
                message = f"release of {bundle.version} did not arrive; try again: {error}"
                raise Unavailable(message) from error
        finally:
            writer.close()

    def _await_visible(self, bundle: Bundle, since: int | None) -> None:
        # A commit is answered a moment before its end markers reach the partitions.
        if not wait_until(lambda: self._is_visible(bundle, since), timeout_s=_VISIBLE_S):
            log.warning(
                "release of %s is committed, but not visible after %g s", bundle.version, _VISIBLE_S
            )

    def _is_visible(self, bundle: Bundle, since: int | None) -> bool:
        """Say whether readers see the bundle and, from offset `since` on, its promotion."""
        if bundle.version not in self.bundles.versions():
            return False
        return since is None or any(
            record.promotion.bundle_sha256 == bundle.sha256
            for record in self.promotions.since(since)
        )
