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
