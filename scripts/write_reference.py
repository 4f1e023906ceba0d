"""Write docs/reference: commands, settings, metrics, topics and schemas, as the code has them.

`make reference` writes the pages; tests/test_reference.py fails where they differ from the code.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer

from scripts.contract_pages import (
    TOPICS_INTRODUCTION,
    check_compatible,
    contract_files,
    topics_page,
)
from scripts.markdown import cell, table, wrap
from scripts.settings_table import settings_table
from services.cli.__main__ import app
from services.cli.examples import examples_in
from services.dashboard.metrics import DashboardMetrics
from services.dashboard.settings import DashboardSettings
from services.exchange_simulator.settings import SimulatorSettings
from services.predictor.metrics import PredictorMetrics
from services.predictor.settings import PredictorSettings
from services.producer.metrics import ProducerMetrics
from services.producer.settings import ProducerSettings
from services.trainer.metrics import TrainerMetrics
from services.trainer.settings import SearchSettings, TrainerSettings
from shared.adapters.env_settings import EnvSettings, ServiceSettings
from shared.adapters.prometheus import Telemetry
from shared.core.errors import Incompatible

REFERENCE: Final = Path(__file__).parents[1] / "docs" / "reference"
GENERATED: Final = "Generated from the code by `make reference`; do not edit."


def main() -> None:
    """Write every page.

    Raises:
        Incompatible: a schema breaks what its number has promised so far.
    """
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        check_compatible(path, text)
        path.write_text(text, encoding="utf-8")


def commands_page() -> str:
    """Return the page of `ulstm` and its commands."""
    blocks = [f"## {name}\n\n{_command(command)}" for name, command in _commands()]
    return _page("Commands", [COMMANDS_INTRODUCTION, *blocks])


def settings_page() -> str:
    """Return the page of the settings, the common ones first."""
    common = set(ServiceSettings.model_fields)
    blocks = [f"## Every service\n\n{settings_table(ServiceSettings, set())}"]
    blocks += [
        f"## {title}\n\n{settings_table(settings, common)}" for title, settings in SERVICES.items()
    ]
    return _page("Settings", [SETTINGS_INTRODUCTION, *blocks])


def metrics_page() -> str:
    """Return the page of the metrics by service."""
    blocks = []
    for service, register in METRICS.items():
        telemetry = Telemetry(service)
        register(telemetry)
        blocks.append(f"## {service.capitalize()}\n\n{_metrics(telemetry)}")
    return _page("Metrics", [METRICS_INTRODUCTION, *blocks])


COMMANDS_INTRODUCTION: Final = (
    "`ulstm` is installed as `.venv/bin/ulstm`. Servers that `ulstm servers start` runs in the"
    " current folder are found automatically; elsewhere set `KAFKA_BOOTSTRAP_SERVERS` and"
    " `REDIS_URL`. Commands that read the log need no Redis.\n\n"
    "Exit codes: 0: done; 1: what was asked for failed, or a check found something; 2: wrong use,"
    " or a wrong setting; 130: Ctrl-C, except for `up` and `watch`, which it ends with 0; 141: the"
    " program that reads the output closed the pipe. With `--json` there is one JSON document on"
    " standard output (`watch`: one a line); messages go to standard error.\n\n"
    "`ulstm --install-completion` lets your shell complete commands and options, and symbols and"
    " model versions where Kafka answers within a second."
)
SETTINGS_INTRODUCTION: Final = (
    "Settings are environment variables, read once at the start. An empty value counts as unset. A"
    " service with a wrong value refuses to start and names the setting, the value and what is"
    " allowed."
)
METRICS_INTRODUCTION: Final = (
    "Every service but the exchange simulator serves `/metrics` (Prometheus), `/health/live` and"
    " `/health/ready` on `METRICS_HOST` and `METRICS_PORT`. On Linux, each also has the metrics of"
    " its process: `process_resident_memory_bytes`, `process_cpu_seconds_total`,"
    " `process_start_time_seconds`, `process_open_fds`."
)
SERVICES: Final[Mapping[str, type[EnvSettings]]] = {
    "Producer": ProducerSettings,
    "Predictor": PredictorSettings,
    "Trainer": TrainerSettings,
    "Search (`ulstm search`)": SearchSettings,
    "Live page (`ulstm dashboard`)": DashboardSettings,
    "Exchange simulator": SimulatorSettings,
}
METRICS: Final[Mapping[str, Callable[[Telemetry], object]]] = {
    "producer": ProducerMetrics,
    "predictor": PredictorMetrics,
    "trainer": TrainerMetrics,
    "dashboard": DashboardMetrics,
}
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "topics.md": lambda: _page("Topics and messages", [TOPICS_INTRODUCTION, topics_page()]),
    **contract_files(),
}


def _page(title: str, blocks: list[str]) -> str:
    introduction, *sections = blocks
    paragraphs = [wrap(part) for part in introduction.split("\n\n")]
    head = [f"# {title}", GENERATED, *paragraphs]
    return "\n\n".join([*head, *sections]) + "\n"


def _commands() -> Iterator[tuple[str, Any]]:
    """Yield each command of typer with its full name, the groups taken apart."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        for inner, part in getattr(command, "commands", {"": command}).items():
            yield f"ulstm {name} {inner}".strip(), part


def _command(command: Any) -> str:
    rows = [_parameter(p) for p in command.params if p.name != "help"]
    blocks = [wrap(" ".join((command.help or "").split()))]
    if rows:
        blocks.append(table(["option", "default", "meaning"], rows))
    blocks.append("\n".join(f"    {example}" for example in examples_in(command.epilog)))
    return "\n\n".join(blocks)


def _parameter(parameter: Any) -> list[str]:
    is_option = parameter.param_type_name == "option"
    names = parameter.opts if is_option else [parameter.name.upper()]
    default = "" if parameter.default in (None, False, ()) else f"`{parameter.default}`"
    shown = ", ".join(f"`{name}`" for name in names)
    return [shown, "required" if parameter.required else default, cell(parameter.help or "")]


def _metrics(telemetry: Telemetry) -> str:
    rows = []
    for metric in telemetry.registry.collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        if not re.search(r"^process_|_created$", name):
            labels = ", ".join(f"`{label}`" for label in telemetry.labels[name])
            rows.append([f"`{name}`", metric.type, labels, cell(metric.documentation)])
    return table(["metric", "type", "labels", "meaning"], rows)


if __name__ == "__main__":
    try:
        main()
    except Incompatible as error:
        sys.exit(str(error))
