"""All scenarios, by kind."""

from typing import Final

from tests.feed.scenario import Scenario
from tests.feed.scenarios import absurd, deadlines, finality, holes, streams, symbols, unreadable

MODULES: Final = (holes, deadlines, finality, symbols, unreadable, streams, absurd)
SCENARIOS: Final[tuple[Scenario, ...]] = tuple(
    sorted((each for module in MODULES for each in module.SCENARIOS), key=lambda each: each.kind)
)
