"""What the command line prints: as it is, never obeyed, one JSON document, no closed pipe."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from services.cli.terminal import (
    CLOSED_PIPE,
    PlainConsole,
    plain_text,
    print_json,
    print_lines,
    print_text,
    print_warning,
)
from shared.core.printable_text import escape_controls

CLI = Path(__file__).parents[3] / "services" / "cli"
HOSTILE = [
    "\x1b[2J",
    "\x1b]0;x\x07",
    "a\rb",
    "\x07",
    "\x7f",
    "\x9b1m",
    "\u202e",
    "\u2066",
    "\u200f",
]


@pytest.mark.parametrize("text", [*HOSTILE, "a\nb"])
def test_no_control_character_is_left(text: str) -> None:
    assert escape_controls(text).isprintable()


def test_brackets_are_no_markup_and_lines_stay_lines() -> None:
    console = PlainConsole()

    with console.capture() as shown:
        console.print(plain_text("[/b] x\ny"))
        console.print("[bold]z :smile:")

    assert shown.get() == "[/b] x\ny\n[bold]z :smile:\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_table_text_or_warning_shows_one(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(text, title=text, caption=text)
    table.add_row(text)

    PlainConsole().print(table)
    PlainConsole(stderr=True).print(f"{text} said a file")
    print_warning(PlainConsole(stderr=True), text)
    print_text(f"first\n{text}")
    print_lines([text, f"{text}\n{text}"])
    print_json({text: [text]})

    captured = capsys.readouterr()
    shown = (captured.out + captured.err).replace("\n", "")
    assert shown.isprintable()


def test_json_is_one_document_in_ascii_whatever_it_holds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_json({"nan": [float("nan"), 1.5], "text": "币\x7f\u202e", "inner": {"inf": float("inf")}})

    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown) == {"nan": [None, 1.5], "text": "币\x7f\u202e", "inner": {"inf": None}}


@pytest.mark.parametrize(
    "printing",
    ["PlainConsole().print('x' * 100_000)", "print_json(['x'] * 100_000)", "print_text('x' * 10)"],
)
def test_a_closed_pipe_ends_the_program_quietly(printing: str) -> None:
    program = f"import sys; sys.stdin.read()\nfrom services.cli.terminal import *\n{printing}"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=CLI.parents[1],
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stdin is not None
        process.stdin.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""

    assert process.returncode == CLOSED_PIPE


def test_only_one_module_writes_to_the_terminal() -> None:
    writers = {
        str(file.relative_to(CLI))
        for file in CLI.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"print", "Console", "typer.echo", "sys.stdout.write"}
    }

    assert writers == {"terminal.py"}
