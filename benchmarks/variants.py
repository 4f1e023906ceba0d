"""Variants of the trainer's settings: one setting changed at a time."""

from collections.abc import Mapping
from typing import Final

DEFAULT: Final = "default"
ONE_SET: Final = "one set of weights"

Settings = Mapping[str, str]

# The original trains with dropout, which the kernel lacks and which is slow in Keras: it trains
# without here.
_ORIGINAL: Final = {"PRESET": "original", "DROPOUT": "0"}
# Features of the symbol's own candles, gradient steps on all weights, a calibration that keeps all.
_OWN_CANDLES: Final = {
    "FEATURE_SET": "returns",
    "LEARNS": "gradient",
    "ONLINE_RATE": "5e-5",
    "SHRINKAGE_CAUTION": "0",
    "SHRINKAGE_HALF_LIFE": "0",
}
_HEAD: Final = {"LEARNS": "head"}

VARIANTS: Final[dict[str, Settings]] = {
    DEFAULT: {},
    # What follows differs in the online step alone: the network is fitted once for all of them.
    "a head learns": _HEAD,
    "a head and the network learn": {"LEARNS": "both"},
    "head's prior of 4,000": {**_HEAD, "HEAD_PRIOR": "4000"},
    "head's prior of 100,000": {**_HEAD, "HEAD_PRIOR": "100000"},
    "head forgets nothing": {**_HEAD, "HEAD_HALF_LIFE": "0"},
    "calibration forgets nothing": {"SHRINKAGE_HALF_LIFE": "0"},
    "calibration without caution": {"SHRINKAGE_CAUTION": "0"},
    # From here on each is a training of its own.
    "own candles": {"FEATURE_SET": "returns"},
    "own candles, gradient": _OWN_CANDLES,
    "market kept in the labels": {"COMMON_MOVE": "kept"},
    "squared error": {"HUBER_DELTA": "0"},
    "window 32": {"WINDOW_LENGTH": "32"},
    "LSTM(64)": {"WIDTHS": "64"},
    "LSTM(32) x 2": {"WIDTHS": "32,32"},
    "epoch chosen by its forecasts": {"CHOOSE_BY": "online"},
    "seed 1": {"SEED": "1"},
    "original": _ORIGINAL,
}
ALSO_WITH_ONE_SET: Final = ("original",)
