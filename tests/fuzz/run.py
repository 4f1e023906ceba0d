"""Run a decoder on damaged input, in a process of its own: its errors, its memory, its time."""

import hashlib
import logging
import multiprocessing
import resource
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.bombs import bombs
from tests.fuzz.inputs import inputs
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import MB, Target

MAX_CASE_S: Final = 10.0  # of CPU time, on a machine that does other things too
_FUSE: Final = 8 * 1024 * MB  # of address space: no case may take the machine's memory
_BLOCK: Final = 30  # cases of a seed
_BLOCKS: Final = 1_000_000  # seeds of a round
_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.fuzz.run"])
KEPT: Final = Path("build/fuzz")


class TooMuch(Exception):
    """Raised for a decoder that took too much time or memory."""


@dataclass(slots=True)
class FuzzResult:
    """What a decoder did with its input."""

    name: str
    cases: int = 0
    slowest_s: float = 0.0
    grown_mb: float = 0.0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Round:
    """Damaged samples of a target, drawn from a seed, for so many seconds; its bombs before."""

    name: str
    seed: int
    limit_s: float
    with_bombs: bool = False


def run_round(one: Round) -> FuzzResult:
    """Decode a block of damaged samples, and others until the time is over."""
    ends_s, number = time.monotonic() + one.limit_s, one.seed * _BLOCKS
    target = TARGETS[one.name]
    with _watched(target) as outcome:
        for bomb in bombs(target) if one.with_bombs else ():
            _decode(target, bomb, outcome)
        _run_block(outcome, number)
        while time.monotonic() < ends_s and not outcome.failures:
            number += 1
            _run_block(outcome, number)
    return outcome


def _run_block(outcome: FuzzResult, number: int) -> None:
    target = TARGETS[outcome.name]

    @seed(number)
    @settings(
        max_examples=_BLOCK,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(inputs(target))
    def check(data: bytes) -> None:
        _decode_or_raise(target, data, outcome)

    try:
        check()
    except Exception:  # of whatever kind: it is what is looked for
        outcome.failures.append(traceback.format_exc())


def run_all(rounds: Iterable[Round], workers: int) -> Iterator[FuzzResult]:
    """Run each round in a process of its own; yield the outcomes as they come."""
    with ThreadPool(workers) as threads:
        yield from threads.imap_unordered(_run_in_process, rounds)


def _run_in_process(one: Round) -> FuzzResult:
    """Run a round; a process that does not live to tell is a failure too."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_send_outcome, args=(sender, one))
    process.start()
    sender.close()
    with receiver:
        try:
            outcome: FuzzResult = receiver.recv()
        except EOFError:
            process.join()
            text = f"{one.name}: its process ended with {process.exitcode}: {_current(one.name)}"
            return FuzzResult(one.name, failures=[text])
    process.join()
    return outcome


def _send_outcome(sender: Connection, one: Round) -> None:
    sender.send(run_round(one))


@contextmanager
def _watched(target: Target) -> Iterator[FuzzResult]:
    """Yield an outcome, in a process whose address space is bounded."""
    outcome = FuzzResult(target.name)
    logging.disable()  # some decoders log what they refuse
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_FUSE, hard))
    KEPT.mkdir(parents=True, exist_ok=True)
    yield outcome
    _current(target.name).unlink(missing_ok=True)


def _current(name: str) -> Path:
    return KEPT / f"current-{name}"


def _peak_mb() -> float:
    """Return the most memory that this process has had since the last `_forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _decode(target: Target, data: bytes, outcome: FuzzResult) -> None:
    try:
        _decode_or_raise(target, data, outcome)
    except Exception:  # of whatever kind: it is what is looked for
        outcome.failures.append(traceback.format_exc())


def _decode_or_raise(target: Target, data: bytes, outcome: FuzzResult) -> None:
    """Decode; raise foreign errors, and keep the bytes that led to one."""
    outcome.cases += 1
    _current(target.name).write_bytes(data)  # to be found if it ends this process
    _forget_peak()
    before_mb, began_s = _peak_mb(), time.process_time()
    try:
        target.decode(data)
    except target.errors:
        pass
    except Exception as error:
        error.add_note(f"{target.name}: the bytes are in {_keep(target, data)}")
        raise
    took_s, grown_mb = time.process_time() - began_s, _peak_mb() - before_mb
    outcome.slowest_s = max(outcome.slowest_s, took_s)
    outcome.grown_mb = max(outcome.grown_mb, grown_mb)
    if took_s > MAX_CASE_S or grown_mb > target.max_mb:
        text = f"{took_s:.1f} s of CPU time and {grown_mb:.0f} MB for {len(data)} bytes"
        raise TooMuch(f"{target.name}: {text}, kept in {_keep(target, data)}")


def _keep(target: Target, data: bytes) -> Path:
    path = KEPT / f"{target.name}-{hashlib.sha256(data).hexdigest()[:8]}"
    path.write_bytes(data)
    return path
