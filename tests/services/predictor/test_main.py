import threading

import pytest

from services.predictor.__main__ import run
from services.predictor.settings import PredictorSettings
from shared.core.errors import Incompatible


def test_a_replica_that_computes_other_bits_refuses_before_it_touches_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.core.model.numeric_profile.GOLDEN", "0" * 64)

    with pytest.raises(
        Incompatible,
        match="on this machine, so it must not predict; rebuild it with `make install`",
    ):
        run(PredictorSettings(kafka_bootstrap_servers="127.0.0.1:1"), threading.Event())
