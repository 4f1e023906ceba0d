"""`ulstm baskets`: what it prints, what it changes, how it ends."""

import json

import pytest
from typer.testing import CliRunner, Result

from services.cli.commands.baskets import app
from shared.core.errors import Unknown
from shared.core.market import define_baskets
from shared.log.basket_store import BasketStore
from tests.support.builders import START_MS, a_walk, candle_bytes
from tests.support.deployment import Deployment

pytestmark = pytest.mark.integration

COINS = define_baskets([["AAAUSDT", "BBBUSDT"], ["CCCUSDT"]], START_MS, START_MS)
MEMES = define_baskets([["DDDUSDT"]], START_MS, START_MS)


def baskets(deployment: Deployment, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, obj=deployment.environ)


def store(deployment: Deployment) -> BasketStore:
    return BasketStore(deployment.kafka, deployment.topics)


def test_definitions_are_listed_in_the_order_of_their_publication(deployment: Deployment) -> None:
    for definition in (COINS, MEMES):
        store(deployment).publish(definition)

    listed = json.loads(baskets(deployment, "list", "--json").stdout)

    assert [row["version"] for row in listed] == [COINS.version, MEMES.version]
    assert (listed[0]["baskets"], listed[0]["symbols"]) == (2, 3)
    assert "in force" in baskets(deployment, "list").stdout


def test_a_definition_is_shown_with_its_symbols(deployment: Deployment) -> None:
    for definition in (COINS, MEMES):
        store(deployment).publish(definition)

    in_force = json.loads(baskets(deployment, "show", "--json").stdout)

    assert in_force["baskets"] == [["DDDUSDT"]]
    assert "AAAUSDT BBBUSDT" in baskets(deployment, "show", COINS.version).stdout


def test_an_unknown_version_is_refused(deployment: Deployment) -> None:
    assert isinstance(baskets(deployment, "show").exception, Unknown)
    assert isinstance(baskets(deployment, "show", "00000000").exception, Unknown)


def test_baskets_are_made_of_the_archive_and_put_in_force(deployment: Deployment) -> None:
    walks = {f"C{number}USDT": a_walk(300, number) for number in range(9)}
    deployment.publish(
        [
            (symbol, candle_bytes(at, symbol, f"{walk[at]:.6f}"))
            for at in range(300)
            for symbol, walk in walks.items()
        ]
    )

    made = deployment.ulstm("baskets", "make")

    newest = store(deployment).newest()
    assert newest is not None
    assert made.stdout.strip() == newest.version
    assert newest.members <= set(walks)


def test_too_few_symbols_give_no_baskets_and_say_so(deployment: Deployment) -> None:
    deployment.publish([("AAAUSDT", candle_bytes(at, "AAAUSDT")) for at in range(300)])

    made = deployment.ulstm("baskets", "make")

    assert made.returncode == 1
    assert "too few" in made.stderr
    assert store(deployment).newest() is None
