"""A card's settings of the evidence that makes a forecast actionable."""

from dataclasses import dataclass

from shared.core.model.limits import check_range


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """How rarely a useless forecast may be called actionable.

    The default is 5 % shared out among 2,000 symbols: the probability that any one of so many
    useless forecasts is ever flagged, however long one looks, is at most 5 %.
    """

    false_flag_rate: float = 2.5e-5  # for one symbol, ever

    def __post_init__(self) -> None:
        """Reject a rate that cannot be one."""
        check_range("evidence false_flag_rate", self.false_flag_rate, 1e-12, 1.0)
