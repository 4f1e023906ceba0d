"""`ulstm train` and `ulstm search`: options become the trainer's environment."""

from collections.abc import Callable

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from services.cli.commands.models import import_command
from services.cli.commands.search import search_command
from services.cli.commands.train import train_command
from services.cli.trainer import environment_from_options
from services.trainer.settings import SearchSettings, TrainerSettings
from tests.support.deployment import Deployment


def app_of(command: Callable[..., None]) -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app


@pytest.mark.integration
@pytest.mark.parametrize(
    ("option", "value"), [("--promote", "maybe"), ("--from", "yesterday"), ("--epochs", "0")]
)
def test_the_trainer_refuses_a_wrong_option_and_its_exit_code_is_ours(
    deployment: Deployment, option: str, value: str
) -> None:
    result = CliRunner().invoke(app_of(train_command), [option, value], obj=deployment.environ)

    assert result.exit_code == 2


@pytest.mark.parametrize("command", [train_command, search_command, import_command])
def test_each_option_stands_for_a_setting_of_the_trainer(command: Callable[..., None]) -> None:
    variables = {
        settings.variable_of(field)
        for settings in (TrainerSettings, SearchSettings)
        for field in settings.model_fields
    }

    options = [o for o in get_command(app_of(command)).params if o.envvar is not None]

    assert options
    assert {str(option.envvar) for option in options} <= variables


def test_options_that_are_given_replace_their_variables_and_others_keep_theirs() -> None:
    seen: dict[str, str] = {}

    def command(
        context: typer.Context,
        hours: float = typer.Option(None, envvar="SEARCH_HOURS"),
        windows: int = typer.Option(None, envvar="SEARCH_WINDOWS"),
        seed: int = typer.Option(None, envvar="SEED"),
    ) -> None:
        seen.update(environment_from_options(context))

    environ = {"SEARCH_WINDOWS": "5", "EPOCHS": "3"}
    CliRunner().invoke(app_of(command), ["--hours", "2.5"], obj=environ)

    assert seen == {"SEARCH_HOURS": "2.5", "SEARCH_WINDOWS": "5", "EPOCHS": "3"}
