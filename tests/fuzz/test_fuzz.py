"""Whatever the bytes are, a decoder raises errors of the project alone, in bounded memory."""

from collections.abc import Iterator
from multiprocessing.pool import Pool

import pytest

from tests.fuzz.decoder_sites import parsing_functions
from tests.fuzz.registry import NO_DECODERS, TARGETS
from tests.fuzz.run import Round, processes, run_bombs, run_round
from tests.fuzz.target import Target


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with processes(2) as pool:
        yield pool


def test_bombs_and_damaged_input_raise_errors_of_the_project_in_bounded_memory(pool: Pool) -> None:
    rounds = [Round(name, 1, 0.0) for name in TARGETS]

    outcomes = [*pool.imap_unordered(run_bombs, TARGETS), *pool.imap_unordered(run_round, rounds)]

    assert [one.failures[0] for one in outcomes if one.failures] == []
    assert all(one.cases for one in outcomes)


def test_every_function_that_parses_is_reached_by_a_target_or_says_why_not() -> None:
    covered = {function for target in TARGETS.values() for function in target.covers}

    assert sorted(parsing_functions() - covered - set(NO_DECODERS)) == []


def test_no_target_names_a_function_that_does_not_parse() -> None:
    covered = {function for target in TARGETS.values() for function in target.covers}

    assert sorted((covered | set(NO_DECODERS)) - parsing_functions()) == []
    assert sorted(covered & set(NO_DECODERS)) == []


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_samples_of_a_target_are_what_it_decodes(target: Target) -> None:
    target.decode(target.wrap(target.samples[0]))
