"""`ulstm symbols`: who is followed, changed while the producer runs."""

import time
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict
from http.client import HTTPException
from typing import Annotated, Final

import typer
from rich.console import Console

from services.cli.cli_options import AsJson
from services.cli.completion import complete_symbol
from services.cli.examples import examples
from services.cli.symbol_table import rows_of_log, symbols_table, with_standings
from services.cli.terminal import PlainConsole, print_json, print_text, print_warning
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.schemas.standings import MAX_PAGE_BYTES, StandingsMessage, decode_standings
from shared.core.control import SymbolAction, SymbolControl
from shared.core.errors import BadInput, BadSetting, Unavailable
from shared.core.symbols import parse_symbols
from shared.core.topics import interval_ms
from shared.log.control_topic import ControlTopic
from shared.log.positions import read_symbol_positions

app = typer.Typer(no_args_is_help=True)

REQUEST_S: Final = 5.0
ProducerUrl = Annotated[
    str,
    typer.Option(
        "--producer", envvar="PRODUCER_URL", help="The address of its metrics and health."
    ),
]
Names = Annotated[
    list[str],
    typer.Argument(
        help="Such as BTCUSDT; more than one may be given.", autocompletion=complete_symbol
    ),
]


@app.command(
    "list",
    epilog=examples(
        "ulstm symbols list", "ulstm symbols list --producer http://127.0.0.1:9100 --json"
    ),
)
def list_command(
    context: typer.Context, producer: ProducerUrl = "", as_json: AsJson = False
) -> None:
    """List the symbols followed or wanted, lagging ones first.

    The log says who is followed, halted or late. Why a symbol lags, only the producer knows.
    """
    settings, console = (
        open_deployment(context.obj, "klines", "control"),
        PlainConsole(stderr=True),
    )
    control = _open_control(settings).refresh()
    symbols = control.members | control.wishes
    positions = read_symbol_positions(settings.kafka, settings.topics, settings.codec, symbols)
    rows = rows_of_log(control, positions, interval_ms(settings.interval))
    page = _read_standings(producer, console) if producer else None
    rows = with_standings(rows, () if page is None else page.symbols)
    if as_json:
        print_json([asdict(row) for row in rows], indent=2)
    else:
        PlainConsole().print(symbols_table(rows))


@app.command(
    "add", epilog=examples("ulstm symbols add SOLUSDT", "ulstm symbols add SOLUSDT DOGEUSDT --json")
)
def add_command(context: typer.Context, symbols: Names, as_json: AsJson = False) -> None:
    """Follow symbols, for ever: also one that the exchange does not list yet."""
    names = _publish(context.obj, symbols, "follow")
    if as_json:
        print_json({"followed": names})
    else:
        listed = ", ".join(names)
        print_text(f"{listed}: followed from now on, as far as the exchange lists them")


@app.command("remove", epilog=examples("ulstm symbols remove DOGEUSDT"))
def remove_command(context: typer.Context, symbols: Names, as_json: AsJson = False) -> None:
    """Follow symbols no more, whatever SYMBOLS says. Their candles stay, their state is released.

    `ulstm symbols add` takes it back.
    """
    names = _publish(context.obj, symbols, "unfollow")
    if as_json:
        print_json({"removed": names})
    else:
        print_text(f"{', '.join(names)}: followed no more")


def _publish(environ: Mapping[str, str], symbols: list[str], action: SymbolAction) -> list[str]:
    names = list(parse_symbols(",".join(symbols), "SYMBOLS"))
    if not names:
        raise BadSetting("no symbol is named; give one such as BTCUSDT")
    settings = open_deployment(environ)
    ensure_topics(settings.kafka, settings.topics)
    now_ms = time.time_ns() // 1_000_000
    _open_control(settings).publish([SymbolControl(name, action, now_ms) for name in names])
    return names


def _open_control(settings: ServiceSettings) -> ControlTopic:
    return ControlTopic(settings.kafka, settings.topics, "cli")


def _read_standings(address: str, console: Console) -> StandingsMessage | None:
    """Return the producer's standings; None, with a message, if it does not answer."""
    if not address.startswith(("http://", "https://")):
        raise BadSetting(f"--producer is {address!r}; give one such as http://127.0.0.1:9100")
    try:
        return decode_standings(_get(f"{address.rstrip('/')}/symbols"))
    except (BadInput, Unavailable) as error:
        print_warning(console, f"{error}; what follows is from the log alone")
        return None


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=REQUEST_S) as response:
            return bytes(response.read(MAX_PAGE_BYTES + 1))
    except (OSError, ValueError, HTTPException) as error:
        raise Unavailable(f"{url} does not answer ({error})") from error
