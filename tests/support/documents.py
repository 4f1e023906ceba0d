"""The Markdown pages of the repository, and what a reader would type from them."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.imports import ROOT

_LISTED: Final = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
).stdout.split()
PAGES: Final = [ROOT / name for name in sorted(_LISTED) if (ROOT / name).exists()]
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"`([^`\n]+)`")
# The line's begin, a path, `$(`, a pipe or list of commands, or a setting such as SEED=7.
_BEFORE_COMMAND: Final = r"(?:^\s*|[/(;&|]\s*|\w=\S*\s+|\)\s+)"
_END_OF_COMMAND: Final = {"|", "||", "&&", ";", "&", ">", ")"}


def name_of(page: Path) -> str:
    """Return a page's path below the root."""
    return str(page.relative_to(ROOT))


def fenced_blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [body for name, body in _FENCED.findall(text) if name == language]


def code_of(text: str) -> str:
    """Return what a reader would type: code spans, and blocks that are fenced or indented."""
    fenced = [body for name, body in _FENCED.findall(text) if name in {"", "sh"}]
    rest = _FENCED.sub("", text)
    indented = [line for line in rest.splitlines() if line.startswith("    ")]
    return "\n".join([*_SPAN.findall(rest), *fenced, *indented])


def command_lines(text: str, program: str) -> Iterator[list[str]]:
    """Yield the words behind a program, such as `make`, of each command in a page's code."""
    begin = re.compile(rf"{_BEFORE_COMMAND}{re.escape(program)}(?=\s|$)")
    for line in code_of(text).replace("\\\n", " ").splitlines():
        for match in begin.finditer(line):
            yield list(_words(line[match.end() :]))


def _words(text: str) -> Iterator[str]:
    """Yield the words of a shell's line up to the end of its command."""
    lexer = shlex.shlex(text.replace("'", ""), posix=False, punctuation_chars=True)
    lexer.whitespace_split = True
    for word in lexer:
        if word[0] in _END_OF_COMMAND:
            return
        yield word
