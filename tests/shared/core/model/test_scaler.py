import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import MinMaxScaler

from shared.core.model.scaler import fit_min_max_scaler


@given(arrays(np.float64, st.tuples(st.integers(2, 30), st.just(4)), elements=st.floats(-1e6, 1e6)))
def test_the_fit_is_that_of_scikit_learn(
    rows: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
) -> None:
    theirs = MinMaxScaler().fit(rows)

    ours = fit_min_max_scaler(rows)

    assert np.allclose(ours.scale, theirs.scale_, rtol=1e-15)
    assert np.allclose(ours.offset, theirs.min_, rtol=1e-15)
