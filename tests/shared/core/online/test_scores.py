from dataclasses import fields

from shared.core.online.scores import Scores


def test_the_scores_of_two_symbols_add_up_in_every_field() -> None:
    numbers = range(1, 1 + len(fields(Scores)))
    one, other = Scores(*numbers), Scores(*(10 * number for number in numbers))

    assert one.plus(other) == Scores(*(11 * number for number in numbers))
