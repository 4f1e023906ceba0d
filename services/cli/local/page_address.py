"""The live page's address on this machine, and the browser that shows it."""

import socket
import sys
import webbrowser
from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

import typer

from shared.local_servers.programs import HOST, free_port

DEFAULT_PORT: Final = 8070

OpenPage: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--open/--no-open",
        help="Open the live page in a browser; default: on a terminal of a desktop.",
    ),
]


def choose_port(environ: Mapping[str, str]) -> int:
    """Return the port that the settings name; else the usual one, or any if that is taken."""
    wanted = environ.get("DASHBOARD_PORT", "")
    if wanted.isdigit() and int(wanted):
        return int(wanted)
    return free_port() if wanted == "0" or is_listening(DEFAULT_PORT) else DEFAULT_PORT


def page_address(port: int) -> str:
    """Return the address to type into a browser on this machine."""
    return f"http://{HOST}:{port}"


def is_listening(port: int) -> bool:
    """Say whether something listens on a port of this machine."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False


def open_page(
    address: str, environ: Mapping[str, str], *, is_wanted: bool | None, is_terminal: bool
) -> None:
    """Open the page in the user's browser, if it is wanted, or probably so.

    Args:
        address: the page's.
        environ: tells whether there is a display.
        is_wanted: None: only for a user at a terminal of a desktop.
        is_terminal: whether the output goes to a terminal.
    """
    if is_wanted or (is_wanted is None and is_terminal and has_display(environ)):
        webbrowser.open(address)


def has_display(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Say whether a browser could show a window: without one a text browser would take over.

    >>> has_display({"DISPLAY": ":0"}, "linux"), has_display({}, "linux"), has_display({}, "darwin")
    (True, False, True)
    """
    if platform in {"darwin", "win32"}:
        return "SSH_CONNECTION" not in environ
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
