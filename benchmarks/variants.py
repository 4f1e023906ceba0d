"""Variants of the trainer's settings: one setting changed at a time."""

from collections.abc import Mapping
from typing import Final

DEFAULT: Final = "default"
ONE_SET: Final = "one set of weights"

Settings = Mapping[str, str]

# The longer the window, the fewer windows an epoch draws, so that a variant takes some minutes on
# two processors. The original trains with dropout, which the kernel lacks and which is slow in
# Keras: here it trains without.
_LONG: Final = {"WINDOW_LENGTH": "288", "WINDOWS_PER_EPOCH": "50000"}
_ORIGINAL: Final = {"PRESET": "original", "DROPOUT": "0"}

VARIANTS: Final[dict[str, Settings]] = {
    DEFAULT: {},
    "window 32": {"WINDOW_LENGTH": "32"},
    "window 64, 100k windows an epoch": {"WINDOW_LENGTH": "64", "WINDOWS_PER_EPOCH": "100000"},
    "window 288, 50k windows an epoch": _LONG,
    "levels, window 288, 50k an epoch": {**_LONG, "FEATURE_SET": "levels"},
    "original": _ORIGINAL,
    "original, online rate 1e-5": {**_ORIGINAL, "ONLINE_RATE": "1e-5"},
    "online rate 1e-5": {"ONLINE_RATE": "1e-5"},
    "online rate 2e-4": {"ONLINE_RATE": "2e-4"},
    "online rate 1e-3": {"ONLINE_RATE": "1e-3"},
    "SGD 3e-4": {"ONLINE_OPTIMISER": "sgd", "ONLINE_RATE": "3e-4"},
    "squared error": {"HUBER_DELTA": "0"},
    "common move kept": {"COMMON_MOVE": "kept"},
    "not mirrored": {"MIRRORED": "false"},
    "LSTM(32) x 2": {"WIDTHS": "32,32"},
    "epoch chosen by loss": {"CHOOSE_BY": "loss"},
}
ALSO_WITH_ONE_SET: Final = (DEFAULT, "original", "original, online rate 1e-5")
