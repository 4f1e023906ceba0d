"""`ulstm dead-letters`: what it shows, what goes back into the log, and that it goes once."""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner, Result

from services.cli.audit.verify import verify
from services.cli.commands.dead_letters import app
from services.cli.redrive import LogPositions, RedriveResult, RedriveStatus, answers, candidate
from shared.adapters.kafka.errors import Fenced
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas import (
    DeadLetter,
    GapMessage,
    KlineCodec,
    PromotionMessage,
    dead_letter_headers,
    decode_dead_letter,
    encode_record,
)
from shared.core.errors import BadInput, BadSetting, Incompatible, Unknown
from shared.core.topics import Topics, partition_for
from shared.log.positions import producer_transactional_id
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import Deployment

GROUPS = 2
SYMBOL = "BTCUSDT"
GROUP = partition_for(SYMBOL, GROUPS)
WRONG = 1 - GROUP
TOPICS = Topics("5m", GROUPS)
CODEC = KlineCodec("5m", STEP_MS, GROUPS)
PROMOTION = encode_record(
    PromotionMessage(type="promotion", model_version="v1", bundle_sha256="0" * 64)
)


def gap_bytes(start: int, stop: int) -> bytes:
    starts_ms, ends_ms = START_MS + start * STEP_MS, START_MS + stop * STEP_MS
    return encode_record(
        GapMessage(
            type="gap",
            symbol=SYMBOL,
            interval="5m",
            from_open_time_ms=starts_ms,
            until_open_time_ms=ends_ms,
        )
    )


def a_letter(
    value: bytes,
    offset: int = 7,
    key: bytes = SYMBOL.encode(),
    group: int = WRONG,
    topic: str = "klines.5m",
) -> DeadLetter:
    return DeadLetter(topic, group, offset, key, value, "wrong_group", "as it was")


def judged(log: Sequence[bytes], letters: Sequence[DeadLetter]) -> list[RedriveResult]:
    candidates = [candidate(letter, TOPICS, CODEC) for letter in letters]
    standing = LogPositions(STEP_MS, frozenset(one.place for one in candidates), {})
    for offset, value in enumerate(log):
        standing.take(offset, CODEC.decode(value, GROUP))
    return answers(candidates, standing, TOPICS.klines, 5)


LOG = [candle_bytes(0), candle_bytes(1), gap_bytes(2, 4), candle_bytes(4)]


@pytest.mark.parametrize(
    ("value", "fate", "reason"),
    [
        (candle_bytes(5), RedriveStatus.GOES_BACK, ""),
        (gap_bytes(5, 7), RedriveStatus.GOES_BACK, ""),
        (candle_bytes(6), RedriveStatus.REFUSED, "too_early"),
        (gap_bytes(6, 7), RedriveStatus.REFUSED, "too_early"),
        (candle_bytes(4), RedriveStatus.IN_ALREADY, "duplicate"),
        (gap_bytes(2, 4), RedriveStatus.IN_ALREADY, "duplicate"),
        (candle_bytes(4, close="99.0"), RedriveStatus.REFUSED, "contradiction"),
        (candle_bytes(3), RedriveStatus.REFUSED, "out_of_order"),
        (gap_bytes(2, 3), RedriveStatus.REFUSED, "out_of_order"),
    ],
)
def test_only_what_comes_next_of_its_symbol_goes_back(
    value: bytes, fate: RedriveStatus, reason: str
) -> None:
    (answer,) = judged(LOG, [a_letter(value)])

    assert (answer.fate, answer.reason) == (fate, reason)
    assert (answer.record is not None) == (fate is RedriveStatus.GOES_BACK)


def test_a_contradiction_is_told_that_an_amendment_changes_a_candle() -> None:
    (answer,) = judged(LOG, [a_letter(candle_bytes(4, close="99.0"))])

    assert "amendment" in answer.message
    assert "offset 3" in answer.message


def test_a_record_that_this_version_reads_where_it_lies_is_in_already() -> None:
    (answer,) = judged(LOG, [a_letter(candle_bytes(4), offset=3, group=GROUP)])

    assert answer.fate is RedriveStatus.IN_ALREADY
    assert "this version reads it there" in answer.message


def test_a_stale_candle_at_the_end_of_the_log_does_not_move_its_symbol_back() -> None:
    log = [candle_bytes(at) for at in (0, 1, 2, 0)]

    assert [answer.reason for answer in judged(log, [a_letter(candle_bytes(1, close="99.0"))])] == [
        "contradiction"
    ]
    assert [answer.fate for answer in judged(log, [a_letter(candle_bytes(3))])] == [
        RedriveStatus.GOES_BACK
    ]


def test_a_symbol_that_the_log_has_nothing_of_begins_with_a_candle() -> None:
    assert [answer.reason for answer in judged([], [a_letter(gap_bytes(0, 1))])] == ["too_early"]
    assert [answer.fate for answer in judged([], [a_letter(candle_bytes(3))])] == [
        RedriveStatus.GOES_BACK
    ]


def test_what_goes_back_has_its_own_bytes_its_close_as_time_and_its_place_in_a_header() -> None:
    (answer,) = judged(LOG, [a_letter(candle_bytes(5))])

    close_ms = START_MS + 6 * STEP_MS - 1
    headers = [
        ("source", b"dead-letter"),
        ("arrival_ms", b"5"),
        ("replayed-from", b"klines.5m/%d/7" % WRONG),
    ]
    assert answer.record == ProducerRecord(
        "klines.5m", GROUP, SYMBOL.encode(), candle_bytes(5), close_ms, headers
    )


@given(st.permutations(range(2, 9)), st.sets(st.integers(2, 8)))
def test_whatever_the_letters_order_the_log_stays_whole_and_nothing_goes_back_twice(
    order: list[int], lost: set[int]
) -> None:
    log = [candle_bytes(0), candle_bytes(1)]
    letters = [a_letter(candle_bytes(at), at) for at in [*order, *order] if at not in lost]

    sent = [answer.record for answer in judged(log, letters) if answer.record is not None]

    whole = next((at for at in range(2, 9) if at in lost), 9)
    assert [record.value for record in sent] == [candle_bytes(at) for at in range(2, whole)]
    again = judged([*log, *(record.value or b"" for record in sent)], letters)
    assert all(answer.fate is not RedriveStatus.GOES_BACK for answer in again)


@pytest.mark.parametrize(
    ("letter", "reason", "advice"),
    [
        (a_letter(b"{nonsense"), "not_json", "JSON"),
        (a_letter(candle_bytes(0, open_time_ms=START_MS + 1)), "off_grid", "multiple"),
        (a_letter(candle_bytes(0, high="1.0")), "inconsistent_prices", "high"),
        (a_letter(candle_bytes(0, interval="1m")), "wrong_interval", "own topic"),
        (a_letter(candle_bytes(0), key=b"other"), "wrong_key", "under its symbol"),
        (a_letter(candle_bytes(0), key=b"BTCUSDT\xff"), "wrong_key", "under its symbol"),
        (a_letter(candle_bytes(0, type="amendment")), "amendment", "publish it anew"),
        (a_letter(PROMOTION, key=b"promotion"), "promotion", "models promote v1"),
        (a_letter(b"[1]", topic="exchange:rest"), "other_topic", "producer asks REST"),
        (a_letter(candle_bytes(0), topic="klines.1m"), "other_topic", "INTERVAL"),
    ],
)
def test_what_would_be_refused_again_is_not_sent_and_told_why(
    letter: DeadLetter, reason: str, advice: str
) -> None:
    with pytest.raises(BadInput, match=advice) as refusal:
        candidate(letter, TOPICS, CODEC)

    assert refusal.value.reason == reason


def test_a_letter_comes_out_of_its_headers_as_it_went_in() -> None:
    letter = a_letter(b"\xff")

    assert decode_dead_letter(dict(dead_letter_headers(letter)), letter.key, letter.value) == letter
    assert decode_dead_letter({"offset": b"-1", "reason": b"\xff"}, None, None) == (
        DeadLetter("", -1, -1, None, None, "\\xff", "")
    )


class RedriveDeployment(Deployment):
    def place(self, offset: int, group: int = WRONG) -> str:
        return f"{self.topics.klines}/{group}/{offset}"

    def write_settled(self, *records: ProducerRecord) -> None:
        """Write records and wait until they can be read."""
        self.write(records)
        for topic, partition in {(record.topic, record.partition) for record in records}:
            self.await_settled(topic, partition)

    def publish_values(self, values: Sequence[bytes], group: int = GROUP) -> None:
        """Write records of one symbol, whose times are the closes of the first candles."""
        topic, key = self.topics.klines, SYMBOL.encode()
        closes = (START_MS + (at + 1) * STEP_MS - 1 for at in range(len(values)))
        self.write_settled(
            *(
                ProducerRecord(topic, group, key, value, ms)
                for value, ms in zip(values, closes, strict=True)
            )
        )

    def set_aside(
        self, values: Sequence[bytes], reason: str = "wrong_group", group: int = WRONG
    ) -> None:
        """Write records as a stranger's program would, and their letters as a predictor would."""
        self.publish_values(values, group)
        self.letters(
            *(
                DeadLetter(
                    self.topics.klines,
                    group,
                    offset,
                    SYMBOL.encode(),
                    value,
                    reason,
                    f"why {offset}",
                )
                for offset, value in enumerate(values)
            )
        )

    def letters(self, *letters: DeadLetter) -> None:
        self.write_settled(
            *(
                ProducerRecord(
                    self.topics.dead_letters,
                    0,
                    one.key,
                    one.value,
                    START_MS,
                    dead_letter_headers(one),
                )
                for one in letters
            )
        )

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, obj=self.environ)

    def told(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exception is None, result.exception
        return json.loads(result.stdout)

    def klines(self, group: int = GROUP) -> list[ConsumerRecord]:
        self.await_settled(self.topics.klines, group)
        return self.read(self.topics.klines, [group])


@pytest.fixture
def deployment(
    kafka_bootstrap: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[RedriveDeployment]:
    with RedriveDeployment(
        kafka_bootstrap, redis_url, topic_prefix, tmp_path, partitions=GROUPS
    ) as deployment:
        yield deployment


@pytest.mark.integration
def test_letters_are_listed_newest_last_with_place_reason_and_how_they_begin(
    deployment: RedriveDeployment,
) -> None:
    deployment.set_aside([b"{first", b"{second"], "not_json")

    shown = deployment.run("list").stdout.splitlines()

    assert shown == [
        f"2025-01-01 00:00:00  {deployment.place(0)}  BTCUSDT  not_json",
        "    why 0",
        "    {first",
        f"2025-01-01 00:00:00  {deployment.place(1)}  BTCUSDT  not_json",
        "    why 1",
        "    {second",
        "2 dead letters: not_json 2",
    ]


@pytest.mark.integration
def test_a_program_gets_the_original_bytes_whole(deployment: RedriveDeployment) -> None:
    value = bytes(range(256)) * 3
    deployment.set_aside([value])

    (told,) = deployment.told("list")["letters"]

    assert base64.b64decode(told["value_base64"]) == value
    assert (told["place"], told["time_ms"], told["key"]) == (deployment.place(0), START_MS, SYMBOL)


@pytest.mark.integration
def test_no_byte_of_a_letter_reaches_the_terminal_as_a_command(
    deployment: RedriveDeployment,
) -> None:
    evil = "\x1b]0;t\x07\u202e\x9b2J\n"
    deployment.letters(
        DeadLetter(evil, 0, 1, evil.encode(), evil.encode() + b"\xff\x80" * 500, evil, evil)
    )

    shown = deployment.run("list").stdout

    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown.splitlines()) == 4
    assert "\\x1b]0;t" in shown
    assert "\\xff" in shown


@pytest.mark.integration
def test_a_list_is_narrowed_by_reason_and_key_and_counts_what_it_does_not_show(
    deployment: RedriveDeployment,
) -> None:
    deployment.letters(*(a_letter(b"x", at) for at in range(5)), a_letter(b"y", 9, key=b"ETHUSDT"))

    narrowed = deployment.run(
        "list", "--symbol", "btcusdt", "--reason", "wrong_group", "--limit", "2"
    ).stdout

    assert narrowed.splitlines()[-1] == "5 dead letters, the newest 2 shown: wrong_group 5"
    assert [letter["offset"] for letter in deployment.told("list", "--limit", "2")["letters"]] == [
        4,
        9,
    ]
    assert "no dead letters of these" in deployment.run("list", "--reason", "other").stdout


@pytest.mark.integration
def test_an_empty_topic_says_so(deployment: RedriveDeployment) -> None:
    assert deployment.run("list").stdout == f"no dead letters on {deployment.topics.dead_letters}\n"
    assert deployment.run("redrive", "--all").stdout == "no dead letters are chosen\n"
    assert deployment.told("list") == {"letters": [], "reasons": {}}


@pytest.mark.integration
def test_without_yes_nothing_is_sent(deployment: RedriveDeployment) -> None:
    deployment.set_aside([candle_bytes(0)])

    result = deployment.run("redrive", "--all")

    assert result.exit_code == 0
    assert "1 would go back" in result.stdout
    assert deployment.klines() == []


@pytest.mark.integration
def test_candles_of_a_wrong_symbol_group_go_back_into_their_own_once_and_the_log_verifies(
    deployment: RedriveDeployment,
) -> None:
    log = [candle_bytes(at) for at in (0, 1, 2, 0)]
    deployment.publish_values(log)
    deployment.letters(
        DeadLetter(
            deployment.topics.klines, GROUP, 3, SYMBOL.encode(), log[3], "duplicate", "stale"
        )
    )
    deployment.set_aside([candle_bytes(at) for at in (5, 4, 3, 2, 8)])

    first = deployment.told("redrive", "--all", "--yes")
    second = deployment.told("redrive", "--reason", "wrong_group", "--yes")

    fates = {row["offset"]: row["fate"] for row in first["letters"] if row["group"] == WRONG}
    assert fates == {0: "goes back", 1: "goes back", 2: "goes back", 3: "in already", 4: "refused"}
    assert [row["fate"] for row in second["letters"]].count("in already") == 4
    records = deployment.klines()
    assert [record.value for record in records] == [*log, *(candle_bytes(at) for at in (3, 4, 5))]
    assert [(record.headers or {}).get("replayed-from") for record in records[4:]] == [
        deployment.place(at).encode() for at in (2, 1, 0)
    ]
    verdict = verify(deployment.settings, None, Console(quiet=True))
    assert verdict.agrees, verdict.first


@pytest.mark.integration
def test_a_letter_named_by_its_place_that_cannot_go_back_ends_with_one_and_sends_the_others(
    deployment: RedriveDeployment,
) -> None:
    deployment.set_aside([candle_bytes(0), b"{nonsense"])

    result = deployment.run("redrive", deployment.place(0), deployment.place(1), "--yes")

    assert result.exit_code == 1
    assert "not_json" in result.stdout
    assert "1 sent, 0 in the log already, 1 refused" in result.stdout
    assert [record.value for record in deployment.klines()] == [candle_bytes(0)]


@pytest.mark.integration
def test_a_producer_that_runs_is_fenced_before_the_log_is_read(
    deployment: RedriveDeployment,
) -> None:
    deployment.set_aside([candle_bytes(0)])
    producer = TransactionalProducer(
        deployment.settings.kafka_bootstrap_servers, producer_transactional_id(deployment.topics)
    )

    deployment.told("redrive", "--all", "--yes")

    with pytest.raises(Fenced):
        producer.write(
            [
                ProducerRecord(
                    deployment.topics.klines, GROUP, SYMBOL.encode(), candle_bytes(0), START_MS
                )
            ]
        )
    producer.close()


@pytest.mark.integration
def test_a_place_without_a_letter_is_unknown(deployment: RedriveDeployment) -> None:
    assert isinstance(deployment.run("redrive", deployment.place(5)).exception, Unknown)


@pytest.mark.integration
def test_a_deployment_that_is_not_there_is_refused_with_the_settings_to_look_at(
    kafka_bootstrap: str,
) -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap, "TOPIC_PREFIX": "nowhere."}

    error = CliRunner().invoke(app, ["list"], obj=environ).exception

    assert isinstance(error, Incompatible)
    assert f"nowhere.dead-letters has 0 partitions on Kafka at {kafka_bootstrap}" in str(error)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--all", "--reason", "not_json"], ["klines.5m/0/1", "--all"], ["4711"], ["klines.5m/0"]],
)
def test_wrong_use_is_refused_before_anything_is_read(arguments: list[str]) -> None:
    assert isinstance(
        CliRunner().invoke(app, ["redrive", *arguments], obj={}).exception, BadSetting
    )
