"""`ulstm dashboard`: the live page of any deployment."""

import sys
import threading
from collections.abc import Mapping
from typing import Annotated, Final

import typer

from services.cli.examples import examples
from services.cli.local.page_address import (
    OpenPage,
    choose_port,
    is_listening,
    open_page,
    page_address,
)
from services.cli.service_process import run_service
from services.cli.terminal import print_message
from shared.adapters.retry import wait_until

EXAMPLES: Final = examples("ulstm dashboard", "ulstm dashboard --port 8071 --no-open")
_LISTENS_S: Final = 30.0


def dashboard_command(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(
            envvar="DASHBOARD_PORT", min=0, max=65_535, help="Port of the page; default: 8070."
        ),
    ] = None,
    is_opened: OpenPage = None,
) -> None:
    """Serve the live page of the deployment that KAFKA_BOOTSTRAP_SERVERS names, until Ctrl-C.

    It only reads, and may be started before the deployment: it waits for Kafka and its topics.
    """
    given = {} if port is None else {"DASHBOARD_PORT": str(port)}
    environ = {**context.obj, **given}
    environ["DASHBOARD_PORT"] = str(choose_port(environ))
    announcing = threading.Thread(target=_announce, args=(environ, is_opened), daemon=True)
    announcing.start()
    run_service("services.dashboard", [], environ)


def _announce(environ: Mapping[str, str], is_wanted: bool | None) -> None:
    """Print the address as soon as the page can be opened, and open it."""
    port = int(environ["DASHBOARD_PORT"])
    if wait_until(lambda: is_listening(port), timeout_s=_LISTENS_S, interval_s=0.1):
        address = page_address(port)
        print_message(f"Live page: {address}")
        open_page(address, environ, is_wanted=is_wanted, is_terminal=sys.stderr.isatty())
