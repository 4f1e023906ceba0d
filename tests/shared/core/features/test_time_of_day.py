import hashlib
import struct

from shared.core.features.time_of_day import MINUTES_PER_DAY, cosine, sine

# Of every minute's sine and cosine as little-endian float64: states and predictions depend on them.
EVERY_BIT = "0405de2d602eda62b9abb9d6abc8bd059336423a8688ca82f2181ca317b9aac3"


def test_sine_and_cosine_of_every_minute_keep_their_bits() -> None:
    values = b"".join(struct.pack("<dd", sine(m), cosine(m)) for m in range(MINUTES_PER_DAY))

    assert hashlib.sha256(values).hexdigest() == EVERY_BIT
