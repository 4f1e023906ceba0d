"""Whatever the bytes are, a decoder raises errors of the project alone, in bounded memory."""

import pytest

from tests.fuzz.decoder_sites import parsing_functions
from tests.fuzz.registry import NO_DECODERS, TARGETS
from tests.fuzz.run import Round, run_all
from tests.fuzz.target import Target

WORKERS = 2
COVERED = {function for target in TARGETS.values() for function in target.covers}


@pytest.mark.slow
@pytest.mark.timeout(300)  # it computes all the time, beside other tests
def test_bombs_and_damaged_input_raise_errors_of_the_project_in_bounded_memory() -> None:
    rounds = [Round(name, 1, 0.0, with_bombs=True) for name in TARGETS]

    results = list(run_all(rounds, WORKERS))

    assert [one.failures[0] for one in results if one.failures] == []
    assert min(one.cases for one in results) > 0


def test_every_function_that_parses_is_reached_by_a_target_or_says_why_not() -> None:
    assert sorted(parsing_functions() - COVERED - set(NO_DECODERS)) == []


def test_no_target_names_a_function_that_does_not_parse() -> None:
    assert sorted((COVERED | set(NO_DECODERS)) - parsing_functions()) == []
    assert sorted(COVERED & set(NO_DECODERS)) == []


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_samples_of_a_target_are_what_it_decodes(target: Target) -> None:
    target.decode(target.wrap(target.samples[0]))
