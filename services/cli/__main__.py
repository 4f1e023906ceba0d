"""`ulstm`: the command line."""

import os
import sys

import typer

from services.cli.audit import command as verify
from services.cli.commands import (
    backtest,
    baskets,
    copy_log,
    credentials,
    dashboard,
    dead_letters,
    export,
    import_candles,
    models,
    predict,
    replay,
    schema,
    search,
    servers,
    skip,
    symbols,
    topics,
    train,
    up,
    watch,
)
from services.cli.terminal import (
    PlainConsole,
    end_at_closed_pipe,
    plain_text,
    prepared_terminal,
    print_message,
)
from shared.adapters.passwords import hide_passwords
from shared.core.errors import BadSetting, UlstmError

app = typer.Typer(
    help="An LSTM that keeps learning while it is used.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Completion sees no callback: it takes the environment from here.
    context_settings={"obj": os.environ},
)
app.add_typer(servers.app, name="servers", help="Kafka and Redis on this machine, without Docker.")
app.add_typer(
    topics.app, name="topics", help="The topics on Kafka, and the rights that services need there."
)
app.add_typer(symbols.app, name="symbols", help="Who is followed, changed while it runs.")
app.add_typer(models.app, name="models", help="The model versions in the log.")
app.add_typer(
    baskets.app, name="baskets", help="Symbols that move together, for the market's moves."
)
app.add_typer(
    dead_letters.app,
    name="dead-letters",
    help="Rejected records: list them, redrive them into the log.",
)
app.add_typer(export.app, name="export", help="Predictions and candles as Parquet or CSV.")
app.add_typer(
    credentials.app, name="credentials", help="Certificates, passwords and rights of users."
)
app.command("up", epilog=up.EXAMPLES)(up.up_command)
app.command("import", epilog=import_candles.EXAMPLES)(import_candles.import_command)
app.command("copy", epilog=copy_log.EXAMPLES)(copy_log.copy_command)
app.command("train", epilog=train.EXAMPLES)(train.train_command)
app.command("search", epilog=search.EXAMPLES)(search.search_command)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict_command)
app.command("dashboard", epilog=dashboard.EXAMPLES)(dashboard.dashboard_command)
app.command("watch", epilog=watch.EXAMPLES)(watch.watch_command)
app.command("replay", epilog=replay.EXAMPLES)(replay.replay_command)
app.command("schema", epilog=schema.EXAMPLES)(schema.schema_command)
app.command("skip", epilog=skip.EXAMPLES)(skip.skip_command)
app.command("verify", epilog=verify.EXAMPLES)(verify.verify_command)
app.command("backtest", epilog=backtest.EXAMPLES)(backtest.backtest_command)


@app.callback()
def environment(context: typer.Context) -> None:
    """Pass the environment to the commands, with the addresses of `ulstm servers` if they run."""
    context.obj = servers.with_running_servers(context.obj)


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 the command failed, 2 wrong use, 130 Ctrl-C."""
    with prepared_terminal():
        _run()


def _run() -> None:
    try:
        # By itself, typer would print what is wrong with its control characters.
        sys.exit(app(prog_name="ulstm", standalone_mode=False) or 0)
    except typer.TyperException as error:
        _print_wrong_use(error)
        sys.exit(2)
    except typer.Abort:
        sys.exit(1)
    except BrokenPipeError:
        end_at_closed_pipe()
    except OSError as error:
        _print_error(
            type(error).__name__, f"{error}: check the path, its rights and the space left"
        )
        sys.exit(1)
    except UlstmError as error:
        _print_error(type(error).__name__, hide_passwords(str(error)))
        sys.exit(2 if isinstance(error, BadSetting) else 1)


def _print_wrong_use(error: typer.TyperException) -> None:
    """Print a command's usage and the error; nothing if its help was printed already."""
    context: typer.Context | None = getattr(error, "ctx", None)
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    if context is not None and text:
        print_message(context.get_usage())
        text = f"{text.rstrip('.')}; see `{context.command_path} --help`"
    if text:
        _print_error("Wrong use", text)


def _print_error(name: str, text: str) -> None:
    message = plain_text(f"{name}: {text}")
    message.stylize("red", 0, len(name) + 1)
    PlainConsole(stderr=True).print(message, soft_wrap=True)


if __name__ == "__main__":
    main()
