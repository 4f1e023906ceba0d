"""What a shell completes: symbols and model versions, as far as the log gives them in a moment.

A shell waits for the answer at each press of the key: whatever is not known by then is left out,
and no error is shown.
"""

import re
import threading
import time
from collections.abc import Callable
from typing import Final

import typer

from services.cli.commands.servers import with_running_servers
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reachability import check_reachable
from shared.adapters.kafka.tail import TopicTail
from shared.core.errors import UlstmError
from shared.core.symbols import is_symbol, normalise_symbol
from shared.core.topics import Topics

ANSWER_S: Final = 0.8  # at most
_CONNECT_S: Final = 0.3
_POLL_S: Final = 0.1
_BLOCK: Final = 500
_TAIL_OF_KLINES: Final = 400  # records per partition: a few closes of a deployment
_TAIL_OF_MODELS: Final = 20  # they are large
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def complete_symbol(context: typer.Context, incomplete: str) -> list[str]:
    """Return the symbols in the log that begin with a text."""
    wanted = normalise_symbol(incomplete)
    keys = _read_keys(context, lambda topics: topics.klines, _TAIL_OF_KLINES)
    return sorted(key for key in keys if is_symbol(key) and key.startswith(wanted))


def complete_symbols(context: typer.Context, incomplete: str) -> list[str]:
    """Return comma-separated lists, each with one more symbol."""
    head, comma, last = incomplete.rpartition(",")
    return [f"{head}{comma}{symbol}" for symbol in complete_symbol(context, last)]


def complete_version(context: typer.Context, incomplete: str) -> list[str]:
    """Return the newest model versions in the log that begin with a text."""
    keys = _read_keys(context, lambda topics: topics.models, _TAIL_OF_MODELS)
    versions = (key for key in keys if _VERSION.fullmatch(key) and "T" in key)
    return sorted((each for each in versions if each.startswith(incomplete)), reverse=True)


def _read_keys(context: typer.Context, topic: Callable[[Topics], str], tail: int) -> set[str]:
    """Return the keys at the end of a topic; those that were found in time."""
    found: set[str] = set()
    environ = with_running_servers(context.find_root().obj or {})
    reading = threading.Thread(target=_collect, args=(environ, topic, tail, found), daemon=True)
    reading.start()
    reading.join(ANSWER_S)
    return set(found)


def _collect(
    environ: dict[str, str], topic: Callable[[Topics], str], tail: int, found: set[str]
) -> None:
    ends = time.monotonic() + ANSWER_S
    try:
        settings = ServiceSettings.from_env(environ)
        where = settings.kafka
        check_reachable(where, _CONNECT_S)
        with TopicTail(where, [topic(settings.topics)], tail) as records:
            is_complete = False
            while not is_complete and time.monotonic() < ends:
                block = records.poll(_BLOCK, _POLL_S)
                found.update((one.record.key or b"").decode("utf-8", "replace") for one in block)
                is_complete = not block and bool(found)
    except UlstmError:
        return
