"""Reject a bundle that the kernel or the fold cannot use."""

from typing import NoReturn

from shared.core.errors import BadInput


def reject_bundle(setting: str, value: object, allowed: str) -> NoReturn:
    """Reject a bundle for one of its settings.

    Raises:
        BadInput: always.
    """
    message = f"{setting} is {value}; allowed: {allowed}. Rebuild the model within these limits"
    raise BadInput("bad_bundle", message)


def check_range(setting: str, value: float, least: float, largest: float) -> None:
    """Check that a bundle's setting lies in a closed range.

    Raises:
        BadInput: it does not.
    """
    if not least <= value <= largest:
        reject_bundle(setting, value, f"{least:g} to {largest:g}")
