"""The context and the options of a fold."""

from dataclasses import dataclass
from typing import Final, Self

from shared.core.model.numeric_profile import self_test
from shared.core.topics import interval_ms


@dataclass(frozen=True, slots=True)
class FoldContext:
    """The settings that are part of every prediction: the interval and the numeric profile."""

    interval: str
    interval_ms: int
    numeric_profile: str

    @classmethod
    def of_this_machine(cls, interval: str) -> Self:
        """Return the context of an interval with the numeric profile of this machine's kernel.

        Raises:
            Incompatible: the kernel does not compute the golden bits.
        """
        return cls(interval, interval_ms(interval), self_test())

    def predicts(self, profile: str | None) -> bool:
        """Return whether this profile predicts where `profile` is the one promoted last.

        None: nothing is promoted yet, so nothing is predicted by any other profile either.
        """
        return profile in (None, self.numeric_profile)


@dataclass(frozen=True, slots=True)
class FoldOptions:
    """Optional computations of a fold. No other value depends on them."""

    # The Jacobian of the new prediction, with its forward pass. Cheaper than later, when the
    # forward pass has to be repeated, but the prediction waits for it.
    jacobian: bool = False
    digest: bool = True  # of the state before the candle: a quarter of a step's time


LIVE: Final = FoldOptions()
REPLAY: Final = FoldOptions(jacobian=True)
