"""The kinds of fault: what each does, and how long predictions may stay away because of it.

An action yields the seconds to wait before its next step. At its end the fault is repaired.
"""

import signal
import time
from collections.abc import Callable, Iterator
from typing import Final

from shared.adapters.kafka.producer import TRANSACTION_MS
from tests.chaos.plan import Fault, Kind
from tests.chaos.proxy import ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT, Trap, Trouble
from tests.chaos.system import SystemUnderFaults
from tests.chaos.watched_deployment import SLOTS, USUAL

SESSION_S: Final = 6.0  # SESSION_TIMEOUT_MS of the replicas here
TRANSACTION_S: Final = TRANSACTION_MS / 1000
SCAN_S: Final = 10.0  # interval at which the coordinator aborts timed-out transactions
RELOAD_S: Final = 3.0  # rebalance, states from Redis, the rest from the log
TAKE_OVER_S: Final = SESSION_S + TRANSACTION_S + SCAN_S + RELOAD_S
HAND_OVER_S: Final = 10.0  # two rebalances, one heartbeat each, a reload, on a busy machine
DEADLINE_S: Final = 15.0  # of a transaction, set by our producer
BROKER_S: Final = 10.0  # the broker starts and its clients reconnect
# Then members rejoin, open transactions time out, and the first new one may get no answer.
BROKER_BACK_S: Final = BROKER_S + TAKE_OVER_S + DEADLINE_S
LINK_BACK_S: Final = TAKE_OVER_S + DEADLINE_S
REDIS_S: Final = 8.0  # three attempts of 2 s and the pauses between them
LONG_PAUSE_S: Final = TRANSACTION_S + SCAN_S + 2.0

Action = Callable[[SystemUnderFaults, Fault], Iterator[float]]
ACTIONS: Final[dict[str, Action]] = {}
KINDS: Final[dict[str, Kind]] = {}


def _kind(
    name: str, bound_s: float, lengths_s: tuple[float, float] = (0.0, 0.0)
) -> Callable[[Action], Action]:
    def register(action: Action) -> Action:
        ACTIONS[name], KINDS[name] = action, Kind(name, lengths_s, bound_s)
        return action

    return register


@_kind("replica killed", TAKE_OVER_S)
def _replica_killed(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    system.kill(fault.slot)
    yield from _until_taken_over(system)


@_kind("replica killed within a transaction", SESSION_S + RELOAD_S + 2.0)
def _replica_killed_in_transaction(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    """Kill a replica before its commit: its successor ends the transaction (ADR 38)."""
    link = system.link_of(fault.slot, "kafka")
    link.trap = Trap(END_TXN, "freeze")
    yield from _until(lambda: link.trap is None, 10.0)
    system.kill(fault.slot)
    system.links.run_in_thread(link.cut)  # the commit request is lost with the connection
    link.trap, link.trouble = None, Trouble()
    yield from _until_taken_over(system)


@_kind("replica killed, started at once", TAKE_OVER_S)
def _replica_restarted(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    system.kill(fault.slot)
    system.start(fault.slot)
    yield 0.0


@_kind("all replicas killed", TAKE_OVER_S + 3.0)
def _all_killed(system: SystemUnderFaults, _: Fault) -> Iterator[float]:
    for slot in system.running:
        system.kill(slot)
    yield 0.0


@_kind("replica paused past its session", TAKE_OVER_S, (SESSION_S + 1.0, SESSION_S + 3.0))
@_kind("replica paused past its transaction", TAKE_OVER_S, (LONG_PAUSE_S, LONG_PAUSE_S + 6.0))
def _replica_paused(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    system.signal(fault.slot, signal.SIGSTOP)
    yield fault.length_s
    system.signal(fault.slot, signal.SIGCONT)


@_kind("replica stopped", HAND_OVER_S)
def _replica_stopped(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from system.stop(fault.slot)
    yield from _until_taken_over(system)


@_kind("replica added", HAND_OVER_S)
def _replica_added(system: SystemUnderFaults, _: Fault) -> Iterator[float]:
    system.start(SLOTS - 1)
    yield from _until_taken_over(system)


@_kind("rolling restart", HAND_OVER_S)
def _rolling_restart(system: SystemUnderFaults, _: Fault) -> Iterator[float]:
    for slot in system.running:
        yield from system.stop(slot)
        system.start(slot)
        yield 5.0


@_kind("one, three, one", HAND_OVER_S)
def _one_three_one(system: SystemUnderFaults, _: Fault) -> Iterator[float]:
    yield from _run_only(system, [0])
    yield from _until_taken_over(system)
    yield from _run_only(system, range(SLOTS))
    yield from _until_taken_over(system)
    yield from _run_only(system, [1])
    yield from _until_taken_over(system)


@_kind("broker killed", BROKER_BACK_S, (0.0, 15.0))
def _broker_killed(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _in_transactions(system, system.kafka.kill)
    yield fault.length_s
    system.kafka.launch()
    yield from _until(lambda: system.kafka.answers)


@_kind("broker paused", BROKER_BACK_S, (2.0, 20.0))
def _broker_paused(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _in_transactions(system, lambda: system.kafka.send(signal.SIGSTOP))
    yield fault.length_s
    system.kafka.send(signal.SIGCONT)


@_kind("Redis flushed", REDIS_S)
def _redis_flushed(system: SystemUnderFaults, _: Fault) -> Iterator[float]:
    system.send_to_redis("FLUSHALL")
    yield 0.0


@_kind("Redis flushed, then a replica killed", TAKE_OVER_S)
def _redis_flushed_replica_killed(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    system.send_to_redis("FLUSHALL")
    system.kill(fault.slot)
    yield from _until_taken_over(system)


@_kind("Redis killed", REDIS_S, (0.0, 8.0))
def _redis_killed(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    system.redis.kill()
    yield fault.length_s
    system.redis.launch()


@_kind("Redis put back to an old snapshot, all replicas killed", TAKE_OVER_S + 3.0, (3.0, 15.0))
def _redis_restored(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    snapshot = system.folder / "snapshot"
    system.redis.take_snapshot(snapshot)
    yield fault.length_s
    system.redis.kill()
    for slot in system.running:
        system.kill(slot)
    system.redis.restore_snapshot(snapshot)
    system.redis.launch()
    yield from _until(lambda: system.redis.answers)


@_kind("Redis full", REDIS_S, (4.0, 10.0))
def _redis_full(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    system.send_to_redis("CONFIG SET maxmemory 1kb")
    yield fault.length_s
    system.send_to_redis("CONFIG SET maxmemory 0")


@_kind("Redis paused", REDIS_S, (4.0, 15.0))
def _redis_paused(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    system.redis.send(signal.SIGSTOP)
    yield fault.length_s
    system.redis.send(signal.SIGCONT)


@_kind("trainer killed", TRANSACTION_S + SCAN_S + RELOAD_S, (0.0, 3.0))
def _trainer_killed(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    system.kill_trainer()
    yield fault.length_s
    system.start_trainer()


@_kind("Kafka's connections cut", LINK_BACK_S, (0.0, 8.0))
def _kafka_cut(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _with_trouble(system, fault, "kafka", Trouble(refused=True), cut_first=True)


@_kind("Kafka's connections half-open", LINK_BACK_S, (2.0, 12.0))
def _kafka_half_open(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _with_trouble(system, fault, "kafka", Trouble(frozen=True))


@_kind("Kafka's replies lost", LINK_BACK_S, (2.0, 12.0))
def _kafka_deaf(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _with_trouble(system, fault, "kafka", Trouble(drops_replies=True))


@_kind("Kafka's replies delayed", LINK_BACK_S, (5.0, 10.0))
def _kafka_delayed(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _with_trouble(system, fault, "kafka", Trouble(delay_s=fault.length_s / 10))


@_kind("commit request lost", LINK_BACK_S)
def _commit_lost(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _at_next_commit(system, fault, Trap(END_TXN, "before"))


@_kind("commit done, reply lost", LINK_BACK_S)
def _commit_reply_lost(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _at_next_commit(system, fault, Trap(END_TXN, "after"))


@_kind("commit request late, in the next transaction", LINK_BACK_S)
def _commit_late(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    for released_by in (ADD_OFFSETS, TXN_OFFSET_COMMIT, END_TXN):
        yield from _at_next_commit(system, fault, Trap(END_TXN, "late", released_by))
        yield 1.0


@_kind("Redis' connections cut", REDIS_S, (0.0, 8.0))
def _redis_cut(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _with_trouble(system, fault, "redis", Trouble(refused=True), cut_first=True)


@_kind("Redis' replies lost", REDIS_S, (2.0, 8.0))
def _redis_deaf(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _with_trouble(system, fault, "redis", Trouble(drops_replies=True))


@_kind("Redis' replies delayed", REDIS_S, (2.0, 8.0))
def _redis_delayed(system: SystemUnderFaults, fault: Fault) -> Iterator[float]:
    yield from _with_trouble(system, fault, "redis", Trouble(delay_s=fault.length_s / 4))


def repair(system: SystemUnderFaults) -> None:
    """Repair everything: of two faults at once, one may have undone the repair of the other."""
    for server in (system.kafka, system.redis):
        server.send(signal.SIGCONT)
        server.launch()
    for link in (system.market_link, *system.kafka_links, *system.redis_links):
        link.trouble, link.trap = Trouble(), None
    for slot in system.running:
        system.signal(slot, signal.SIGCONT)
    system.send_to_redis("CONFIG SET maxmemory 0")
    system.start_trainer()


def restore_usual_replicas(system: SystemUnderFaults) -> Iterator[float]:
    """Run exactly the usual replicas again."""
    yield from _run_only(system, USUAL)


def _run_only(
    system: SystemUnderFaults, slots: range | list[int] | tuple[int, ...]
) -> Iterator[float]:
    for slot in slots:
        system.start(slot)
    for slot in system.running:
        if slot not in slots:
            yield from system.stop(slot)


def _until_taken_over(system: SystemUnderFaults) -> Iterator[float]:
    """Wait until the system has recovered, unless another fault leaves no replica."""
    has_recovered = system.recovered_from_now()
    yield from _until(lambda: not system.running or has_recovered())


def _until(happened: Callable[[], bool], deadline_s: float = 90.0) -> Iterator[float]:
    ends = time.monotonic() + deadline_s
    while not happened() and time.monotonic() < ends:
        yield 0.1


def _in_transactions(system: SystemUnderFaults, strike: Callable[[], None]) -> Iterator[float]:
    """Strike the broker while transactions are open, all of them before their commit.

    Not within the few milliseconds between the two records of a commit: there Kafka 4.3.1 may
    lose the second for ever (docs/evidence/chaos.md).
    """
    links = [system.market_link, *(system.link_of(slot, "kafka") for slot in system.running)]
    for link in links:
        link.trap = Trap(END_TXN, "freeze")
    yield from _until(lambda: all(link.trap is None for link in links), 3.0)
    strike()
    for link in links:
        link.trap, link.trouble = None, Trouble()


def _with_trouble(
    system: SystemUnderFaults,
    fault: Fault,
    server: str,
    trouble: Trouble,
    *,
    cut_first: bool = False,
) -> Iterator[float]:
    """Disturb one replica's link to a server; at the end cut its connections."""
    link = system.link_of(fault.slot, server)
    link.trouble = trouble
    if cut_first:
        system.links.run_in_thread(link.cut)
    yield fault.length_s
    link.trouble = Trouble()
    if not trouble.delay_s:
        system.links.run_in_thread(link.cut)


def _at_next_commit(system: SystemUnderFaults, fault: Fault, trap: Trap) -> Iterator[float]:
    """Spring a trap at the next commit of one replica."""
    link = system.link_of(fault.slot, "kafka")
    traps_sprung = link.traps_sprung
    link.trap = trap
    yield from _until(lambda: link.traps_sprung > traps_sprung, 10.0)
    link.trap = None
