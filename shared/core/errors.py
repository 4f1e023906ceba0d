"""Errors, named after the caller's reaction."""


class UlstmError(Exception):
    """Base class of every error that this system raises on purpose."""


class BadInput(UlstmError):
    """Raised for bytes, a record or a file that will never be right: skip it and continue.

    Args:
        reason: one word for machines, such as `not_json` or `out_of_order`.
        message: names the value, the limit and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason and the message."""
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["BadInput"], tuple[str, str]]:
        """Make it picklable: ProcessPoolExecutor sends it between processes."""
        return type(self), (self.reason, str(self))


class BadSetting(UlstmError):
    """Raised for a wrong setting: refuse to start and name the setting."""


class Unavailable(UlstmError):
    """Raised when a server does not answer: try again later."""


class Blocked(Unavailable):
    """Raised for a record that cannot be read past until a person acts: hold what follows it."""


class Incompatible(UlstmError):
    """Raised when stored data and this version do not fit: stop and name the remedy."""


class NotAuthorized(UlstmError):
    """Raised when a server refuses who this is, or a right that it needs: stop and name it."""


class Unknown(UlstmError):
    """Raised for a symbol or a model version that does not exist."""
