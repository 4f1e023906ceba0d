"""Models of every kind that the online step distinguishes, and candles for them."""

from dataclasses import replace

import pytest
from hypothesis import strategies as st

from shared.core.model.optimiser import Optimiser
from tests.support.builders import START_MS, a_card, a_model

MODEL = a_model()
OTHER = a_model(seed=2)
RETURNS = a_model(  # trained before the candles, so that their outcomes are evidence
    card=replace(
        a_card(features="returns", label_scale=1.0, huber_delta=2.0), trained_through_ms=START_MS
    )
)
SGD = a_model(card=a_card(features="returns", label_scale=1.0, optimiser=Optimiser("sgd", 1e-2)))
HEAD = a_model(card=a_card(features="returns", label_scale=1.0, learns="head"))
BOTH = a_model(card=a_card(features="returns", label_scale=1.0, learns="both"))
MODELS = {model.version: model for model in (MODEL, OTHER, RETURNS, SGD, HEAD, BOTH)}
OTHER_WEIGHTS = {
    model.version: a_model(seed=3, card=model.card).base_learner for model in (MODEL, RETURNS, SGD)
}
both_feature_sets = pytest.mark.parametrize("model", [MODEL, RETURNS], ids=["levels", "returns"])
gradient_kinds = pytest.mark.parametrize(
    "model", [MODEL, RETURNS, SGD], ids=["levels", "returns", "sgd"]
)
head_kinds = pytest.mark.parametrize("model", [HEAD, BOTH], ids=["head", "both"])
all_kinds = pytest.mark.parametrize(
    "model",
    [MODEL, RETURNS, SGD, HEAD, BOTH],
    ids=["levels", "returns", "sgd", "head", "both"],
)
WINDOW = MODEL.card.architecture.window_length
walks = st.lists(st.floats(50.0, 200.0), min_size=WINDOW + 2, max_size=WINDOW + 25)
