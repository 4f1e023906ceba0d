"""Clients of a real Kafka."""

import contextlib
import ctypes
import os
import signal
import time
import uuid
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any, Final, cast

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.group_settings import GroupProtocol
from tests.conformance.harness import PRODUCER, WAIT_S, ClientHarness, dotted
from tests.conformance.member import RecordingMember
from tests.support.waiting import eventually

ROOT: Final = Path(__file__).parents[2]
_POLL_S: Final = 0.01


class KafkaHarness(ClientHarness):
    def __init__(self, kafka: KafkaConnection, protocol: GroupProtocol = "classic") -> None:
        self._server: dict[str, Any] = kafka.client_config()
        self._admin = AdminClient(self._server)
        self._used, self._kept = contextlib.ExitStack(), contextlib.ExitStack()
        super().__init__(protocol)
        self.keep_clients()

    def topic(self, partitions: int = 1) -> str:
        name = f"conformance-{self.new_name()}"
        self._admin.create_topics([NewTopic(name, partitions, 1)])[name].result(WAIT_S)
        spec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        latest = {TopicPartition(name, p): spec for p in range(partitions)}

        def has_leaders() -> bool:
            # A client that was told "no leader" does not ask again by itself.
            self._admin.list_topics(timeout=WAIT_S)
            return not _errors_of(self._admin.list_offsets(latest, request_timeout=WAIT_S))

        self.until(has_leaders)
        return name

    def new_name(self) -> str:
        return uuid.uuid4().hex[:12]

    def new_producer(self, name: str, **config: Any) -> Producer:
        producer = Producer(
            {**PRODUCER, **dotted(config), **self._server, "transactional.id": name}
        )
        # Connect now, so that init_transactions takes only milliseconds.
        producer.list_topics("any", timeout=WAIT_S)
        self._used.callback(self.close, producer)
        return producer

    def consumer(self, group: str | None = None, **config: Any) -> Consumer:
        consumer = Consumer(
            {
                **self.consumer_config,
                **dotted(config),
                **self._server,
                "group.id": group or "conformance",
            }
        )
        self._used.callback(self.close, consumer)
        return consumer

    def close(self, client: Producer | Consumer) -> None:
        with warnings.catch_warnings(), contextlib.suppress(KafkaException):
            # A fenced producer cannot abort its open transaction and warns about it.
            warnings.simplefilter("ignore", RuntimeWarning)
            client.close()

    def vanishing_member(
        self, group: str, topic: str
    ) -> tuple[RecordingMember, Callable[[], None]]:
        member, kill, _ = self._remote_member(group, topic, signal.SIGKILL)
        return member, kill

    def sleeping_member(
        self, group: str, topic: str
    ) -> tuple[RecordingMember, Callable[[], None], Callable[[], None]]:
        return self._remote_member(group, topic, signal.SIGSTOP)

    def until(self, condition: Callable[[], object], deadline_s: float = WAIT_S) -> None:
        eventually(condition, deadline_s, _POLL_S)

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    def keep_clients(self) -> None:
        self._kept.enter_context(self._used.pop_all())

    def close_clients(self) -> None:
        self._used.close()

    def close_all(self) -> None:
        self._kept.close()

    def _remote_member(
        self, group: str, topic: str, stop: signal.Signals
    ) -> tuple[RecordingMember, Callable[[], None], Callable[[], None]]:
        """Return a member in another process, so that a signal stops its client's threads too."""
        manager = _RemoteManager(ctx=get_context("spawn"))
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(ROOT)  # the new process imports this module by its name
            manager.start(_die_with_parent, (os.getpid(),))
        pid: int = manager._process.pid  # type: ignore[attr-defined]
        self._used.callback(_end, manager, pid)
        config = {**self.consumer_config, **self._server, "group.id": group}
        member = manager.member(config, topic)  # type: ignore[attr-defined]
        return (
            cast(RecordingMember, member),
            lambda: os.kill(pid, stop),
            lambda: os.kill(pid, signal.SIGCONT),
        )


class _RemoteManager(BaseManager):
    """Starts a process and gives access to an object in it."""


def _end(manager: _RemoteManager, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)  # it may be suspended and could not shut down by itself
    manager.shutdown()


def _build_remote_member(config: dict[str, Any], topic: str) -> RecordingMember:
    return RecordingMember(Consumer(config), topic)


_RemoteManager.register("member", _build_remote_member)


def _die_with_parent(parent: int) -> None:
    getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _errors_of(futures: dict[Any, Any]) -> list[BaseException]:
    return [
        error
        for error in (future.exception(WAIT_S) for future in futures.values())
        if error is not None
    ]
