"""The folder of credentials: what each server and each user finds in it."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.cli.credentials.creation import ServerHosts, create_credentials
from services.cli.credentials.folder import SecretFolder
from shared.core.errors import BadSetting

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOSTS = ServerHosts(["kafka", "127.0.0.1"], ["redis"])
USERS = {"admin", "producer", "predictor", "trainer", "dashboard", "operator", "consumer"}
SERVERS = {"kafka", "redis"}


def create(root: Path, *, renew: bool = False, group_reads: bool = False) -> list[str]:
    folder = SecretFolder(root, group_reads=group_reads)
    create_credentials(folder, HOSTS, NOW, renew=renew)
    return folder.written


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_each_user_has_a_password_of_its_own_and_what_to_trust(tmp_path: Path) -> None:
    create(tmp_path)
    found = contents(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == USERS | SERVERS | {"authority"}
    passwords = {found[f"{user}/kafka-password"] for user in USERS}
    assert len(passwords) == len(USERS)
    assert {found[f"{one}/ca.pem"] for one in USERS | SERVERS} == {found["authority/ca.pem"]}


def test_nobody_but_the_authority_has_its_key(tmp_path: Path) -> None:
    create(tmp_path)
    found = contents(tmp_path)
    key = found.pop("authority/ca.key")

    assert not any(key in content for content in found.values())


def test_a_server_knows_of_a_users_password_its_digest_alone(tmp_path: Path) -> None:
    create(tmp_path)
    found = contents(tmp_path)
    password = found["predictor/redis-password"].strip()

    assert hashlib.sha256(password).hexdigest() in found["redis/users.acl"].decode()
    assert password not in found["redis/users.acl"]
    in_kafka = {name: data for name, data in found.items() if name.startswith("kafka/")}
    others = {found[f"{user}/kafka-password"] for user in USERS - {"admin"}}
    assert not others & set(in_kafka.values())


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    create(tmp_path)
    before = contents(tmp_path)

    assert create(tmp_path) == []
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["trainer/kafka-password", "kafka/server.key", "redis/users.acl"])
def test_what_is_missing_is_made_and_all_else_is_kept(tmp_path: Path, name: str) -> None:
    create(tmp_path)
    before = contents(tmp_path)
    (tmp_path / name).unlink()
    written = create(tmp_path)

    assert name in written
    after = contents(tmp_path)
    changed = {name for name in before if after[name] != before[name]}
    assert changed <= set(written)
    assert {Path(name).parent for name in written} == {Path(name).parent}


def test_renewal_issues_the_servers_certificates_anew_and_keeps_passwords(tmp_path: Path) -> None:
    create(tmp_path)
    written = create(tmp_path, renew=True)

    assert set(written) == {
        "kafka/server.pem",
        "kafka/server.key",
        "kafka/keystore.pem",
        "redis/server.pem",
        "redis/server.key",
    }


def test_a_new_authority_signs_the_servers_again(tmp_path: Path) -> None:
    create(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "authority/ca.key").unlink()
    create(tmp_path)
    after = contents(tmp_path)

    assert after["kafka/server.pem"] != before["kafka/server.pem"]
    assert {after[f"{one}/ca.pem"] for one in USERS | SERVERS} == {after["authority/ca.pem"]}
    assert after["trainer/kafka-password"] == before["trainer/kafka-password"]


@pytest.mark.parametrize(("group_reads", "mode"), [(False, 0o600), (True, 0o640)])
def test_nobody_else_may_read_a_secret(tmp_path: Path, group_reads: bool, mode: int) -> None:
    create(tmp_path / "new", group_reads=group_reads)
    files = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    folders = [path for path in (tmp_path / "new").iterdir() if path.is_dir()]

    assert {path.stat().st_mode & 0o777 for path in files} == {mode}
    assert {path.stat().st_mode & 0o007 for path in folders} == {0}


def test_the_command_creates_them_and_says_what_it_wrote(tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["credentials", "create", str(tmp_path / "secrets")])
    again = CliRunner().invoke(app, ["credentials", "create", str(tmp_path / "secrets")])

    assert "kafka/keystore.pem" in run.stdout.splitlines()
    assert "has everything" in again.stdout


@pytest.mark.parametrize("host", ["", "a b", "k\u00e4fka", "kafka\n", "-" * 300])
def test_a_host_that_is_no_name_is_refused(tmp_path: Path, host: str) -> None:
    arguments = ["credentials", "create", str(tmp_path / "secrets"), "--kafka-host", host]
    run = CliRunner().invoke(app, arguments)

    assert isinstance(run.exception, BadSetting)
    assert not (tmp_path / "secrets").exists()
