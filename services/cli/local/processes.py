"""Services as processes of this one: started, watched, ended in reverse order."""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from shared.core.errors import UlstmError
from shared.local_servers.launcher import kill_with_parent

_STOP_S: Final = 10.0
_SHOWN_LINES: Final = 15  # of a log, when its process has ended


class ServiceProcesses:
    """The services that were started, by name; each writes its own log file."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Start nothing yet.

        Args:
            folder: for the logs.
            stack: ends the processes when it closes, the last one first.
        """
        self._folder, self._stack = folder, stack
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, module: str, *arguments: str, environ: Mapping[str, str]) -> None:
        """Start a service's module; it ends with this process, however that ends."""
        command = kill_with_parent([sys.executable, "-m", module, *arguments])
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches only this process, which then ends the others in order.
                start_new_session=True,
            )
        self._processes[name] = process
        self._stack.callback(_end, process)

    def is_running(self, name: str) -> bool:
        """Return whether a service that was started has not ended yet."""
        return self._processes[name].poll() is None

    def check(self, *, may_finish: str) -> None:
        """Check that all services run.

        Args:
            may_finish: the one that may have ended with exit code 0.

        Raises:
            UlstmError: one has ended; the message shows the end of its log.
        """
        for name, process in self._processes.items():
            code = process.poll()
            if code is not None and not (name == may_finish and code == 0):
                lines = (self._folder / f"{name}.log").read_text(errors="replace").splitlines()
                log_end = "\n".join(lines[-_SHOWN_LINES:])
                message = f"{name} ended with exit code {code}; the end of its log:\n{log_end}"
                raise UlstmError(message)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
