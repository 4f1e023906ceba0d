"""Read decimal numbers that a service wrote with an exponent."""

import re
from decimal import Decimal
from typing import Final

_EXPONENT: Final = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?[eE][+-]?[0-9]{1,2}")


def to_plain_decimal(text: str) -> str:
    """Return a number without its exponent, digit for digit; any other text as it is.

    >>> to_plain_decimal("0E-8"), to_plain_decimal("1.2E+5"), to_plain_decimal("3300.00")
    ('0.00000000', '120000', '3300.00')
    """
    return f"{Decimal(text):f}" if _EXPONENT.fullmatch(text) else text
