"""Check that each rejected record, and no other, has one dead letter with its bytes."""

from collections.abc import Iterator

from services.cli.audit.partition_log import LogEvent, StoredDeadLetter
from services.cli.audit.report import Mismatch, PartitionReport
from services.cli.audit.text import decode_text
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.audit.violation import ABSENT, Check, Difference, Violation, compare_mappings
from shared.core.topics import Topics


class DeadLettersCheck:
    """Compares a partition's dead letters with the records that readers reject."""

    def __init__(self, topics: Topics, report: PartitionReport) -> None:
        """Take the topics, and the report that counts the checks."""
        self._topics, self._report = topics, report

    def check(self, event: LogEvent, *, is_rejected: bool | None) -> Iterator[Mismatch]:
        """Compare a record of the klines with the dead letters that name it.

        Args:
            event: the record and the dead letters that name it or one before it.
            is_rejected: whether readers reject the record; None: they may.
        """
        is_found = False
        for dead_letter in event.dead_letters:
            may_be = dead_letter[1].offset == event.record.offset and is_rejected is not False
            if may_be and not is_found:
                yield from self._compare(dead_letter, event.record)
                is_found = True
            else:
                yield self.report_unexpected(dead_letter)
        is_processed = event.predictions_follow or event.dead_letters_follow
        if is_rejected is True and is_processed and not is_found:
            yield self._report_missing(event.record)

    def report_unexpected(self, dead_letter: StoredDeadLetter) -> Mismatch:
        """Report a dead letter of a record that no reader rejects, or a second one."""
        self._report.checked[Check.DEAD_LETTERS] += 1
        message = (
            f"dead letter names a record of {self._topics.klines} that readers do not reject,"
            " or that has a dead letter already"
        )
        expected = "of a rejected record, in order, once"
        difference = Difference("offset", dead_letter[1].offset, expected)
        return self._mismatch(dead_letter, Violation(Check.DEAD_LETTERS, message, (difference,)))

    def _compare(self, dead_letter: StoredDeadLetter, record: ConsumerRecord) -> Iterator[Mismatch]:
        self._report.checked[Check.DEAD_LETTERS] += 1
        found = {"key": dead_letter[0].key, "value": dead_letter[0].value}
        expected = {"key": record.key, "value": record.value}
        differences = tuple(
            Difference(d.name, decode_text(d.found), decode_text(d.expected))
            for d in compare_mappings(found, expected)
        )
        if differences:
            place = f"{self._topics.klines} {record.partition}/{record.offset}"
            message = f"dead letter of {place} has other bytes"
            yield self._mismatch(dead_letter, Violation(Check.DEAD_LETTERS, message, differences))

    def _report_missing(self, record: ConsumerRecord) -> Mismatch:
        message = "readers reject the record, and it has no dead letter"
        difference = Difference("dead letter", ABSENT, "one")
        violation = Violation(Check.DEAD_LETTERS, message, (difference,))
        return Mismatch(self._topics.klines, self._report.partition, record.offset, violation)

    def _mismatch(self, dead_letter: StoredDeadLetter, violation: Violation) -> Mismatch:
        stored = dead_letter[0]
        return Mismatch(self._topics.dead_letters, stored.partition, stored.offset, violation)
