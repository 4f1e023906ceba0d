"""Make text from outside harmless where people read it."""


def escape_controls(text: str) -> str:
    r"""Return a text with its control characters escaped, line breaks among them.

    These are the characters that a terminal obeys, that begin a new line, or that turn the reading
    direction.

    >>> print(escape_controls("BTC\x1b[2J\n2026-01-01 ERROR a forged line"))
    BTC\x1b[2J\n2026-01-01 ERROR a forged line
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
