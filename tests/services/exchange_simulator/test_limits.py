from services.exchange_simulator.limits import (
    ATTEMPTS,
    BAN_S,
    WEIGHT_PER_MINUTE,
    AttemptLimiter,
    MessageRateLimiter,
    WeightLimiter,
)


def test_request_weight_is_refused_then_banned_then_allowed_again() -> None:
    limiter = WeightLimiter()
    assert limiter.spend(WEIGHT_PER_MINUTE, 60.0).status == 200
    refused = limiter.spend(1, 61.5)
    assert (refused.status, refused.retry_after_s, refused.used_weight) == (
        429,
        59,
        WEIGHT_PER_MINUTE + 1,
    )
    statuses = [limiter.spend(1, 62.0).status for _ in range(20)]
    assert statuses[0] == 429
    assert statuses[-1] == 418
    assert limiter.spend(1, 125.0).status == 418
    assert limiter.spend(1, 62.0 + BAN_S).status == 200


def test_more_than_300_attempts_in_five_minutes_are_too_many() -> None:
    limiter = AttemptLimiter()
    assert all(limiter.accept(number * 0.5) for number in range(ATTEMPTS))
    assert not limiter.accept(299.0)
    assert limiter.accept(301.0)


def test_a_sixth_frame_within_a_second_is_one_too_many() -> None:
    limiter = MessageRateLimiter()
    assert all(limiter.accept(now) for now in (0.0, 0.1, 0.2, 0.3, 0.4, 1.0))
    assert not limiter.accept(1.05)
