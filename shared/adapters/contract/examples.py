"""An example of each record kind, as documents show it. Tests read each with its decoder."""

from typing import Any, Final

CANDLE: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "candle",
    "symbol": "BTCUSDT",
    "interval": "5m",
    "open_time_ms": 1743465900000,
    "open": "82519.60",
    "high": "82560.00",
    "low": "82500.01",
    "close": "82550.01",
    "volume": "12.5",
    "quote_volume": "1031771.4",
    "trades": 4711,
    "taker_buy_volume": "6.1",
    "taker_buy_quote_volume": "503510.2",
    "market": {
        "change_ppb": -412345,
        "symbols": 40,
        "baskets": "682e8549",
        "basket_changes_ppb": [-398000, None],
    },
}
GAP: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "gap",
    "symbol": "BTCUSDT",
    "interval": "5m",
    "from_open_time_ms": 1743465900000,
    "until_open_time_ms": 1743466500000,
}
STATUS: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "status",
    "symbol": "BTCUSDT",
    "interval": "5m",
    "time_ms": 1743466500000,
    "status": "delisted",
    "reason": "exchangeInfo lists it no more",
}
PROMOTION: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "promotion",
    "model_version": "20250331T2355-5f0c8a11",
    "bundle_sha256": "5f0c8a11" * 8,
    "numeric_profile": "5-50ac22fce68847bb",
}
KLINE_HEADERS: Final[dict[str, Any]] = {
    "source": "stream",
    "arrival_ms": "1743466200087",
    "newest_before_ms": "1743465899999",
}
PREDICTION: Final[dict[str, Any]] = {
    "schema": 1,
    "symbol": "BTCUSDT",
    "interval": "5m",
    "open_time_ms": 1743466200000,
    "close": 82550.01,
    "predicted_change": 2.1e-05,
    "predicted_close": 82551.74,
    "change_scale": 0.0011,
    "calibration": 0.4,
    "calibrated_change": 8.4e-06,
    "calibrated_close": 82550.7,
    "actionable": False,
    "intervals": [
        {
            "coverage": coverage,
            "lower_change": -reach,
            "upper_change": reach,
            "lower_close": lower_close,
            "upper_close": upper_close,
        }
        for coverage, reach, lower_close, upper_close in (
            (50, 0.0006, 82500.48, 82599.54),
            (80, 0.0013, 82442.69, 82657.33),
            (90, 0.0018, 82401.42, 82698.6),
            (95, 0.0023, 82360.14, 82739.88),
        )
    ],
    "model_version": "20250331T2355-5f0c8a11",
    "steps": 12,
    "loss": 0.41,
    "was_reset": False,
    "previous": {
        "open_time_ms": 1743465900000,
        "model_version": "20250331T2355-5f0c8a11",
        "predicted_change": 1.8e-05,
        "calibrated_change": 7.2e-06,
        "outcome_change": -0.00064,
    },
    "scores": {
        "n": 12,
        "squared_error": 1.1e-05,
        "squared_error_zero": 1.1e-05,
        "absolute_error": 0.0091,
        "absolute_error_zero": 0.0092,
        "sign_hits": 7,
        "moves": 12,
        "squared_error_calibrated": 1.09e-05,
    },
    "interval_scores": {
        "n": 12,
        "covered": [6, 10, 11, 12],
        "width": [0.0148, 0.0312, 0.0432, 0.0552],
        "pinball_loss": 0.00311,
        "pinball_loss_constant": 0.00344,
        "pinball_loss_exponential": 0.00318,
    },
    "source_offset": 4711,
    "promotion_offset": 4650,
    "corrections": 1,
    "state_digest": "9b1c4e7d" * 8,
    "numeric_profile": "5-50ac22fce68847bb",
}
BASKETS: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "baskets",
    "version": "682e8549",
    "baskets": [["BTCUSDT", "ETHUSDT"], ["BONKUSDT", "PEPEUSDT", "WIFUSDT"]],
    "made_from_ms": 1735689600000,
    "made_through_ms": 1743465300000,
}
CARD: Final[dict[str, Any]] = {
    "schema": 1,
    "architecture": {"widths": [8], "window_length": 16, "features": 6},
    "feature_set": "levels",
    "label_scale": 1.0,
    "loss": "squared_error",
    "optimiser": {
        "name": "adam",
        "rate": 1e-05,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-07,
    },
    "shrinkage": {"weight": 4.0, "prior": 0.0, "caution": 0.0, "memory": 1.0, "largest": 8.0},
    "intervals": {
        "weights": [0.06, 0.25, 0.09, 0.22, 0.09],
        "hours": [1.0] * 24,
        "parts_of_an_hour": [1.0] * 12,
        "quantiles": [-2.6, -2.1, -1.6, -0.8, 0.8, 1.6, 2.1, 2.6],
        "change": 0.0024,
        "true_range": 0.0045,
    },
    "evidence": {"false_flag_rate": 2.5e-05},
    "learns": "gradient",
    "head": None,
    "starts": {},
    "baskets": None,
    "scalers": {"BTCUSDT": {"scale": [1e-05] * 6, "offset": [-0.5] * 6}},
    "trained_from_ms": 1735689600000,
    "trained_through_ms": 1743465300000,
    "parent": None,
    "scores": {},
    "training": {},
}
WITHDRAWAL: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "withdrawal",
    "time_ms": 1743466500000,
    "reason": "promoted by mistake, never trained",
}
PREDICTION_HEADERS: Final[dict[str, Any]] = {
    "transactional-id": "ulstm-predictor-0b0e8a52-6f37-4d3b-9c2e-5d1f4a7f9c11"
}
BUNDLE_HEADERS: Final[dict[str, Any]] = {"published_ms": "1743466201342"}
DEAD_LETTER_HEADERS: Final[dict[str, Any]] = {
    "schema": "1",
    "topic": "klines.5m",
    "partition": "3",
    "offset": "4711",
    "reason": "off_grid",
    "message": "open time 1743465900001 ms is not a multiple of the interval 300000 ms",
}
SYMBOL_CONTROL: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "follow",
    "symbol": "SOLUSDT",
    "interval": "5m",
    "time_ms": 1743466500000,
    "reason": "",
}
BAN: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "ban",
    "exchange": "binance",
    "until_ms": 1743466500000,
}
SKIP: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "skip",
    "interval": "5m",
    "partition": 3,
    "offset": 4711,
    "time_ms": 1743466500000,
    "reason": "written by a test of another program",
}
COPY: Final[dict[str, Any]] = {
    "schema": 1,
    "type": "copy",
    "source": "klines.5m",
    "source_id": "Zk3Jg0bQS2mK1nqX7Wc4Aw",
    "interval": "5m",
    "next_offsets": {"0": 52_560, "1": 52_571},
}
