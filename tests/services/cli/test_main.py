"""How `ulstm` ends: 0 done, 1 the command failed, 2 wrong use."""

import sys
from pathlib import Path

import pytest

from services.cli.__main__ import main
from services.cli.commands.servers import with_running_servers


@pytest.fixture(autouse=True)
def no_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no `ulstm servers` run."""
    monkeypatch.chdir(tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["ulstm", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_wrong_setting_ends_with_two_and_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INTERVAL", "7m")

    assert run(monkeypatch, "models", "list") == 2
    assert "BadSetting: INTERVAL is '7m'" in capsys.readouterr().err


def test_a_command_that_fails_ends_with_one_and_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "import", str(tmp_path)) == 1
    assert "BadInput: " in capsys.readouterr().err


def test_no_byte_of_a_message_reaches_the_terminal_as_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INTERVAL", "[/red]\x1b[2J")

    assert run(monkeypatch, "models", "list") == 2
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "[/red]" in shown


@pytest.mark.parametrize("arguments", [["nonsense"], ["predict"], ["verify", "--nonsense"]])
def test_wrong_use_ends_with_two(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    assert run(monkeypatch, *arguments) == 2


def test_help_ends_with_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0
    assert "redrive" in capsys.readouterr().out


def test_the_environment_stays_as_it_is_without_servers() -> None:
    assert with_running_servers({"INTERVAL": "1m"}) == {"INTERVAL": "1m"}
