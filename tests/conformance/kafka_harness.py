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

from tests.conformance.harness import CONSUMER, PRODUCER, WAIT_S, Kit, dotted
from tests.conformance.member import GroupMember

ROOT: Final = Path(__file__).parents[2]
_LOOK_S: Final = 0.01


class KafkaKit(Kit):
    def __init__(self, bootstrap: str) -> None:
        self._server: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._admin = AdminClient(self._server)
        self._used, self._kept = contextlib.ExitStack(), contextlib.ExitStack()
        super().__init__()
        self.keep()

    def topic(self, partitions: int = 1) -> str:
        name = f"conformance-{self.new_name()}"
        self._admin.create_topics([NewTopic(name, partitions, 1)])[name].result(WAIT_S)
        latest = {TopicPartition(name, p): OffsetSpec.latest() for p in range(partitions)}  # type: ignore[no-untyped-call]

        def has_leaders() -> bool:
            self._admin.list_topics(
                timeout=WAIT_S
            )  # once told that there is no leader, the client does not ask again
            return not _faults(self._admin.list_offsets(latest, request_timeout=WAIT_S))

        self.until(has_leaders)
        return name

    def new_name(self) -> str:
        return uuid.uuid4().hex[:12]

    def idle_producer(self, name: str, **config: Any) -> Producer:
        producer = Producer(
            {**PRODUCER, **dotted(config), **self._server, "transactional.id": name}
        )
        producer.list_topics(
            "any", timeout=WAIT_S
        )  # once it is connected, taking the id is a matter of milliseconds
        self._used.callback(self.close, producer)
        return producer

    def consumer(self, group: str | None = None, **config: Any) -> Consumer:
        consumer = Consumer(
            {**CONSUMER, **dotted(config), **self._server, "group.id": group or "conformance"}
        )
        self._used.callback(self.close, consumer)
        return consumer

    def close(self, client: Producer | Consumer) -> None:
        with warnings.catch_warnings(), contextlib.suppress(KafkaException):
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # a producer that was fenced cannot abort what it left open
            client.close()

    def vanishing_member(self, group: str, topic: str) -> tuple[GroupMember, Callable[[], None]]:
        member, kill, _ = self._distant(group, topic, signal.SIGKILL)
        return member, kill

    def sleeping_member(
        self, group: str, topic: str
    ) -> tuple[GroupMember, Callable[[], None], Callable[[], None]]:
        return self._distant(group, topic, signal.SIGSTOP)

    def until(self, happened: Callable[[], object], deadline_s: float = WAIT_S) -> None:
        ends = time.monotonic() + deadline_s
        while not happened():
            assert time.monotonic() < ends, f"did not happen within {deadline_s:g} s"
            time.sleep(_LOOK_S)

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    def keep(self) -> None:
        self._kept.enter_context(self._used.pop_all())

    def tidy(self) -> None:
        self._used.close()

    def end(self) -> None:
        self._kept.close()

    def _distant(
        self, group: str, topic: str, stop: signal.Signals
    ) -> tuple[GroupMember, Callable[[], None], Callable[[], None]]:
        """A member in a process of its own, so that a signal reaches the threads of its client too."""
        processes = _Processes(ctx=get_context("spawn"))
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(ROOT)  # the process imports this module anew
            processes.start(_die_with_parent, (os.getpid(),))
        pid: int = processes._process.pid  # type: ignore[attr-defined]
        self._used.callback(_end, processes, pid)
        member = processes.member({**CONSUMER, **self._server, "group.id": group}, topic)  # type: ignore[attr-defined]
        return (
            cast(GroupMember, member),
            lambda: os.kill(pid, stop),
            lambda: os.kill(pid, signal.SIGCONT),
        )


class _Processes(BaseManager):
    """Starts a process and calls an object in it."""


def _end(processes: _Processes, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)  # it may stand still: then it would not hear of the end
    processes.shutdown()


def _distant_member(config: dict[str, Any], topic: str) -> GroupMember:
    return GroupMember(Consumer(config), topic)


_Processes.register("member", _distant_member)


def _die_with_parent(parent: int) -> None:
    getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _faults(futures: dict[Any, Any]) -> list[BaseException]:
    return [
        fault
        for fault in (future.exception(WAIT_S) for future in futures.values())
        if fault is not None
    ]
