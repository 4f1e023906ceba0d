"""`ulstm models`: what it prints, what it changes, how it ends."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from benchmarks.original import load_original
from services.cli.commands.models import app as models_app
from shared.core.errors import BadSetting, Unknown
from shared.core.model.architecture import Architecture
from tests.support.deployment import Deployment

ORIGINAL = Path(__file__).parents[3] / "original"
LEVELS = ("open", "high", "low", "close")
NOWHERE = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}


def invoke(app: typer.Typer, environ: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, obj=environ)


def models(deployment: Deployment, *arguments: str) -> Result:
    return invoke(models_app, deployment.environ, *arguments)


@pytest.mark.integration
def test_versions_are_listed_and_the_current_one_is_marked(deployment: Deployment) -> None:
    first, second = deployment.release(1), deployment.release(2)

    listed = json.loads(models(deployment, "list", "--json").stdout)

    assert [(row["version"], row["current"]) for row in listed] == [(first, False), (second, True)]
    assert models(deployment, "list").exit_code == 0


@pytest.mark.integration
def test_a_version_is_shown_with_its_card(deployment: Deployment) -> None:
    version = deployment.release(1)

    shown = json.loads(models(deployment, "show", version, "--json").stdout)

    assert shown["version"] == version
    assert shown["architecture"] == {"widths": [8], "window_length": 16, "features": 6}
    assert "window_length 16" in models(deployment, "show", version).stdout


@pytest.mark.integration
def test_promote_and_rollback_change_the_current_version(deployment: Deployment) -> None:
    first, second = deployment.release(1), deployment.release(2)

    assert models(deployment, "rollback").stdout.strip() == f"promoted {first}"
    assert models(deployment, "promote", second).stdout.strip() == f"promoted {second}"

    current = deployment.registry.promotions.current()
    assert current is not None
    assert current.promotion.model_version == second


@pytest.mark.integration
@pytest.mark.parametrize("arguments", [["show", "v9"], ["promote", "v9"], ["rollback"]])
def test_an_unknown_version_is_an_error(arguments: list[str], deployment: Deployment) -> None:
    assert isinstance(models(deployment, *arguments).exception, Unknown)


@pytest.mark.integration
def test_a_file_without_a_model_is_refused_by_the_trainer(
    deployment: Deployment, tmp_path: Path
) -> None:
    version = deployment.release(1)
    (tmp_path / "m.keras").write_bytes(b"no zip")

    result = models(deployment, "import", str(tmp_path / "m.keras"), "--like", version)

    assert result.exit_code == 1
    assert deployment.registry.bundles.versions() == [version]


@pytest.mark.integration
def test_the_originals_weights_become_a_version_from_a_table_of_ranges(
    deployment: Deployment, tmp_path: Path
) -> None:
    table = tmp_path / "ranges.csv"
    ranges = (ORIGINAL / "ranges.csv").read_text()
    table.write_text(ranges + ranges.partition("\n")[2].replace("BTCUSDT", "ETHUSDT"))

    given = ["--scalers", str(table), "--symbols", "BTCUSDT", "--to", "2025-01-01"]
    result = models(deployment, "import", str(ORIGINAL / "model.keras"), *given)

    assert result.exit_code == 0
    (version,) = deployment.registry.bundles.versions()
    assert version.startswith("20250101T0000-")
    assert deployment.registry.promotions.current() is None
    bundle = deployment.registry.bundles.load(version)
    card, expected = bundle.card, load_original(ORIGINAL)
    assert bundle.weights.tobytes() == expected.weights.tobytes()
    assert card.architecture == Architecture((32, 32), 288, 6)
    assert dict(card.scalers) == dict(expected.card.scalers)
    assert card.training["scalers_from"] == "ranges.csv"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--symbols", "XRPUSDT"], 2),
        (["--preset", "default"], 2),
        (["--like", "v1"], 2),
        (["--to", "yesterday"], 2),
    ],
)
def test_an_import_that_contradicts_itself_publishes_nothing(
    arguments: list[str], code: int, deployment: Deployment, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(
        "symbol,column,min,max\n" + "".join(f"B,{c},1,2\n" for c in LEVELS)
    )

    result = models(
        deployment,
        "import",
        str(ORIGINAL / "model.keras"),
        "--scalers",
        str(tmp_path / "t.csv"),
        *arguments,
    )

    assert result.exit_code == code
    assert deployment.registry.bundles.versions() == []


def test_a_card_comes_from_a_version_or_from_a_table() -> None:
    result = invoke(models_app, NOWHERE, "import", str(ORIGINAL / "model.keras"))

    assert result.exit_code == 2


def test_wrong_use_ends_with_two() -> None:
    assert invoke(models_app, NOWHERE, "show").exit_code == 2
    assert invoke(models_app, NOWHERE, "import", "missing.keras", "--like", "v1").exit_code == 2
    assert invoke(models_app, NOWHERE, "export", "m.keras").exit_code == 2
    assert invoke(models_app, NOWHERE, "export", "v1", "m.keras", "--symbol", "B").exit_code == 2
    assert isinstance(invoke(models_app, {"INTERVAL": "7m"}, "list").exception, BadSetting)
