"""Every service on a Kafka with passwords, TLS and an authorizer: what it must, and no more."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from services.dashboard.cluster.kafka_inspection import KafkaInspection
from services.dashboard.models.logged_models import LoggedModels
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import READER_GROUP, KafkaConnection
from shared.adapters.kafka.consumer_group import ConsumerGroupMember
from shared.adapters.kafka.group_settings import GroupSettings
from shared.adapters.kafka.listener import find_protocol
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.kafka.rights import Operation, Principal, Right, rights_of
from shared.adapters.kafka.tail import TopicTail
from shared.adapters.kafka.users import set_passwords, set_rights
from shared.core.control import SymbolControl
from shared.core.errors import BadSetting, NotAuthorized
from shared.core.market import define_baskets
from shared.core.topics import Topics
from shared.local_servers.programs import HOST
from shared.log.archive import Archive, TimeSpan
from shared.log.basket_store import BasketStore
from shared.log.control_topic import ControlTopic
from shared.log.kline_writer import KlineWriter
from shared.log.predictions_reader import PredictionsReader
from tests.support.deployment import Deployment
from tests.support.secured_kafka import CONSUMER_GROUP, STRANGER, SecuredKafka, secured_kafka
from tests.support.simulated_exchange import SimulatedExchange, write_recording
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

LIVE: Final = Topics("5m", 2, "live.")
TRIED: Final = Topics("5m", 1, "tried.")  # nobody's records: each right is tried there
OPERATIONS: Final[tuple[Operation, ...]] = (
    "Describe", "Read", "Write", "DescribeConfigs", "AlterConfigs",
)  # fmt: skip
SYMBOLS: Final = ["AAAUSDT", "BBBUSDT"]
NO_REDIS: Final = "redis://127.0.0.1:1/0"  # the log is enough
REQUEST_S: Final = 10.0
DENIED: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as running:
        for topics in (LIVE, TRIED):
            ensure_topics(running.administrators, topics)
        running.grant([LIVE, TRIED])
        yield running


# --- who is let in --------------------------------------------------------------------------------


def start(kafka: SecuredKafka, **changes: str) -> None:
    """Do what every service does first."""
    environ = {k: v for k, v in (kafka.environ(STRANGER) | changes).items() if v}
    ensure_topics(ServiceSettings.from_env(environ).kafka, LIVE)


def test_a_wrong_password_is_named_in_one_line_without_it(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("hunter2")

    with pytest.raises(NotAuthorized, match="does not let user stranger in") as refusal:
        start(kafka, KAFKA_SASL_PASSWORD_FILE=str(wrong))

    assert "KAFKA_SASL_PASSWORD" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"KAFKA_SASL_MECHANISM": "PLAIN"}, NotAuthorized, "SCRAM-SHA-512.*KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SSL_CA_LOCATION": ""}, BadSetting, "not trusted here.*KAFKA_SSL_CA_LOCATION"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA_LOCATION": ""},
            BadSetting,
            "speaks SASL_SSL, but KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT: set it to SASL_SSL",
        ),
        ({}, NotAuthorized, "refuses it to user stranger: Describe on topic live"),
    ],
    ids=["mechanism", "authority", "protocol", "no right"],
)
def test_why_kafka_does_not_let_a_client_in_is_named(
    kafka: SecuredKafka, changes: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        start(kafka, **changes)


def test_a_broker_that_is_reached_by_another_name_than_its_certificates_is_refused(
    kafka: SecuredKafka,
) -> None:
    address = {"KAFKA_BOOTSTRAP_SERVERS": f"localhost:{kafka.sasl_ssl_port}"}

    with pytest.raises(BadSetting, match=r"not trusted here.*KAFKA_BOOTSTRAP_SERVERS"):
        start(kafka, **address)


def test_a_client_without_protocol_learns_which_one_the_listener_speaks(
    kafka: SecuredKafka,
) -> None:
    ports = {
        "PLAINTEXT": kafka.unsecured_port,
        "SASL_SSL": kafka.sasl_ssl_port,
        "SSL": kafka.ssl_port,
        "SASL_PLAINTEXT": kafka.sasl_plaintext_port,
    }
    plain = KafkaConnection(f"{HOST}:{kafka.sasl_ssl_port}")

    assert {name: find_protocol(HOST, port) for name, port in ports.items()} == {
        name: name for name in ports
    }
    with pytest.raises(BadSetting, match="speaks SASL_SSL, but KAFKA_SECURITY_PROTOCOL is PLAIN"):
        ensure_topics(plain, LIVE)


def test_a_certificate_serves_in_a_passwords_place(kafka: SecuredKafka) -> None:
    certificate, key = kafka.client_certificate
    environ = {
        "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{kafka.ssl_port}",
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA_LOCATION": str(kafka.authority),
    }
    shown = {
        "KAFKA_SSL_CERTIFICATE_LOCATION": str(certificate),
        "KAFKA_SSL_KEY_LOCATION": str(key),
    }
    rights = rights_of(Principal.PREDICTOR, LIVE, CONSUMER_GROUP)
    set_rights(kafka.administrators, "CN=client", rights)

    ensure_topics(ServiceSettings.from_env(environ | shown).kafka, LIVE)
    with pytest.raises(BadSetting, match=r"this side's certificate.*KAFKA_SSL_CERTIFICATE"):
        ensure_topics(ServiceSettings.from_env(environ).kafka, LIVE)


def test_a_service_that_is_not_let_in_ends_with_one_line_that_says_why(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("hunter2")
    deployment = kafka.deployment(Principal.PREDICTOR, LIVE, NO_REDIS, tmp_path)
    predictor = deployment.start_predictor(KAFKA_SASL_PASSWORD_FILE=str(wrong))

    assert predictor.process.wait(30) == 1
    *before, line = predictor.log_text().splitlines()
    assert "refusing to continue" in line
    assert "does not let user predictor in" in line
    assert [each for each in before if "INFO" not in each] == []
    assert "hunter2" not in predictor.log_text()


def test_a_command_that_is_not_let_in_says_so(kafka: SecuredKafka, tmp_path: Path) -> None:
    stranger = kafka.deployment(STRANGER, LIVE, NO_REDIS, tmp_path)

    ended = stranger.ulstm("models", "list")

    assert ended.returncode == 1
    assert ended.stderr.startswith("NotAuthorized: looking at topic live.models")
    assert "Describe on topic live.models is missing" in ended.stderr.replace("\n", " ")


def test_the_live_page_says_why_kafka_does_not_let_it_in(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("hunter2")
    environ = kafka.environ(Principal.DASHBOARD) | {"KAFKA_SASL_PASSWORD_FILE": str(wrong)}
    settings = ServiceSettings.from_env(environ)

    facts = KafkaInspection(settings.kafka, LIVE, LIVE.consumer_group(CONSUMER_GROUP)).read()

    assert "does not let user dashboard in" in (facts.error or "")


# --- what each may do -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempts:
    """Tries each operation on a topic with raw clients."""

    kafka: KafkaConnection
    group: str  # a client must name one

    def allowed(self, topics: Topics) -> set[tuple[str, str]]:
        """Return the (topic, operation) pairs that Kafka lets this user do."""
        return {
            (name, operation)
            for name, operation in itertools.product(topics.specifications(), OPERATIONS)
            if not is_denied(partial(self._attempt, name, operation))
        }

    def _attempt(self, name: str, operation: Operation) -> None:
        match operation:
            case "Describe":
                self._describe(name)
            case "Read":
                self._read(name)
            case "Write":
                self._write(name)
            case "DescribeConfigs":
                resource = ConfigResource(ResourceType.TOPIC, name)
                self._admin.describe_configs([resource])[resource].result(REQUEST_S)
            case "AlterConfigs":
                self._alter(name)
            case _:
                raise AssertionError(operation)

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(self.kafka.client_config())

    @cached_property
    def _producer(self) -> Producer:
        return Producer(self.kafka.client_config({"delivery.timeout.ms": 10_000}))

    def _describe(self, name: str) -> None:
        self._raise(self._admin.list_topics(name, timeout=REQUEST_S).topics[name].error)

    def _read(self, name: str) -> None:
        self._describe(name)  # of a topic that it does not see, a consumer hears nothing
        config = {"group.id": self.group, "enable.partition.eof": True}
        consumer = Consumer(self.kafka.client_config(config))
        with contextlib.closing(consumer):
            consumer.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
            message = consumer.poll(REQUEST_S)
        assert message is not None
        self._raise(message.error())

    def _write(self, name: str) -> None:
        failures: list[KafkaError | None] = []
        self._producer.produce(
            name, b"", partition=0, on_delivery=lambda error, _: failures.append(error)
        )
        self._producer.flush(REQUEST_S)
        self._raise(failures[0])

    def _alter(self, name: str) -> None:
        entry = ConfigEntry("retention.ms", "-1", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
        self._admin.incremental_alter_configs([resource])[resource].result(REQUEST_S)

    def _raise(self, error: KafkaError | None) -> None:
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)


def is_denied(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except NotAuthorized:
        return True
    except KafkaException as error:
        if error.args[0].code() in DENIED:
            return True
        raise
    return False


def granted(principal: Principal, topics: Topics) -> set[tuple[str, str]]:
    """Return the (topic, operation) pairs of the table; who may anything may Describe."""
    return {
        (right.name, operation)
        for right in rights_of(principal, topics, CONSUMER_GROUP)
        if right.resource == "topic"
        for operation in (*right.operations, "Describe")
        if operation in OPERATIONS
    }


@pytest.mark.parametrize("principal", Principal)
def test_everyone_may_do_on_each_topic_what_the_table_says_and_nothing_else(
    kafka: SecuredKafka, principal: Principal
) -> None:
    group = CONSUMER_GROUP if principal is Principal.CONSUMER else READER_GROUP
    attempts = Attempts(kafka.connection(principal), group)

    assert attempts.allowed(TRIED) == granted(principal, TRIED)


@pytest.mark.parametrize("principal", Principal)
def test_nobody_takes_a_transactional_id_or_a_group_of_others(
    kafka: SecuredKafka, principal: Principal
) -> None:
    connection = kafka.connection(principal)
    rights = rights_of(principal, LIVE, CONSUMER_GROUP)
    everyones = {
        (right.resource, right.name)
        for each in Principal
        for right in rights_of(each, LIVE, CONSUMER_GROUP)
        if right.resource != "topic"
    }
    own = {(right.resource, right.name) for right in rights if "Describe" not in right.operations}

    for resource, name in sorted(everyones - own):
        if resource == "transactional-id":
            with pytest.raises(NotAuthorized, match=f"Write on transactional id {name}"):
                TransactionalProducer(connection, name)
        else:
            assert is_denied(partial(join, connection, name))


def join(kafka: KafkaConnection, group: str) -> None:
    consumer = Consumer(kafka.client_config({"group.id": group}))
    try:
        consumer.subscribe([TRIED.predictions])
        message = consumer.poll(REQUEST_S)
        if message is not None and (error := message.error()) is not None:
            raise KafkaException(error)
    finally:
        consumer.close()


def test_a_missing_right_is_named_by_what_needed_it(kafka: SecuredKafka) -> None:
    predictor, dashboard = (
        kafka.connection(user) for user in (Principal.PREDICTOR, Principal.DASHBOARD)
    )
    record = ProducerRecord(TRIED.klines, 0, None, b"", 0)
    writer = TransactionalProducer(predictor, TRIED.transactional_id("predictor-1"))
    group = TRIED.consumer_group(CONSUMER_GROUP)
    member = ConsumerGroupMember(dashboard, group, TRIED.klines, GroupSettings())
    member.subscribe(lambda _: None, lambda _: None)

    with (
        contextlib.closing(writer),
        pytest.raises(NotAuthorized, match=f"Write on topic {TRIED.klines}"),
    ):
        writer.write([record])
    with contextlib.closing(member), pytest.raises(NotAuthorized, match=f"Read on group {group}"):
        eventually(lambda: member.poll(1, 1.0), 10)
    with (
        Reader(kafka.connection(Principal.CONSUMER), TRIED.klines) as reader,
        pytest.raises(NotAuthorized, match=f"Read on topic {TRIED.klines}"),
    ):
        reader.partitions()


def test_a_right_or_a_password_that_is_withdrawn_ends_a_writer_at_work(
    kafka: SecuredKafka, caplog: pytest.LogCaptureFixture
) -> None:
    user, group = "withdrawn", TRIED.consumer_group("withdrawn")
    record = ProducerRecord(TRIED.klines, 0, None, b"", 0)
    rights = [
        Right("topic", TRIED.klines, ("Read", "Write")),
        Right("group", group, ("Read",)),
        Right("transactional-id", user, ("Write",)),
    ]
    kafka.add_user(user)
    set_rights(kafka.administrators, user, rights)
    writer = TransactionalProducer(kafka.connection(user), user)
    writer.write([record])

    set_rights(kafka.administrators, user, rights[1:])
    with pytest.raises(NotAuthorized, match=f"Write on topic {TRIED.klines} is missing"):
        eventually(lambda: writer.write([record]), 10)
    writer.close()

    set_passwords(kafka.administrators, {user: "another"})
    with pytest.raises(NotAuthorized, match="does not let user withdrawn in"):
        TransactionalProducer(kafka.connection(user), user)
    member = ConsumerGroupMember(kafka.connection(user), group, TRIED.klines, GroupSettings())
    with contextlib.closing(member):
        member.subscribe(lambda _: None, lambda _: None)
        eventually(lambda: member.poll(1, 0.2) or "does not let user withdrawn in" in caplog.text)


@pytest.mark.parametrize("principal", [each for each in Principal if each != "operator"])
def test_only_the_operator_creates_topics(kafka: SecuredKafka, principal: Principal) -> None:
    admin = AdminClient(kafka.connection(principal).client_config())

    future = admin.create_topics([NewTopic("tried.new", 1, 1)])["tried.new"]

    assert is_denied(lambda: future.result(REQUEST_S))
    with pytest.raises(NotAuthorized):
        ensure_topics(kafka.connection(principal), Topics("1h", 1, "tried."))


def test_topics_that_fit_need_no_right_but_describe_and_what_is_unchecked_is_said(
    kafka: SecuredKafka, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_topics(kafka.connection(Principal.PRODUCER), LIVE)
    assert caplog.records == []

    rights = rights_of(Principal.DASHBOARD, LIVE, CONSUMER_GROUP)  # reads, and checks no settings
    set_rights(kafka.administrators, STRANGER, rights)
    try:
        ensure_topics(kafka.connection(STRANGER), LIVE)
    finally:
        set_rights(kafka.administrators, STRANGER, [])
    assert len(caplog.records) == 1
    assert "user stranger may not read the settings of live.klines.5m, live.pre" in caplog.text


# --- the services at work -------------------------------------------------------------------------


def test_the_services_do_their_work_with_their_own_rights_alone(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    def as_user(principal: Principal) -> Deployment:
        return kafka.deployment(principal, LIVE, NO_REDIS, tmp_path)

    producer, predictor = as_user(Principal.PRODUCER), as_user(Principal.PREDICTOR)
    trainer, consumer = as_user(Principal.TRAINER), as_user(Principal.CONSUMER)
    exchange = SimulatedExchange(producer, write_recordings(tmp_path))
    with contextlib.ExitStack() as ends:
        ends.callback(producer.kill_replicas)
        ends.callback(predictor.kill_replicas)
        exchange.start(EXCHANGE_SPEED="400")  # a candle each 0.75 s, for minutes
        exchange.start_producer(SYMBOLS)
        eventually(partial(exchange.has_published, 300), 60)
        trainer.release()
        predictor.start_predictor(GROUP_PROTOCOL="consumer")
        eventually(lambda: len(consumer.predictions()) == len(SYMBOLS), 60)

    check_trainer(trainer)
    check_dashboard(as_user(Principal.DASHBOARD))
    check_operator(as_user(Principal.OPERATOR))


def write_recordings(folder: Path) -> Path:
    recordings = folder / "recordings"
    recordings.mkdir()
    for symbol in SYMBOLS:
        write_recording(recordings, symbol)
    return recordings


def check_trainer(trainer: Deployment) -> None:
    """Read the archive, the predictions and the followed symbols; put baskets in force."""
    assert len(Archive(trainer.kafka, LIVE).read(TimeSpan()).sequences) == len(SYMBOLS)
    assert ControlTopic(trainer.kafka, LIVE, "trainer").refresh().members
    with PredictionsReader(trainer.kafka, LIVE) as predictions:
        assert predictions.partitions() == LIVE.partitions
    baskets = BasketStore(trainer.kafka, LIVE)
    baskets.publish(define_baskets([SYMBOLS], 0, 1))
    assert baskets.newest() is not None


def check_dashboard(dashboard: Deployment) -> None:
    """Read the models, the group of the predictors and all topics."""
    group = LIVE.consumer_group(CONSUMER_GROUP)
    assert KafkaInspection(dashboard.kafka, LIVE, group).read().error is None
    LoggedModels(dashboard.kafka, LIVE).refresh()
    with TopicTail(dashboard.kafka, LIVE.specifications(), tail=100) as tail:
        eventually(lambda: tail.poll(1, 0.1), 10)


def check_operator(operator: Deployment) -> None:
    """Verify, follow a symbol, take the producer's and the trainer's place."""
    verified = operator.ulstm("verify")
    assert verified.returncode == 0, verified.stderr
    ControlTopic(operator.kafka, LIVE, "cli").publish([SymbolControl("ETHUSDT", "follow", 1)])
    operator.release(seed=2)
    KlineWriter(operator.kafka, LIVE).close()
