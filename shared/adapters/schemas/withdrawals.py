"""Records of the topic `models` that withdraw a version which never came."""

import re
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from shared.adapters.schemas import wire

MAX_WITHDRAWAL_BYTES: Final = 2_048
MAX_WITHDRAWAL_REASON: Final = 200  # characters


class WithdrawalMessage(wire.Wire):
    """The end of a version that was promoted and never published: its promotions are rejected.

    The first record of a version decides: a bundle after its withdrawal changes nothing, nor does a
    withdrawal after a bundle.
    """

    schema_: wire.SchemaNumber = wire.schema_field()
    type: Literal["withdrawal"]
    time_ms: wire.TimeMs = Field(description="When it was written, ms since 1970 UTC.")
    reason: Annotated[str, Field(min_length=1, max_length=MAX_WITHDRAWAL_REASON)] = Field(
        description="Why it is withdrawn, as the dead letters of its promotions repeat it."
    )


def encode_withdrawal(reason: str, time_ms: int) -> bytes:
    """Return the canonical bytes of a withdrawal; a long reason is cut."""
    message = WithdrawalMessage(
        type="withdrawal", time_ms=time_ms, reason=reason[:MAX_WITHDRAWAL_REASON]
    )
    return wire.canonical_json(message.model_dump(by_alias=True))


def decode_withdrawal(value: bytes | None) -> WithdrawalMessage:
    """Return the withdrawal of a record's bytes.

    Raises:
        BadInput: they are none.
    """
    try:
        return WithdrawalMessage.model_validate_json(
            wire.check_size(value, MAX_WITHDRAWAL_BYTES, "a withdrawal")
        )
    except ValidationError as error:
        raise wire.to_bad_input(error) from error


def is_model_version(text: str) -> bool:
    """Say whether a text can be the name of a model version."""
    return re.fullmatch(wire.VERSION_PATTERN, text) is not None
