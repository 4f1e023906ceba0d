"""All commands of `ulstm` with their examples, as typer knows them."""

import shlex
from collections.abc import Iterator
from typing import Any

import typer

from services.cli.__main__ import app
from services.cli.examples import examples_in

Words = tuple[str, ...]

ROOT: Any = typer.main.get_command(app)


def commands() -> dict[Words, Any]:
    """Return each command of typer by its words, such as (models, list)."""
    return dict(_leaves((), ROOT))


def examples_of(words: Words) -> list[list[str]]:
    """Return the arguments of the examples in a command's help."""
    return [shlex.split(line)[1:] for line in examples_in(commands()[words].epilog)]


def all_examples() -> list[list[str]]:
    return [example for words in commands() for example in examples_of(words)]


def option_names(words: Words) -> set[str]:
    return {name for parameter in commands()[words].params for name in parameter.opts}


def _leaves(words: Words, command: Any) -> Iterator[tuple[Words, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, part in inner.items():
        yield from _leaves((*words, name), part)
