"""The refusal of a bundle that the kernel or the fold cannot use."""

from typing import NoReturn

from shared.core.errors import BadInput


def refuse(what: str, value: object, limit: str) -> NoReturn:
    message = f"{what} is {value}; allowed: {limit}. Rebuild the model within these limits"
    raise BadInput("bad_bundle", message)
