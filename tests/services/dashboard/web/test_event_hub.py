import asyncio

from services.dashboard.web.event_hub import (
    MAX_BROWSERS,
    QUEUED_EVENTS,
    RESET,
    EventHub,
    Subscription,
    encode_event,
)


def drain(subscription: Subscription) -> list[bytes | None]:
    async def take() -> list[bytes | None]:
        events = []
        while not subscription.is_empty:
            events.append(await subscription.next())
        return events

    return asyncio.run(take())


def test_an_event_is_one_block_of_lines() -> None:
    assert encode_event("overview", b'{"rows":[]}') == b'event: overview\ndata: {"rows":[]}\n\n'


def test_all_browsers_are_sent_the_same_bytes() -> None:
    hub = EventHub()
    one, other = hub.subscribe(), hub.subscribe("BTCUSDT")
    event = encode_event("overview", b"[]")

    hub.publish(event)

    (first,), (second,) = drain(one), drain(other)
    assert first is event
    assert second is event


def test_a_symbols_events_go_to_those_who_watch_it() -> None:
    hub = EventHub()
    nobody, watcher, another = hub.subscribe(), hub.subscribe("BTCUSDT"), hub.subscribe("ETHUSDT")

    hub.publish(b"x", "BTCUSDT")

    assert (drain(nobody), drain(watcher), drain(another)) == ([], [b"x"], [])


def test_a_browser_that_does_not_keep_up_is_told_to_begin_anew() -> None:
    resets = list[bool]()
    hub = EventHub(lambda: resets.append(True))
    slow = hub.subscribe()

    for number in range(QUEUED_EVENTS + 1):
        hub.publish(b"%d" % number)
    hub.publish(b"after")

    assert drain(slow) == [RESET, b"after"]
    assert resets == [True]


def test_the_watched_symbols_are_those_of_the_browsers_that_are_left() -> None:
    hub = EventHub()
    first, second = hub.subscribe("BTCUSDT"), hub.subscribe("BTCUSDT")
    hub.unsubscribe(first)
    assert hub.watched_symbols == {"BTCUSDT"}

    hub.unsubscribe(second)
    assert hub.watched_symbols == frozenset()
    assert hub.browsers == 0


def test_there_is_a_limit_of_browsers() -> None:
    hub = EventHub()
    for _ in range(MAX_BROWSERS):
        assert not hub.is_full
        hub.subscribe()

    assert hub.is_full


def test_at_the_end_every_browser_is_let_go_those_that_come_late_too() -> None:
    hub = EventHub()
    early = hub.subscribe()
    for _ in range(QUEUED_EVENTS):
        hub.publish(b"x")

    hub.close()

    assert drain(early)[-1] is None
    assert drain(hub.subscribe()) == [None]
