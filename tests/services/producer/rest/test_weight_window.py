from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.producer.rest.requests import Priority
from services.producer.rest.weight_window import (
    BURST_S,
    DELAY_S,
    MINUTE_S,
    PRIORITY_SHARE,
    RECONCILIATION_SHARE,
    REPORT_AGE_S,
    WeightWindow,
)

LIMIT, SHARE = 1_000, 0.6
MOST = 600
Sent = list[tuple[float, int, Priority]]

requests = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([1, 2, 20, 80]), st.sampled_from(list(Priority))),
    max_size=200,
)


def send_all(window: WeightWindow, wanted: Sequence[tuple[float, int, Priority]]) -> Sent:
    """Send each request as early as the window allows; return when each was sent."""
    sent, now_s = Sent(), 0.0
    for pause_s, weight, priority in wanted:
        now_s += pause_s
        while (wait_s := window.wait_s(weight, priority, now_s)) > 0:
            now_s += wait_s
        window.spend(weight, priority, now_s)
        sent.append((now_s, weight, priority))
    return sent


def spent_within(sent: Sent, first: int, span_s: float) -> int:
    """Return the weight sent from a request on, within a span."""
    from_s = sent[first][0]
    return sum(weight for at_s, weight, _ in sent[first:] if at_s < from_s + span_s)


@given(requests)
def test_no_minute_has_more_than_the_share(wanted: Sequence[tuple[int, int, Priority]]) -> None:
    sent = send_all(WeightWindow(LIMIT, SHARE), wanted)

    assert all(spent_within(sent, at, MINUTE_S) <= MOST for at in range(len(sent)))


@given(requests, st.data())
def test_no_minute_of_the_exchange_has_more_although_requests_are_delayed(
    wanted: Sequence[tuple[int, int, Priority]], data: st.DataObject
) -> None:
    delays = st.floats(0.0, DELAY_S, exclude_max=True)
    arrived = sorted(
        (at_s + data.draw(delays), weight, priority)
        for at_s, weight, priority in send_all(WeightWindow(LIMIT, SHARE), wanted)
    )

    assert all(spent_within(arrived, at, MINUTE_S) <= MOST for at in range(len(arrived)))


@pytest.mark.parametrize("priority", list(Priority))
def test_what_can_wait_leaves_room_for_the_newest_candles(priority: Priority) -> None:
    window = WeightWindow(LIMIT, SHARE)

    sent = send_all(window, [(0.0, 2, priority)] * 400)

    at_most = MOST * PRIORITY_SHARE[priority]
    assert all(spent_within(sent, at, MINUTE_S) <= at_most for at in range(len(sent)))
    full_s = sent[0][0] + (0.0 if priority is Priority.LIVE else 3 * BURST_S)
    if priority is not Priority.LIVE:
        assert window.wait_s(2, Priority.LIVE, full_s) == 0.0


def test_reconciliation_has_a_small_share_of_its_own() -> None:
    sent = send_all(WeightWindow(LIMIT, SHARE), [(0.0, 2, Priority.RECONCILIATION)] * 200)

    at_most = MOST * RECONCILIATION_SHARE
    assert all(spent_within(sent, at, MINUTE_S) <= at_most for at in range(len(sent)))


def test_what_can_wait_is_spread_over_the_minute() -> None:
    sent = send_all(WeightWindow(LIMIT, SHARE), [(0.0, 2, Priority.BACKFILL)] * 400)

    assert all(spent_within(sent, at, BURST_S) <= MOST / 3 for at in range(len(sent)))


def test_the_weight_of_others_behind_the_address_counts() -> None:
    window = WeightWindow(LIMIT, SHARE)
    window.spend(2, Priority.LIVE, 0.0)
    window.report_used(2 + 500, 0.1)

    sent = send_all(window, [(0.2, 2, Priority.LIVE)] * 60)

    assert spent_within(sent[:49], 0, MINUTE_S) == 98
    assert sent[48][0] < REPORT_AGE_S


def test_while_others_use_it_all_a_request_asks_now_and_then() -> None:
    window = WeightWindow(LIMIT, SHARE)
    window.report_used(999, 0.0)

    assert window.wait_s(2, Priority.LIVE, 0.0) == REPORT_AGE_S
    assert window.wait_s(2, Priority.LIVE, REPORT_AGE_S) == 0.0


def test_the_own_weight_in_the_report_is_not_counted_twice() -> None:
    window = WeightWindow(LIMIT, SHARE)
    window.spend(590, Priority.LIVE, 0.0)
    window.report_used(590, 0.1)

    assert window.wait_s(10, Priority.LIVE, 0.2) == 0.0


def test_a_request_above_the_share_is_sent_in_an_empty_minute() -> None:
    window = WeightWindow(100, SHARE)

    assert window.wait_s(80, Priority.LIVE, 0.0) == 0.0
    window.spend(80, Priority.LIVE, 0.0)
    assert window.wait_s(80, Priority.LIVE, 1.0) == MINUTE_S + DELAY_S - 1.0
