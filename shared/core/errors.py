"""What can go wrong, named by what to do about it."""


class UlstmError(Exception):
    """Root of everything this system raises on purpose."""


class BadInput(UlstmError):
    """Raised when bytes, a record or a file will never be right: set it aside and go on.

    Args:
        reason: one word for machines, such as `not_json` or `out_of_order`.
        message: names the value, the limit and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason beside the message."""
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["BadInput"], tuple[str, str]]:
        """Let it travel between processes, which an exception of two arguments does not by itself."""
        return type(self), (self.reason, str(self))


class BadSetting(UlstmError):
    """Raised when a setting is wrong: refuse to start and name it."""


class Unavailable(UlstmError):
    """Raised when a server does not answer: trying again later may succeed."""


class Incompatible(UlstmError):
    """Raised when what is stored and what runs here do not fit: refuse to go on and say what to do."""


class Unknown(UlstmError):
    """Raised when the thing asked for is not there: a symbol, a model version."""
