from services.predictor.recovery.dead_letter_tail import offset_after_last_dead_letter
from shared.adapters.kafka.reader import ConsumerRecord
from tests.support.fakes import FakeTopicHistory

END = 100


def a_letter(at: int, partition: int, offset: int, topic: str = "klines.5m") -> ConsumerRecord:
    headers = {
        "topic": topic.encode(),
        "partition": str(partition).encode(),
        "offset": str(offset).encode(),
    }
    return ConsumerRecord(0, at, 0, None, b"", headers)


def test_a_partition_continues_after_the_newest_of_its_own_dead_letters() -> None:
    letters = FakeTopicHistory(
        [a_letter(0, 1, 40), a_letter(1, 0, 90), a_letter(2, 1, 55), a_letter(3, 1, 70, "other")]
    )

    assert offset_after_last_dead_letter(letters, "klines.5m", 1, END) == 56
    assert offset_after_last_dead_letter(letters, "klines.5m", 0, END) == 91


def test_a_partition_without_dead_letters_has_none_to_continue_after() -> None:
    assert offset_after_last_dead_letter(FakeTopicHistory([]), "klines.5m", 0, END) == 0
    assert (
        offset_after_last_dead_letter(FakeTopicHistory([a_letter(0, 1, 40)]), "klines.5m", 0, END)
        == 0
    )


def test_an_old_dead_letter_is_found_behind_many_of_other_partitions() -> None:
    others = [a_letter(at, 1, at) for at in range(1, 9000)]

    assert (
        offset_after_last_dead_letter(
            FakeTopicHistory([a_letter(0, 0, 7), *others]), "klines.5m", 0, END
        )
        == 8
    )


def test_a_foreign_dead_letter_of_a_record_that_is_not_there_is_passed_over() -> None:
    letters = FakeTopicHistory([a_letter(0, 0, 40), a_letter(1, 0, END), a_letter(2, 0, 10**18)])

    assert offset_after_last_dead_letter(letters, "klines.5m", 0, END) == 41
