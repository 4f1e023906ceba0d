"""A spool keeps bytes out of memory, and says where there is no room for them."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.spool import Spool
from shared.core.errors import BadSetting


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@given(st.lists(st.binary(max_size=2_000)), st.randoms())
def test_chunks_are_read_as_they_were_written_in_any_order(
    values: list[bytes], random: Random
) -> None:
    with Spool() as spool:
        chunks = [(spool.append(value), value) for value in values]
        random.shuffle(chunks)

        assert all(spool.read(chunk) == value for chunk, value in chunks)


def test_a_full_disk_is_told_with_the_setting_that_helps() -> None:
    noise = np.random.default_rng(0).bytes(10_000)

    with Spool() as spool, files_of_at_most(4_096), pytest.raises(BadSetting, match="TMPDIR"):
        spool.append(noise)
