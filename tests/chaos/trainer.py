"""A trainer as a process, as small as can be: publishes model versions, promotes them and rolls them back, for ever."""

import os
import random
import sys
import time

from shared.adapters.bundle_codec import version_of
from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import UlstmError
from shared.log.model_registry import ModelRegistry
from tests.support.builders import START_MS, a_card, bundle_bytes


def main(seed: int) -> None:
    settings = ServiceSettings.from_env(os.environ)
    registry = ModelRegistry(settings.kafka_bootstrap_servers, settings.topics)
    chance = random.Random(seed)
    while True:
        time.sleep(chance.uniform(2.0, 8.0))
        try:
            say(_one_act(registry, chance))
        except (
            UlstmError
        ) as error:  # Kafka is away, or there is no version to go back to: the next act may succeed
            say(f"{type(error).__name__}: {error}")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _one_act(registry: ModelRegistry, chance: random.Random) -> str:
    act = chance.random()
    if act < 0.2:
        return f"rolled back to {registry.rollback()}"
    if act < 0.4:
        version = chance.choice(registry.bundles.versions())
        registry.promote(version)
        return f"promoted {version} again"
    data = bundle_bytes(chance.randrange(2**31))
    version = version_of(a_card(), data)
    registry.release(data, version, START_MS, promote=True)
    return f"released {version}"


if __name__ == "__main__":
    main(int(sys.argv[1]))
