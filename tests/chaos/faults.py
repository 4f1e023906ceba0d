"""The kinds of fault: what each does to the site, and how long predictions may stay away for it.

An act yields the seconds to wait before it goes on. When it ends, what it broke is whole again.
"""

import signal
import time
from collections.abc import Callable, Iterator
from typing import Final

from shared.adapters.kafka.producer import TRANSACTION_MS
from tests.chaos.deployment import SLOTS, USUAL, Site
from tests.chaos.plan import Fault, Kind
from tests.chaos.proxy import ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT, Trap, Trouble

SESSION_S: Final = 6.0  # SESSION_TIMEOUT_MS of the replicas here
TRANSACTION_S: Final = TRANSACTION_MS / 1000
SCAN_S: Final = 10.0  # the coordinator looks for transactions that are out of time
RELOAD_S: Final = 3.0  # rebalance, states from Redis, the rest from the log
TAKE_OVER_S: Final = SESSION_S + TRANSACTION_S + SCAN_S + RELOAD_S
HAND_OVER_S: Final = (
    10.0  # two rebalances, each heard of with a heartbeat, a reload, and a busy machine
)
DEADLINE_S: Final = 15.0  # of a transaction, in the writer
BROKER_S: Final = 10.0  # it starts, and its clients find it again
# After it: the members join anew, transactions that were open run out, and the first new one may find no answer.
BROKER_BACK_S: Final = BROKER_S + TAKE_OVER_S + DEADLINE_S
LINK_BACK_S: Final = TAKE_OVER_S + DEADLINE_S
REDIS_S: Final = 8.0  # three attempts of 2 s, and what lies between
LONG_PAUSE_S: Final = TRANSACTION_S + SCAN_S + 2.0

Act = Callable[[Site, Fault], Iterator[float]]
ACTS: Final[dict[str, Act]] = {}
KINDS: Final[dict[str, Kind]] = {}


def _kind(
    name: str, bound_s: float, lengths_s: tuple[float, float] = (0.0, 0.0)
) -> Callable[[Act], Act]:
    def entered(act: Act) -> Act:
        ACTS[name], KINDS[name] = act, Kind(name, lengths_s, bound_s)
        return act

    return entered


@_kind("replica killed", TAKE_OVER_S)
def _replica_killed(site: Site, fault: Fault) -> Iterator[float]:
    site.kill(fault.slot)
    yield from _taken_over(site)


@_kind("replica killed, started at once", TAKE_OVER_S)
def _replica_restarted(site: Site, fault: Fault) -> Iterator[float]:
    site.kill(fault.slot)
    site.start(fault.slot)
    yield 0.0


@_kind("all replicas killed", TAKE_OVER_S + 3.0)
def _all_killed(site: Site, _: Fault) -> Iterator[float]:
    for slot in site.running:
        site.kill(slot)
    yield 0.0


@_kind("replica paused past its session", TAKE_OVER_S, (SESSION_S + 1.0, SESSION_S + 3.0))
@_kind("replica paused past its transaction", TAKE_OVER_S, (LONG_PAUSE_S, LONG_PAUSE_S + 6.0))
def _replica_paused(site: Site, fault: Fault) -> Iterator[float]:
    site.signal(fault.slot, signal.SIGSTOP)
    yield fault.length_s
    site.signal(fault.slot, signal.SIGCONT)


@_kind("replica stopped", HAND_OVER_S)
def _replica_stopped(site: Site, fault: Fault) -> Iterator[float]:
    yield from site.stop(fault.slot)
    yield from _taken_over(site)


@_kind("replica added", HAND_OVER_S)
def _replica_added(site: Site, _: Fault) -> Iterator[float]:
    site.start(SLOTS - 1)
    yield from _taken_over(site)


@_kind("rolling restart", HAND_OVER_S)
def _rolling_restart(site: Site, _: Fault) -> Iterator[float]:
    for slot in site.running:
        yield from site.stop(slot)
        site.start(slot)
        yield 5.0


@_kind("one, three, one", HAND_OVER_S)
def _one_three_one(site: Site, _: Fault) -> Iterator[float]:
    yield from _only(site, [0])
    yield from _taken_over(site)
    yield from _only(site, range(SLOTS))
    yield from _taken_over(site)
    yield from _only(site, [1])
    yield from _taken_over(site)


@_kind("broker killed", BROKER_BACK_S, (0.0, 15.0))
def _broker_killed(site: Site, fault: Fault) -> Iterator[float]:
    yield from _in_transactions(site, site.kafka.kill)
    yield fault.length_s
    site.kafka.launch()
    yield from _until(lambda: site.kafka.answers)


@_kind("broker paused", BROKER_BACK_S, (2.0, 20.0))
def _broker_paused(site: Site, fault: Fault) -> Iterator[float]:
    yield from _in_transactions(site, lambda: site.kafka.send(signal.SIGSTOP))
    yield fault.length_s
    site.kafka.send(signal.SIGCONT)


@_kind("Redis flushed", REDIS_S)
def _redis_flushed(site: Site, _: Fault) -> Iterator[float]:
    site.tell_redis("FLUSHALL")
    yield 0.0


@_kind("Redis flushed, then a replica killed", TAKE_OVER_S)
def _redis_flushed_replica_killed(site: Site, fault: Fault) -> Iterator[float]:
    site.tell_redis("FLUSHALL")
    site.kill(fault.slot)
    yield from _taken_over(site)


@_kind("Redis killed", REDIS_S, (0.0, 8.0))
def _redis_killed(site: Site, fault: Fault) -> Iterator[float]:
    site.redis.kill()
    yield fault.length_s
    site.redis.launch()


@_kind("Redis put back to an old snapshot, all replicas killed", TAKE_OVER_S + 3.0, (3.0, 15.0))
def _redis_restored(site: Site, fault: Fault) -> Iterator[float]:
    snapshot = site.folder / "snapshot"
    site.redis.copied(snapshot)
    yield fault.length_s
    site.redis.kill()
    for slot in site.running:
        site.kill(slot)
    site.redis.put_back(snapshot)
    site.redis.launch()
    yield from _until(lambda: site.redis.answers)


@_kind("Redis full", REDIS_S, (4.0, 10.0))
def _redis_full(site: Site, fault: Fault) -> Iterator[float]:
    site.tell_redis("CONFIG SET maxmemory 1kb")
    yield fault.length_s
    site.tell_redis("CONFIG SET maxmemory 0")


@_kind("Redis paused", REDIS_S, (4.0, 15.0))
def _redis_paused(site: Site, fault: Fault) -> Iterator[float]:
    site.redis.send(signal.SIGSTOP)
    yield fault.length_s
    site.redis.send(signal.SIGCONT)


@_kind("trainer killed", TRANSACTION_S + SCAN_S + RELOAD_S, (0.0, 3.0))
def _trainer_killed(site: Site, fault: Fault) -> Iterator[float]:
    site.kill_trainer()
    yield fault.length_s
    site.start_trainer()


@_kind("Kafka's connections cut", LINK_BACK_S, (0.0, 8.0))
def _kafka_cut(site: Site, fault: Fault) -> Iterator[float]:
    yield from _troubled(site, fault, "kafka", Trouble(refused=True), cut_first=True)


@_kind("Kafka's connections half-open", LINK_BACK_S, (2.0, 12.0))
def _kafka_half_open(site: Site, fault: Fault) -> Iterator[float]:
    yield from _troubled(site, fault, "kafka", Trouble(frozen=True))


@_kind("Kafka's replies lost", LINK_BACK_S, (2.0, 12.0))
def _kafka_deaf(site: Site, fault: Fault) -> Iterator[float]:
    yield from _troubled(site, fault, "kafka", Trouble(deaf=True))


@_kind("Kafka's replies delayed", LINK_BACK_S, (5.0, 10.0))
def _kafka_delayed(site: Site, fault: Fault) -> Iterator[float]:
    yield from _troubled(site, fault, "kafka", Trouble(delay_s=fault.length_s / 10))


@_kind("commit request lost", LINK_BACK_S)
def _commit_lost(site: Site, fault: Fault) -> Iterator[float]:
    yield from _trapped(site, fault, Trap(END_TXN, "before"))


@_kind("commit done, reply lost", LINK_BACK_S)
def _commit_reply_lost(site: Site, fault: Fault) -> Iterator[float]:
    yield from _trapped(site, fault, Trap(END_TXN, "after"))


@_kind("commit request late, in the next transaction", LINK_BACK_S)
def _commit_late(site: Site, fault: Fault) -> Iterator[float]:
    for meets in (ADD_OFFSETS, TXN_OFFSET_COMMIT, END_TXN):
        yield from _trapped(site, fault, Trap(END_TXN, "late", meets))
        yield 1.0


@_kind("Redis' connections cut", REDIS_S, (0.0, 8.0))
def _redis_cut(site: Site, fault: Fault) -> Iterator[float]:
    yield from _troubled(site, fault, "redis", Trouble(refused=True), cut_first=True)


@_kind("Redis' replies lost", REDIS_S, (2.0, 8.0))
def _redis_deaf(site: Site, fault: Fault) -> Iterator[float]:
    yield from _troubled(site, fault, "redis", Trouble(deaf=True))


@_kind("Redis' replies delayed", REDIS_S, (2.0, 8.0))
def _redis_delayed(site: Site, fault: Fault) -> Iterator[float]:
    yield from _troubled(site, fault, "redis", Trouble(delay_s=fault.length_s / 4))


def mended(site: Site) -> None:
    """Make whole what two faults at once may have left broken."""
    for server in (site.kafka, site.redis):
        server.send(signal.SIGCONT)
        server.launch()
    for link in (site.market_link, *site.kafka_links, *site.redis_links):
        link.trouble, link.trap = Trouble(), None
    for slot in site.running:
        site.signal(slot, signal.SIGCONT)
    site.tell_redis("CONFIG SET maxmemory 0")
    site.start_trainer()


def back_to_usual(site: Site) -> Iterator[float]:
    """After a fault: the usual replicas, no more and no less."""
    yield from _only(site, USUAL)


def _only(site: Site, slots: range | list[int] | tuple[int, ...]) -> Iterator[float]:
    for slot in slots:
        site.start(slot)
    for slot in site.running:
        if slot not in slots:
            yield from site.stop(slot)


def _taken_over(site: Site) -> Iterator[float]:
    """Until the groups are shared out and candles of now are predicted from; not if another fault leaves no replica."""
    is_calm = site.calm_from_now()
    yield from _until(lambda: not site.running or is_calm())


def _until(happened: Callable[[], bool], deadline_s: float = 90.0) -> Iterator[float]:
    ends = time.monotonic() + deadline_s
    while not happened() and time.monotonic() < ends:
        yield 0.1


def _in_transactions(site: Site, hurt: Callable[[], None]) -> Iterator[float]:
    """Hurt the broker while transactions are open, all of them before their commit.

    Not in the few milliseconds between a commit's two records: there Kafka 4.3.1 may forget the second for ever, which
    docs/evidence/chaos.md tells.
    """
    links = [site.market_link, *(site.link_of(slot, "kafka") for slot in site.running)]
    for link in links:
        link.trap = Trap(END_TXN, "freeze")
    yield from _until(lambda: all(link.trap is None for link in links), 3.0)
    hurt()
    for link in links:
        link.trap, link.trouble = None, Trouble()


def _troubled(
    site: Site, fault: Fault, server: str, trouble: Trouble, *, cut_first: bool = False
) -> Iterator[float]:
    """One replica's link to a server; in the end, what waits in it is cut off."""
    link = site.link_of(fault.slot, server)
    link.trouble = trouble
    if cut_first:
        site.links.do(link.cut)
    yield fault.length_s
    link.trouble = Trouble()
    if not trouble.delay_s:
        site.links.do(link.cut)


def _trapped(site: Site, fault: Fault, trap: Trap) -> Iterator[float]:
    """At the next commit of one replica."""
    link = site.link_of(fault.slot, "kafka")
    sprung = link.sprung
    link.trap = trap
    yield from _until(lambda: link.sprung > sprung, 10.0)
    link.trap = None
