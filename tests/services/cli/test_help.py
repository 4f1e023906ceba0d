"""The help of every command: an example that works, and the same words for the same things."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from tests.services.cli.every_command import (
    ROOT,
    Words,
    all_examples,
    commands,
    examples_of,
    option_names,
)

# Those that print nothing but a line, a version or a file, or run until they are stopped.
WITHOUT_JSON = {
    ("up",),
    ("dashboard",),
    ("train",),
    ("search",),
    ("models", "export"),
    ("models", "import"),
    ("baskets", "make"),
}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(words: Words) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "160"})

    assert shown.exit_code == 0
    assert "Examples" in shown.stdout
    assert examples_of(words)
    for example in examples_of(words):
        assert tuple(example[: len(words)]) == words
        assert " ".join(["ulstm", *example]) in shown.stdout


@pytest.mark.parametrize("example", all_examples(), ids=" ".join)
def test_every_example_is_right_use(
    example: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.keras").touch()
    monkeypatch.chdir(tmp_path)
    command, context = ROOT, ROOT.make_context("ulstm", list(example))
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(name, rest, parent=context)

    assert context.params.keys() == {parameter.name for parameter in command.params} - {"help"}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_speaks_json_to_programs_where_it_says_more_than_a_line(
    words: Words,
) -> None:
    assert ("--json" in option_names(words)) is (words not in WITHOUT_JSON)
