"""Every command of `ulstm` where things are wrong: never a traceback, and what to do next.

The commands and their arguments come from the examples in their help, so a new command is here at
once.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from services.cli.__main__ import main
from services.cli.terminal import CLOSED_PIPE
from shared.adapters.kafka.connection import KafkaConnection
from shared.core.model.numeric_profile import self_test
from tests.services.cli.every_command import all_examples, commands, examples_of
from tests.services.cli.foreign_records import foreign_records
from tests.support.deployment import Deployment
from tests.support.recorded_log import FIRST, eventful_klines, record_log

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

# Those that start servers of their own, or run until they are stopped: they do not end here.
UNENDING: Final = {"up": "tests/end_to_end/test_up.py", "dashboard": "tests/services/dashboard"}
TRAINER: Final = {"train", "search", "models", "baskets"}  # a process of its own
STARTS_SERVERS: Final = ["servers", "start"]
NEEDS_NO_KAFKA: Final = {"servers", "schema", "import", "credentials", "topics rights"}
MAY_CREATE_TOPICS: Final = (
    ["symbols", "add"],
    ["symbols", "remove"],
    ["models", "import"],
    ["topics", "create"],
)
VERSION: Final = "20250131T2355-9f2c41d7"  # of the examples
HOSTILE: Final = "\x1b[2J\x07\u202e"
KEYS: Final = (None, b"", b"\xff", b"promotion", b"BTCUSDT", VERSION.encode(), HOSTILE.encode())
ERROR: Final = re.compile(
    r"(BadInput|BadSetting|Unavailable|Incompatible|NotAuthorized|Unknown|\w+Error): .{20,}"
)
ENDS_S: Final = 60.0

EXAMPLES: Final = [
    example
    for example in all_examples()
    if example[0] not in UNENDING and example[:2] != STARTS_SERVERS and example[-1] != "--train"
]


def is_trainer(arguments: Sequence[str]) -> bool:
    """Say whether a command runs the trainer."""
    is_part = arguments[0] in {"models", "baskets"} and arguments[1] in {"make", "export", "import"}
    return arguments[0] in {"train", "search"} or is_part


def needs_kafka(arguments: Sequence[str]) -> bool:
    """Say whether a command asks Kafka for something."""
    return not {arguments[0], " ".join(arguments[:2])} & NEEDS_NO_KAFKA


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: object
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


Run = Callable[[Mapping[str, str], list[str]], Ending]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.keras").write_bytes(b"no model")
    (tmp_path / "ranges.csv").write_text("no ranges")
    (tmp_path / "candles").mkdir()

    def run(environ: Mapping[str, str], arguments: list[str]) -> Ending:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        seconds = ["--for", "1"] if "watch" in arguments and HOSTILE not in arguments else []
        monkeypatch.setattr(sys, "argv", ["ulstm", *arguments, *seconds])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Ending(ended.value.code or 0, out, err)

    return run


def check_ending(arguments: Sequence[str], ending: Ending) -> None:
    """Check what holds however a command ends."""
    assert ending.code in {0, 1, 2}, ending.err
    assert "Traceback" not in ending.text
    assert ending.text.replace("\n", "").replace("\r", "").isprintable()
    if ending.code and list(arguments[:2]) != ["servers", "status"]:
        assert ERROR.search(ending.err) or "ERROR" in ending.err or "Usage:" in ending.err
    if ending.code == 0 and "--json" in arguments:
        for document in ending.out.splitlines() if "watch" in arguments else [ending.out]:
            json.loads(document)


@pytest.mark.parametrize("example", EXAMPLES, ids=" ".join)
def test_without_kafka_a_command_says_so_at_once(example: list[str], run: Run) -> None:
    ending = run({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, example)

    check_ending(example, ending)
    if needs_kafka(example):
        assert ending.code == 1
        assert "nothing listens at Kafka's address 127.0.0.1:1" in ending.err
        assert "`ulstm servers start`" in ending.err
        assert "KAFKA_BOOTSTRAP_SERVERS" in ending.err


@pytest.mark.parametrize("address", ["nonsense:x", "127.0.0.1:", ":9092", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_a_wrong_setting(address: str, run: Run) -> None:
    ending = run({"KAFKA_BOOTSTRAP_SERVERS": address}, ["models", "list"])

    assert ending.code == 2
    assert f"KAFKA_BOOTSTRAP_SERVERS has {address!r}; give host:port" in ending.err


@pytest.mark.parametrize(
    "example", [each for each in EXAMPLES if each[:2] not in MAY_CREATE_TOPICS], ids=" ".join
)
def test_where_topics_are_missing_a_command_names_what_is_there(
    example: list[str], run: Run, deployment: Deployment
) -> None:
    ending = run({**deployment.environ, "INTERVAL": "1h"}, example)

    check_ending(example, ending)
    if ending.err.startswith("Incompatible"):
        assert f"but {deployment.topics.klines}" in ending.err or "has no topic" in ending.err
        assert "INTERVAL" in ending.err
    elif needs_kafka(example) and example[0] not in {"models", "baskets", "dead-letters"}:
        pytest.fail(f"it does not look for its topics: {ending.err}")


@pytest.mark.parametrize(
    "example", [each for each in EXAMPLES if each[:2] != ["models", "import"]], ids=" ".join
)
def test_a_wrong_number_of_symbol_groups_is_named(
    example: list[str], run: Run, deployment: Deployment
) -> None:
    ending = run({**deployment.environ, "SYMBOL_GROUPS": "5"}, example)

    check_ending(example, ending)
    if needs_kafka(example) and example[0] not in {"dead-letters", "baskets"}:
        assert ending.code == 1
        assert "SYMBOL_GROUPS" in ending.err


@pytest.fixture(scope="module")
def empty(
    kafka: KafkaConnection, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Yield the environment of a deployment whose topics are empty."""
    folder = tmp_path_factory.mktemp("empty")
    with Deployment(kafka, "redis://127.0.0.1:1", "empty.", folder, 1) as deployment:
        yield deployment.environ


@pytest.mark.parametrize(
    "example", [each for each in EXAMPLES if not is_trainer(each)], ids=" ".join
)
def test_an_empty_log_is_no_trouble(example: list[str], run: Run, empty: dict[str, str]) -> None:
    ending = run(empty, example)

    check_ending(example, ending)
    if example[0] in {"watch", "replay", "verify", "symbols"} and "--partition" not in example:
        assert ending.code == 0, ending.err


@pytest.fixture(scope="module")
def damaged(
    kafka: KafkaConnection, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Yield the environment of a deployment with foreign records on every topic, under all keys."""
    folder = tmp_path_factory.mktemp("damaged")
    with Deployment(kafka, "redis://127.0.0.1:1", "damaged.", folder, 1) as deployment:
        profile, topics = self_test(), deployment.topics
        record_log(eventful_klines(profile), profiles=(profile,)).write(kafka, topics)
        for topic in topics.specifications():
            for key in KEYS:
                deployment.write(foreign_records(topic, 0, key))
            deployment.await_settled(topic, 0)
        yield deployment.environ


# One example of each trainer's command: they are processes, and Keras takes seconds to load.
DAMAGED_EXAMPLES: Final = [
    example
    for words in commands()
    for example in examples_of(words)[: 1 if words[0] in TRAINER else None]
    if example in EXAMPLES
]


@pytest.mark.parametrize("example", DAMAGED_EXAMPLES, ids=" ".join)
def test_a_damaged_record_on_any_topic_ends_no_command_with_a_traceback(
    example: list[str], run: Run, damaged: dict[str, str]
) -> None:
    check_ending(example, run(damaged, example))


def test_what_is_right_among_damaged_records_is_found(run: Run, damaged: dict[str, str]) -> None:
    listed = run(damaged, ["models", "list", "--json"])
    shown = run(damaged, ["models", "show", FIRST.version, "--json"])
    predicted = run(damaged, ["predict", "BTCUSDT", "--json"])
    watched = run(damaged, ["watch", "--json"])

    assert FIRST.version in {row["version"] for row in json.loads(listed.out)}
    assert json.loads(shown.out)["version"] == FIRST.version
    assert json.loads(predicted.out)["symbol"] == "BTCUSDT"
    symbols = {json.loads(line)["symbol"] for line in watched.out.splitlines()}
    assert symbols == {"BTCUSDT", "ETHUSDT"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "NOSUCHUSDT"],
        ["models", "show", "v9"],
        ["models", "promote", "v9"],
        ["backtest", "--model", "v9"],
        ["backtest", "--model", FIRST.version, "--symbols", "NOSUCH"],
        ["baskets", "show", "v9"],
        ["dead-letters", "redrive", "klines.5m/0/999999"],
        ["models", "export", "v9", "model.keras"],
    ],
    ids=" ".join,
)
def test_what_is_unknown_is_named_with_where_to_look(
    arguments: list[str], run: Run, damaged: dict[str, str]
) -> None:
    ending = run(damaged, arguments)

    assert ending.code == 1
    assert next(word for word in reversed(arguments) if "." not in word or "/" in word) in (
        ending.err
    )
    assert "`ulstm " in ending.err


def options() -> list[tuple[tuple[str, ...], str, bool]]:
    """Return each option and argument that takes a value: command, name, whether a number."""
    return [
        (words, parameter.opts[0], parameter.type_descriptor.annotation in {int, float})
        for words, command in commands().items()
        if words[0] not in UNENDING and list(words) != STARTS_SERVERS
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
    ]


@pytest.mark.parametrize(
    ("words", "option", "is_number"), options(), ids=lambda one: str(one).replace("\x1b", "")
)
def test_a_bad_value_of_an_option_is_refused_or_not_found(
    words: tuple[str, ...], option: str, is_number: bool, run: Run, damaged: dict[str, str]
) -> None:
    example = examples_of(words)[0]
    # The trainer is a process; without Kafka it is not started.
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"} if is_trainer(words) else damaged

    ending = run(environ, [*example, option, HOSTILE])

    check_ending([*example, option], ending)
    if is_number:
        assert ending.code == 2


@pytest.mark.parametrize(
    "words", [each for each in commands() if each[0] not in UNENDING], ids=" ".join
)
def test_an_argument_that_is_nonsense_is_named_and_not_obeyed(
    words: tuple[str, ...], run: Run, damaged: dict[str, str]
) -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"} if is_trainer(words) else damaged

    ending = run(environ, [*words, HOSTILE])

    check_ending(words, ending)
    assert ending.code in {1, 2}


def paths() -> list[tuple[tuple[str, ...], str]]:
    """Return each option that names a file or a folder: command, option."""
    return [
        (words, parameter.opts[0])
        for words, command in commands().items()
        if words[0] not in {*UNENDING, *TRAINER}
        for parameter in command.params
        if parameter.param_type_name == "option"
        and "Path" in str(parameter.type_descriptor.annotation)
    ]


@pytest.mark.parametrize(("words", "option"), paths(), ids=str)
@pytest.mark.parametrize("suffix", ["", ".parquet", ".html", ".jsonl"])
def test_a_path_that_cannot_be_used_is_named(
    words: tuple[str, ...], option: str, suffix: str, run: Run, damaged: dict[str, str]
) -> None:
    example = examples_of(words)[0]

    ending = run(damaged, [*example, option, f"model.keras/inside{suffix}"])

    check_ending([*example, option], ending)
    if ending.code == 1 and words[0] != "servers":
        assert "model.keras/inside" in ending.err or "bundle" in ending.err


def start(environ: Mapping[str, str], *arguments: str, **more: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "services.cli", *arguments],
        env={**os.environ, **environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    )


@pytest.mark.parametrize("arguments", [["models", "list"], ["verify"], ["train"]], ids=" ".join)
def test_ctrl_c_ends_a_command_that_waits_for_kafka(arguments: list[str], tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.settimeout(ENDS_S)
        environ = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{silent.getsockname()[1]}"}
        with start(environ, *arguments, cwd=tmp_path) as process:
            connections = [silent.accept()[0] for _ in range(2)]  # the second is the client's
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=ENDS_S)
            for connection in connections:
                connection.close()

    assert process.returncode == 130
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [["schema", "asyncapi"], ["schema"], ["models", "list", "--json"], ["dead-letters", "list"]],
    ids=" ".join,
)
def test_a_closed_pipe_ends_a_command_quietly(
    arguments: list[str], tmp_path: Path, damaged: dict[str, str]
) -> None:
    with start(damaged, *arguments, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read().decode()

    assert process.returncode == CLOSED_PIPE
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert "Exception ignored" not in err


@pytest.mark.parametrize("name", [f"{HOSTILE}-5m-2025-01.csv", "[red]BTCUSDT-5m-2025-01.csv"])
def test_a_file_of_any_name_is_named_and_not_obeyed(
    name: str, run: Run, deployment: Deployment, tmp_path: Path
) -> None:
    (tmp_path / "candles" / name).write_text("nonsense\n")

    ending = run(deployment.environ, ["import", "candles"])

    check_ending(["import"], ending)
    assert ending.code == 1
    assert ("\\x1b" in ending.err) or ("[red]" in ending.err)
