"""The page on a secured Kafka has the rights of the code."""

import re
from typing import Final

import pytest

from shared.adapters.kafka.rights import Principal, Right, rights_of
from shared.core.topics import Topics
from tests.support.imports import ROOT

TOPICS: Final = Topics("5m", 6)
PAGE: Final = (ROOT / "docs" / "how-to" / "secure.md").read_text(encoding="utf-8")
WHO: Final = {"operator (`ulstm`)": "operator", "your consumer": "consumer"}
GROUP: Final = "its own group"


def rows() -> set[tuple[str, str, str]]:
    """Return (principal, name, operation) of both tables."""
    found = set()
    cells = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    for who, what, may in cells:
        principals = [WHO.get(each, each) for each in who.split(", ")]
        names = (
            list(TOPICS.specifications()) if what == "all five" else re.findall(r"`(.+?)`", what)
        )
        names = [GROUP] if what == GROUP else names
        for principal in set(principals) & {each.value for each in Principal}:
            found |= {(principal, name, one) for name in names for one in may.split(", ")}
    return found


def expected(principal: Principal) -> set[tuple[str, str, str]]:
    """Return the same of the code; DescribeConfigs stands in the text."""
    return {
        (principal.value, short(right), operation)
        for right in rights_of(principal, TOPICS, group_of(principal))
        for operation in right.operations
        if operation != "DescribeConfigs"
    }


def group_of(principal: Principal) -> str:
    return GROUP if principal is Principal.CONSUMER else "ulstm-predictor"


def short(right: Right) -> str:
    return right.name.removesuffix(".5m") if right.resource == "topic" else right.name


@pytest.mark.parametrize("principal", Principal)
def test_the_page_gives_each_service_its_rights(principal: Principal) -> None:
    of_the_page = {
        (who, name.removesuffix(".5m"), may) for who, name, may in rows() if who == principal
    }

    assert of_the_page == expected(principal)
