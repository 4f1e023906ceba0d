"""Evidence that a symbol's forecasts are better than zero change: it holds at any time."""

from dataclasses import dataclass
from typing import Final

from shared.core.model.evidence_settings import EvidenceSettings

LARGEST_OUTCOME: Final = 8.0  # changes beyond so many change scales count as this much

_PRIOR_BET: Final = 1.0  # the best bet on a calibrated forecast (Kelly 1956)
_PRIOR_WEIGHT: Final = 100.0  # of it, as a sum of squared payoffs
_LARGEST_BET: Final = 1.0
_LARGEST_LOSS: Final = 0.5  # of the wealth, by one outcome
_CAP: Final = 100.0  # wealth beyond so many times the threshold would only delay a withdrawal


@dataclass(frozen=True, slots=True)
class Evidence:
    """A gambler's wealth who bets on each forecast before its outcome is known.

    With o the outcome bounded to +-8 and f the calibrated forecast, both in change scales, a bet b
    multiplies the wealth by 1 + b f o. As long as forecasts are useless (no positive multiple of
    them is better than zero change: the mean of f o, given all before, is at most 0), no choice of
    b >= 0 makes the wealth grow in the mean. So it ever reaches 1 / a with a probability of at most
    a, however often one looks (Ville 1939; Waudby-Smith and Ramdas 2024, betting). Nothing else is
    assumed: not independence, not a distribution, not that weights or models stay the same.
    """

    wealth: float = 1.0
    payoffs: float = 0.0  # sum of f o
    squared_payoffs: float = 0.0
    gain: float = 0.0  # squared error of zero change less that of the forecasts

    def is_actionable(self, settings: EvidenceSettings) -> bool:
        """Return whether forecasts have been better than zero change beyond chance.

        The wealth must say that a multiple of them is, and the sum of squared errors that they are
        as they stand.
        """
        return self.wealth * settings.false_flag_rate >= 1.0 and self.gain > 0.0

    def with_outcome(
        self, forecast: float, outcome: float, settings: EvidenceSettings
    ) -> "Evidence":
        """Return the evidence after one more outcome.

        Args:
            forecast: the calibrated forecast in change scales, made before the outcome.
            outcome: the change, in the same unit.
            settings: the card's.
        """
        bounded = min(LARGEST_OUTCOME, max(-LARGEST_OUTCOME, outcome))
        payoff = forecast * bounded
        wealth = self.wealth * (1.0 + self._bet(forecast) * payoff)
        return Evidence(
            min(wealth, _CAP / settings.false_flag_rate),
            self.payoffs + payoff,
            self.squared_payoffs + payoff * payoff,
            self.gain + forecast * (2.0 * bounded - forecast),
        )

    def _bet(self, forecast: float) -> float:
        """Return the bet on a forecast, from the outcomes before it.

        It is the bet that would have been about best so far (approximate GRAPA: Waudby-Smith and
        Ramdas 2024), never against the forecast, and never so much that one outcome can ruin.
        """
        mean = _PRIOR_BET * _PRIOR_WEIGHT + self.payoffs
        bet = min(_LARGEST_BET, max(0.0, mean / (_PRIOR_WEIGHT + self.squared_payoffs)))
        largest_payoff = LARGEST_OUTCOME * abs(forecast)
        return bet if bet * largest_payoff <= _LARGEST_LOSS else _LARGEST_LOSS / largest_payoff
