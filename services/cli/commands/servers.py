"""`ulstm servers`: Kafka and Redis in the background, with their data in a folder."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from services.cli.cli_options import AsJson
from services.cli.examples import examples
from services.cli.terminal import print_json, print_message, print_text
from shared.local_servers.data_folder import Servers
from shared.local_servers.launcher import (
    half_running_servers,
    running_servers,
    start,
    stop_servers,
)

DEFAULT_DATA = ".ulstm"

app = typer.Typer(no_args_is_help=True)
Data = Annotated[Path, typer.Option(help="The folder for the servers' data.")]


@app.command(
    "start",
    epilog=examples(
        "ulstm servers start",
        "ulstm servers start --data kept --kafka-port 19092 --redis-port 16379",
    ),
)
def start_command(
    data: Data = Path(DEFAULT_DATA),
    kafka_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Kafka's port on 127.0.0.1.")
    ] = 9092,
    redis_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Redis's port on 127.0.0.1.")
    ] = 6379,
    as_json: AsJson = False,
) -> None:
    """Start Kafka and Redis, and return once both answer. If only one runs, it is started anew."""
    servers = running_servers(data)
    if servers is None:
        if half_running_servers(data):
            print_message(_describe_half(data, "it is stopped first"))
            stop_servers(data)
        servers = start(data, kafka_port=kafka_port, redis_port=redis_port).servers
    _print_servers(servers, as_json=as_json)


@app.command("stop", epilog=examples("ulstm servers stop", "ulstm servers stop --data kept"))
def stop_command(data: Data = Path(DEFAULT_DATA), as_json: AsJson = False) -> None:
    """Stop both; their data stays in the folder."""
    is_stopped = stop_servers(data)
    if as_json:
        print_json({"stopped": is_stopped})
    else:
        print_text("stopped" if is_stopped else f"nothing runs on {data}")


@app.command(
    "status", epilog=examples("ulstm servers status", "ulstm servers status --data kept --json")
)
def status_command(data: Data = Path(DEFAULT_DATA), as_json: AsJson = False) -> None:
    """Show the addresses of the servers. Exit code 1: they do not run."""
    servers = running_servers(data)
    if servers or as_json:
        _print_servers(servers, as_json=as_json)
    # Not on stdout, which a shell evaluates.
    if half_running_servers(data):
        advice = "`ulstm servers start` starts both, `ulstm servers stop` stops it"
        print_message(_describe_half(data, advice))
    elif servers is None and not as_json:
        print_message(f"nothing runs on {data}")
    raise typer.Exit(0 if servers else 1)


def with_running_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment, with the addresses of `ulstm servers` where it names none."""
    running = running_servers(Path(DEFAULT_DATA))
    if running is None:
        return dict(environ)
    found = {"KAFKA_BOOTSTRAP_SERVERS": running.kafka_bootstrap, "REDIS_URL": running.redis_url}
    return {**found, **environ}


def _describe_half(data: Path, then: str) -> str:
    return f"only {' and '.join(half_running_servers(data))} runs on {data}: {then}"


def _print_servers(servers: Servers | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"running": servers is not None, **(asdict(servers) if servers else {})})
    elif servers:
        print_text(_exports(servers))


def _exports(servers: Servers) -> str:
    return (
        f"export KAFKA_BOOTSTRAP_SERVERS={servers.kafka_bootstrap}\n"
        f"export REDIS_URL={servers.redis_url}"
    )
