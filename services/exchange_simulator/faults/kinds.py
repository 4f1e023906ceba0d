"""The kinds of fault, each with what it does and what its parameters mean.

Times: `delay`, `trickle` and whatever else happens on the wire are in seconds of a real clock. What
is part of the market's time (a value that settles, a clock that is ahead) is in the exchange's
seconds.
"""

from typing import Final

MARKET: Final = {
    "hole": "no candle opens: neither REST nor the stream ever has one",
    "off-grid": "candles open `seconds` late, as after an outage of the exchange",
    "listing": "the symbols are listed at this moment; before it nobody knows them",
    "halt": "the symbols do not trade: status `value` (BREAK), no candles",
    "delisting": "the symbols end at this moment: status `value` (BREAK), or `gone` from the list",
}
REST_ANSWERS: Final = {
    "rest-down": "connections are dropped instead of answered",
    "rest-delay": "answers come `seconds` late",
    "rest-stall": "requests are never answered",
    "rest-trickle": "an answer's body comes byte by byte, one each `seconds`",
    "rest-trickle-headers": "an answer's headers come byte by byte, one each `seconds`",
    "rest-cut": "the connection is lost in the middle of a body",
    "rest-refusal": "HTTP `status`, with `value` as Retry-After",
    "rest-text": "HTTP 200 with the text `value` (a page of HTML)",
    "rest-answer": "HTTP 200 with `value` as JSON",
    "rest-deep": "JSON nested `count` (100,000) levels deep",
    "rest-long-number": "JSON with a number of `count` (5,000) digits",
    "rest-huge": "a body of `count` (16,000,000) bytes",
}
REST_REQUESTS: Final = {
    "rows-start-ignored": "a cache answers with the newest rows, whatever start was requested",
    "rows-stale": "a cache answers as `seconds` ago",
}
REST_ROWS: Final = {
    "rows-missing": "rows are absent: those of `candles`, or the newest `count`",
    "rows-unreadable": "closes are `value` (NaN) in the rows of `candles`, or in all",
    "rows-floats": "prices are JSON numbers instead of strings",
    "rows-exponents": "volumes are written with an exponent: 0E-8, 1.2E+5",
    "rows-other-interval": "rows close after a fifth of the interval",
    "rows-descending": "the newest row comes first",
    "rows-shuffled": "rows come in any order",
    "rows-twice": "a row comes twice",
    "rows-contradicting": "a row comes twice, with different values",
    "rows-short": "rows lack their last columns",
    "rows-from-the-future": "a row that opens far in the future is added",
    "rows-not-requested": "a row before the requested start is added",
    "rows-provisional": "rows that closed less than `seconds` ago have other values",
}
EXCHANGE_INFO: Final = {
    "info-missing": "`exchangeInfo` lacks the symbols, or its last `count`",
    "info-empty": "`exchangeInfo` has no symbols",
    "info-limits": "`exchangeInfo` has `value` as its rateLimits",
}
CLOCK: Final = {"time-ahead": "the answer to `time` is `seconds` ahead"}
STREAM_CONNECTIONS: Final = {
    "stream-refusal": "handshakes are refused with HTTP `status`, `value` as Retry-After",
    "stream-stalled-handshake": "handshakes are never answered",
    "stream-drop": "connections are lost, each once",
    "stream-flap": "connections are lost `seconds` after their handshake",
    "stream-shutdown": "serverShutdown is announced, the connection closed `seconds` later",
    "stream-silence": "connections stay open and carry nothing, no pings either",
    "stream-garbage": "each connection gets `count` frames with the text `value`",
    "stream-large": "each connection gets a frame of `count` (2,000,000) bytes",
}
SUBSCRIPTIONS: Final = {
    "subscribe-refused": "a SUBSCRIBE that names one of the symbols is refused",
    "subscribe-ignored": "a SUBSCRIBE that names one of the symbols is never acknowledged",
    "subscribe-too-long": "a SUBSCRIBE of more than `count` (4,096) bytes is never acknowledged",
    "subscribe-slow": "a SUBSCRIBE is acknowledged `seconds` later",
}
STREAM_EVENTS: Final = {
    "kline-lost": "closed klines are not sent",
    "kline-silent": "no klines of the symbols are sent",
    "kline-late": "closed klines are sent `seconds` late",
    "kline-twice": "closed klines are sent twice",
    "kline-provisional": "closed klines are sent with other values first, then with the right ones",
    "kline-wrong": "closed klines have other values than REST will give",
    "kline-early-close": "klines are sent as closed up to `seconds` before their end",
    "kline-future-close": "a closed kline that opens `seconds` ahead is sent at each close",
    "kline-event-ahead": "event times are `seconds` ahead",
    "kline-floats": "prices of closed klines are JSON numbers",
    "kline-exponents": "volumes of closed klines are written with an exponent",
    "kline-unreadable": "closes of closed klines are `value` (NaN)",
    "kline-other-interval": "closed klines name another interval",
}
KINDS: Final = {
    **MARKET, **REST_ANSWERS, **REST_REQUESTS, **REST_ROWS, **EXCHANGE_INFO, **CLOCK,
    **STREAM_CONNECTIONS, **SUBSCRIPTIONS, **STREAM_EVENTS,
}  # fmt: skip
# Faults from which a client recovers; the first three change the truth itself.
MIXED: Final = (
    "hole", "off-grid", "halt", "rest-down", "rest-delay", "rest-stall", "rest-trickle", "rest-cut",
    "rest-refusal", "rest-text", "rest-deep", "rest-long-number", "rest-answer",
    "rows-start-ignored", "rows-stale", "rows-missing", "rows-unreadable", "rows-floats",
    "rows-exponents", "rows-descending", "rows-shuffled", "rows-twice", "rows-contradicting",
    "rows-short", "rows-not-requested", "info-empty", "info-missing", "time-ahead", "stream-drop",
    "stream-flap", "stream-silence", "stream-refusal", "stream-shutdown", "stream-garbage",
    "kline-lost", "kline-silent", "kline-late", "kline-twice", "kline-provisional", "kline-wrong",
    "kline-early-close", "kline-future-close", "kline-event-ahead", "kline-floats",
    "kline-exponents", "kline-unreadable", "kline-other-interval",
)  # fmt: skip
