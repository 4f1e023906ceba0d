import json

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.cli.commands.schema import complete_name
from shared.adapters.contract.record_kinds import KINDS
from shared.core.errors import Unknown
from tests.shared.adapters.contract.decoders import example


@pytest.mark.parametrize("name", KINDS)
def test_a_record_kinds_schema_is_printed(name: str) -> None:
    printed = CliRunner().invoke(app, ["schema", name])

    schema = json.loads(printed.stdout)
    assert Draft202012Validator(schema).is_valid(example(name))


def test_the_asyncapi_document_is_printed() -> None:
    printed = CliRunner().invoke(app, ["schema", "asyncapi"])

    assert json.loads(printed.stdout)["asyncapi"] == "3.0.0"


def test_without_a_name_every_kind_is_listed() -> None:
    table = CliRunner().invoke(app, ["schema"]).stdout
    listed = json.loads(CliRunner().invoke(app, ["schema", "--json"]).stdout)

    assert [name for name in [*KINDS, "asyncapi"] if name not in table] == []
    assert [one["name"] for one in listed] == list(KINDS)
    assert listed[0]["id"] == "urn:updating-lstm:schema:candle:1"


def test_a_shell_completes_names() -> None:
    assert complete_name("ba") == ["baskets", "ban"]
    assert complete_name("a") == ["asyncapi"]


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    result = CliRunner().invoke(app, ["schema", "trade"])

    assert isinstance(result.exception, Unknown)
    assert "prediction" in str(result.exception)
