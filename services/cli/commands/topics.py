"""`ulstm topics`: create the topics, and list the rights that each service needs."""

import shlex
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from services.cli.cli_options import AsJson
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, print_json, print_text
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import PredictorGroupSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.rights import Principal, Right, rights_of

app = typer.Typer(no_args_is_help=True)


@app.command("create", epilog=examples("ulstm topics create"))
def create_command(context: typer.Context, as_json: AsJson = False) -> None:
    """Create the topics that are missing, and check those that are there.

    The services do so themselves as they start. Where they may not, somebody who may runs this
    once: it needs the rights of `operator`.
    """
    settings = open_deployment(context.obj)
    ensure_topics(settings.kafka, settings.topics)
    names = list(settings.topics.specifications())
    if as_json:
        print_json({"topics": names})
    else:
        print_text("\n".join(names))


@app.command(
    "rights",
    epilog=examples(
        "ulstm topics rights",
        "ulstm topics rights predictor --commands",
        "ulstm topics rights consumer --group my-group --principal User:me --commands",
    ),
)
def rights_command(
    context: typer.Context,
    service: Annotated[
        Principal | None, typer.Argument(help="Whose rights; without it: everyone's.")
    ] = None,
    group: Annotated[
        str, typer.Option(help="The group of a consumer; default: my-group.")
    ] = "my-group",
    principal: Annotated[
        str, typer.Option(help="Kafka's name of the user; default: User: and the service's name.")
    ] = "",
    as_commands: Annotated[
        bool, typer.Option("--commands", help="Print a `kafka-acls` command for each right.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the rights (ACLs) that each service needs on Kafka, and no more."""
    settings = PredictorGroupSettings.from_env(context.obj)
    wanted = [service] if service is not None else list(Principal)
    rights = [
        (one, right)
        for one in wanted
        for right in rights_of(
            one, settings.topics, group if one is Principal.CONSUMER else settings.consumer_group
        )
    ]
    if as_json:
        print_json([_to_json(one, principal, right) for one, right in rights], indent=2)
    elif as_commands:
        for one, right in rights:
            print_text(_to_command(str(settings.kafka), _user(one, principal), right))
    else:
        PlainConsole().print(_table(rights))


def _user(service: Principal, principal: str) -> str:
    return principal or f"User:{service}"


def _to_json(service: Principal, principal: str, right: Right) -> dict[str, Any]:
    return {
        "service": service.value,
        "principal": _user(service, principal),
        "resource": right.resource,
        "name": right.name,
        "pattern": _pattern(right),
        "operations": list(right.operations),
    }


def _to_command(servers: str, principal: str, right: Right) -> str:
    return shlex.join(_words(servers, principal, right))


def _words(servers: str, principal: str, right: Right) -> Iterator[str]:
    yield from ("kafka-acls", "--bootstrap-server", servers, "--add")
    yield from ("--allow-principal", principal)
    for operation in right.operations:
        yield from ("--operation", operation)
    yield from (f"--{right.resource}", right.name, "--resource-pattern-type", _pattern(right))


def _pattern(right: Right) -> str:
    return "prefixed" if right.is_prefix else "literal"


def _table(rights: list[tuple[Principal, Right]]) -> Table:
    table = Table("service", "resource", "name", "may")
    for service, right in rights:
        name = f"{right.name}*" if right.is_prefix else right.name
        table.add_row(service.value, right.resource, name, ", ".join(right.operations))
    return table
