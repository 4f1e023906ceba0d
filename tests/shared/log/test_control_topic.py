import pytest

from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.schemas.control import decode_control, encode_control
from shared.core.control import ControlRecord, ControlState, ExchangeBan, SymbolControl
from shared.core.errors import BadInput
from shared.core.topics import Topics
from shared.log.control_topic import ControlTopic
from tests.support.waiting import eventually

WANTED = SymbolControl("币安人生USDT", "follow", 1, "a user added it")


@pytest.mark.parametrize(
    "record", [WANTED, SymbolControl("BTCUSDT", "left", 5), ExchangeBan("binance", 7)]
)
def test_a_control_record_survives_its_bytes(record: ControlRecord) -> None:
    assert decode_control(encode_control(record, "5m"), "5m") == record


def test_a_record_for_another_interval_is_not_for_this_deployment() -> None:
    assert decode_control(encode_control(WANTED, "1m"), "5m") is None


@pytest.mark.parametrize("value", [None, b"{}", b'{"type":"mood"}', b"x" * 3000])
def test_what_is_no_control_record_is_refused(value: bytes | None) -> None:
    with pytest.raises(BadInput):
        decode_control(value, "5m")


def test_the_newest_record_of_a_symbol_holds() -> None:
    state = ControlState()
    state.add(
        [
            SymbolControl("AUSDT", "joined", 1),
            SymbolControl("BUSDT", "joined", 1),
            SymbolControl("AUSDT", "unfollow", 2),
            SymbolControl("AUSDT", "left", 3),
            SymbolControl("CUSDT", "follow", 3),
        ]
    )

    assert state.members.keys() == {"BUSDT"}
    assert not state.is_wanted("AUSDT", default=True)
    assert state.is_wanted("BUSDT", default=True)
    assert state.is_wanted("CUSDT", default=False)


@pytest.mark.integration
def test_what_was_added_is_read_and_a_foreign_record_is_skipped(
    kafka: KafkaConnection, topic_prefix: str
) -> None:
    topics = Topics("5m", 1, topic_prefix)
    ensure_topics(kafka, topics)
    reader = ControlTopic(kafka, topics, "reader")
    writer = ControlTopic(kafka, topics, "writer")
    assert not reader.refresh().wishes

    writer.publish([WANTED])
    foreign = TransactionalProducer(kafka, f"{topic_prefix}foreign")
    foreign.write([ProducerRecord(topics.control, 0, None, b"hello", 1)])
    foreign.close()
    writer.publish([ExchangeBan("binance", 9)])

    assert eventually_read(reader).wishes == {WANTED.symbol: WANTED}
    assert reader.state.bans == {"binance": 9}


def eventually_read(reader: ControlTopic) -> ControlState:
    eventually(lambda: reader.refresh().bans)
    return reader.state
