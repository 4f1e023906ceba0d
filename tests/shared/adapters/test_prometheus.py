"""Metrics as they are served, and the pages of health."""

from prometheus_client.parser import text_string_to_metric_families

from shared.adapters.prometheus import Telemetry


def served(telemetry: Telemetry) -> dict[str, float]:
    """Every sample of a service, by its name and labels."""
    text = telemetry.answer("/metrics")[2].decode()
    return {
        sample.name + "".join(f"{{{n}={v}}}" for n, v in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_equal_values_are_observed_at_once() -> None:
    telemetry = Telemetry("t")
    histogram = telemetry.bulk_histogram("seconds", "How long.")

    histogram.observe(0.001, 3)
    histogram.observe(0.2, 2)
    histogram.observe(1e9)

    samples = served(telemetry)
    assert samples["ulstm_t_seconds_bucket{le=0.001}"] == 3
    assert samples["ulstm_t_seconds_bucket{le=0.1}"] == 3
    assert samples["ulstm_t_seconds_bucket{le=0.25}"] == 5
    assert samples["ulstm_t_seconds_bucket{le=60.0}"] == 5
    assert samples["ulstm_t_seconds_bucket{le=+Inf}"] == samples["ulstm_t_seconds_count"] == 6


def test_a_counter_follows_totals_also_when_they_begin_anew() -> None:
    telemetry = Telemetry("t")
    one, many = (
        telemetry.running_total("one_total", "One."),
        telemetry.running_total("many_total", "Many.", "kind"),
    )

    for total in (2, 5, 1, 6):
        one.update(total)
        many.update_all({"a": total})

    samples = served(telemetry)
    assert samples["ulstm_t_one_total"] == samples["ulstm_t_many_total{kind=a}"] == 5 + 6


def test_a_label_that_is_not_shown_any_more_is_gone() -> None:
    telemetry = Telemetry("t")
    lag = telemetry.labelled_gauge("lag", "How far behind.", "partition")

    lag.show({"0": 1.0, "1": 2.0})
    lag.show({"1": 3.0})

    samples = served(telemetry)
    assert samples["ulstm_t_lag{partition=1}"] == 3.0
    assert "ulstm_t_lag{partition=0}" not in samples


def test_a_service_is_ready_once_nothing_speaks_against_it() -> None:
    telemetry = Telemetry("t")
    assert telemetry.answer("/health/ready")[0] == 503

    telemetry.not_ready = None

    assert telemetry.answer("/health/ready") == (200, "text/plain", b"ready\n")


def test_a_loop_that_does_not_turn_is_first_not_ready_and_then_not_alive() -> None:
    now_s = [100.0]
    telemetry = Telemetry("t", longest_turn_s=120.0, clock=lambda: now_s[0])
    now_s[0] += 1_000.0
    assert telemetry.answer("/health/live")[0] == 200, "the loop has not begun"

    telemetry.not_ready = None
    now_s[0] += 31.0
    assert telemetry.answer("/health/ready")[0] == 503
    assert served(telemetry)["ulstm_t_ready"] == 0
    assert telemetry.answer("/health/live")[0] == 200

    now_s[0] += 90.0
    assert telemetry.answer("/health/live")[0] == 503
    assert served(telemetry)["ulstm_t_turn_age_seconds"] == 121.0

    telemetry.note_turn()
    assert telemetry.answer("/health/live")[0] == 200
    assert telemetry.answer("/health/ready")[0] == 200
