"""A symbol's live weights are those that the fold of the whole log gives."""

from pathlib import Path

import numpy as np
import pytest

from services.trainer.keras_files.live_state import read_live_state
from services.trainer.keras_files.reader import read_weights
from services.trainer.keras_files.transfer import export_live_weights, import_with_card
from shared.core.errors import BadInput, Unknown
from shared.core.model.card import Card
from shared.core.online.model import Model
from shared.core.online.state import SymbolState
from shared.core.records import Promotion
from shared.core.topics import partition_for
from tests.services.trainer.trainer_deployment import PARTITIONS, SYMBOLS, TrainerDeployment
from tests.support.builders import a_card, a_promotion, a_walk, fold_all

pytestmark = [
    pytest.mark.integration,
    # Keras' own saving, with NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
BEFORE, AFTER = 30, 12  # candles of a symbol, before and after the promotion


def fill(deployment: TrainerDeployment, card: Card | None = None) -> str:
    """Write candles of all symbols, with a promotion among them; return the version."""
    walks = {s: a_walk(BEFORE + AFTER, seed) for seed, s in enumerate(SYMBOLS)}

    def write(start: int, stop: int) -> None:
        spans = [(s, at) for at in range(start, stop) for s in SYMBOLS]
        deployment.write(deployment.candle(s, at, walks[s][at]) for s, at in spans)

    write(0, BEFORE)
    version = deployment.release(1, card or a_card())
    write(BEFORE, BEFORE + AFTER)
    for partition in range(PARTITIONS):
        deployment.await_settled(deployment.topics.klines, partition)
    return version


def folded(deployment: TrainerDeployment, version: str, symbol: str) -> SymbolState:
    """Fold all records of the symbol's partition."""
    codec = deployment.settings.codec
    model = Model(deployment.registry.bundles.load(version))
    read = deployment.read(deployment.topics.klines, [partition_for(symbol, PARTITIONS)])
    decoded = [codec.decode(record.value, record.partition) for record in read]
    records = [a_promotion(model) if isinstance(r, Promotion) else r for r in decoded]
    state, _ = fold_all(records, {version: model})
    return state.symbols[symbol]


def test_the_weights_at_the_end_of_the_log_are_written_as_a_keras_file(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    version, file = fill(deployment), tmp_path / "live.keras"
    settings = deployment.trainer_settings()

    text = export_live_weights(settings, SYMBOLS[1], file)

    learner = folded(deployment, version, SYMBOLS[1]).learner
    assert learner is not None
    written = read_weights(file, deployment.registry.bundles.load(version).card.architecture)
    assert written.tobytes() == learner.weights.tobytes()
    assert f"{SYMBOLS[1]} after {learner.steps} steps with {version}" in text
    assert "all weights have learnt; left out: the states of optimiser and calibration" in text


def test_a_head_is_the_last_layer_of_the_file_and_becomes_that_of_a_version(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    card = a_card(features="returns", label_scale=1.0, learns="head")
    version, file = fill(deployment, card), tmp_path / "live.keras"
    settings, bundles = deployment.trainer_settings(), deployment.registry.bundles

    text = export_live_weights(settings, SYMBOLS[1], file)
    imported = bundles.load(import_with_card(settings, file, version))

    live, base = folded(deployment, version, SYMBOLS[1]).head, bundles.load(version).head
    assert live is not None
    assert base is not None
    assert imported.head is not None
    assert imported.head.weights.tolist() == live.weights.astype(np.float32).tolist()
    assert imported.head.variances.tolist() == base.variances.tolist()
    assert "the LSTM layers are those of the version; left out" in text
    assert "the covariance of the head" in text


def test_a_symbol_without_weights_is_unknown(deployment: TrainerDeployment) -> None:
    deployment.fill()
    settings, load = deployment.trainer_settings(), deployment.registry.bundles.load

    for symbol in ("ZZZUSDT", SYMBOLS[0]):  # no candles; no promotion
        with pytest.raises(Unknown, match=f"{symbol} has no weights"):
            read_live_state(settings, symbol, load)


def test_a_file_of_another_kind_is_refused_before_the_log_is_read(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"ends in \.keras"):
        export_live_weights(deployment.trainer_settings(), SYMBOLS[0], tmp_path / "live.h5")


def test_the_trainer_prints_what_the_file_holds(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    fill(deployment)
    file = tmp_path / "live.keras"

    code, out, _ = deployment.run_trainer("export", str(file), "--symbol", SYMBOLS[0])

    assert code == 0
    assert out.startswith(f"{file}: {SYMBOLS[0]} after ")
    assert file.exists()
