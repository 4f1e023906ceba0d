"""A minimal trainer process: it releases, promotes and rolls back model versions for ever."""

import os
import random
import sys
import time
from typing import Final

from shared.adapters.bundle_codec import version_of
from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import UlstmError
from shared.log.model_registry import ModelRegistry
from tests.chaos.market import JOINS
from tests.support.builders import START_MS, a_card, bundle_bytes, started_bundle_bytes

# Networks that learn by gradient, and heads: the predictor serves both.
CARDS: Final = (a_card(), a_card(features="returns", label_scale=1.0, learns="head"))


def main(seed: int) -> None:
    settings = ServiceSettings.from_env(os.environ)
    registry = ModelRegistry(settings.kafka, settings.topics)
    rng = random.Random(seed)
    while True:
        time.sleep(rng.uniform(2.0, 8.0))
        try:
            log(_act_once(registry, rng))
        except UlstmError as error:
            # Kafka is down, or there is no version to roll back to: the next action may succeed.
            log(f"{type(error).__name__}: {error}")


def log(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _act_once(registry: ModelRegistry, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.2:
        return f"rolled back to {registry.rollback()}"
    if draw < 0.4:
        version = rng.choice(registry.bundles.versions())
        registry.promote(version)
        return f"promoted {version} again"
    card, seed = rng.choice(CARDS), rng.randrange(2**31)
    data = bundle_bytes(seed, card) if draw < 0.6 else started_bundle_bytes([*JOINS], seed, card)
    version = version_of(card, data)
    registry.release(data, version, START_MS, promote=True)
    return f"released {version}"


if __name__ == "__main__":
    main(int(sys.argv[1]))
