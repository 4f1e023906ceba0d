"""`ulstm credentials`: certificates, passwords and rights of a deployment of one's own."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from services.cli.cli_options import AsJson
from services.cli.credentials.application import apply_credentials
from services.cli.credentials.creation import ServerHosts, create_credentials
from services.cli.credentials.folder import SecretFolder
from services.cli.examples import examples
from services.cli.terminal import print_json, print_text
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import PredictorGroupSettings
from shared.core.errors import BadSetting

_HOST: Final = re.compile(r"[A-Za-z0-9.:_-]{1,253}")  # IPv6 too
_THIS_MACHINE = ["localhost", "127.0.0.1"]

app = typer.Typer(no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="The folder that keeps them, outside a repository.")]


@app.command(
    "create",
    epilog=examples(
        "ulstm credentials create credentials",
        "ulstm credentials create credentials --kafka-host kafka-1.example --redis-host redis",
    ),
)
def create_command(
    folder: Folder,
    kafka_host: Annotated[
        list[str] | None,
        typer.Option(help="A name or address of Kafka, besides this machine's; may be repeated."),
    ] = None,
    redis_host: Annotated[
        list[str] | None, typer.Option(help="A name or address of Redis, likewise.")
    ] = None,
    group_reads: Annotated[
        bool, typer.Option("--group-reads", help="Let the files' group read them, not you alone.")
    ] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="Issue the servers' certificates anew.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create certificates and passwords; those that are there are kept.

    The folder has a folder for each server and each user, with all that it needs and no more.
    """
    _check_folder(folder)
    _check_hosts(kafka_host or [], "--kafka-host")
    _check_hosts(redis_host or [], "--redis-host")
    secrets = SecretFolder(folder, group_reads=group_reads)
    hosts = ServerHosts(
        [*(kafka_host or []), *_THIS_MACHINE], [*(redis_host or []), *_THIS_MACHINE]
    )
    # A clock that is a little behind must not find them of the future.
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    create_credentials(secrets, hosts, now, renew=renew)
    if as_json:
        print_json({"written": secrets.written})
    else:
        print_text("\n".join(secrets.written) or f"{folder} has everything")


@app.command(
    "apply",
    epilog=examples(
        "ulstm credentials apply credentials",
        "ulstm credentials apply credentials --group my-group",
    ),
)
def apply_command(
    context: typer.Context,
    folder: Folder,
    group: Annotated[
        str, typer.Option(help="The group that the user `consumer` reads predictions with.")
    ] = "my-group",
    as_json: AsJson = False,
) -> None:
    """Set each user's password and rights in Kafka, and create the topics.

    It connects as an administrator: KAFKA_SASL_USERNAME is `admin`, or whoever may do so. Rights
    of these users that are not on the list of `ulstm topics rights` are taken away.
    """
    open_deployment(context.obj)
    settings = PredictorGroupSettings.from_env(context.obj)
    users = apply_credentials(settings, folder, group)
    if as_json:
        print_json({"users": users, "topics": list(settings.topics.specifications())})
    else:
        print_text(f"{', '.join(users)}: passwords and rights are set; the topics are there")


def _check_folder(folder: Path) -> None:
    if not str(folder).isprintable():
        raise BadSetting(f"FOLDER is {str(folder)!r}: name one that can be shown and typed")


def _check_hosts(hosts: Sequence[str], option: str) -> None:
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise BadSetting(f"{option} is {host!r}: give a name such as server-1.example")
