"""`ulstm servers`: Kafka and Redis in the background, with their data in a folder."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from services.cli.cli_options import AsJson
from shared.local_servers.data_folder import Servers
from shared.local_servers.launcher import running_servers, start, stop_servers

DEFAULT_DATA = ".ulstm"

app = typer.Typer(no_args_is_help=True)
Data = Annotated[Path, typer.Option(help="The folder for the servers' data.")]


@app.command("start")
def start_command(
    data: Data = Path(DEFAULT_DATA),
    kafka_port: Annotated[int, typer.Option(help="Kafka's port on 127.0.0.1.")] = 9092,
    redis_port: Annotated[int, typer.Option(help="Redis's port on 127.0.0.1.")] = 6379,
) -> None:
    """Start Kafka and Redis, and return once both answer."""
    servers = running_servers(data)
    if servers is None:
        servers = start(data, kafka_port=kafka_port, redis_port=redis_port).servers
    print(_exports(servers))


@app.command("stop")
def stop_command(data: Data = Path(DEFAULT_DATA)) -> None:
    """Stop both; their data stays in the folder."""
    print("stopped" if stop_servers(data) else f"nothing runs on {data}")


@app.command("status")
def status_command(data: Data = Path(DEFAULT_DATA), as_json: AsJson = False) -> None:
    """Show the addresses of the servers. Exit code 1: they do not run."""
    servers = running_servers(data)
    if as_json:
        print(json.dumps({"running": servers is not None, **(asdict(servers) if servers else {})}))
    elif servers:
        print(_exports(servers))
    else:
        # Not on stdout, which a shell evaluates.
        typer.echo(f"nothing runs on {data}", err=True)
    raise typer.Exit(0 if servers else 1)


def _exports(servers: Servers) -> str:
    return (
        f"export KAFKA_BOOTSTRAP_SERVERS={servers.kafka_bootstrap}\n"
        f"export REDIS_URL={servers.redis_url}"
    )
