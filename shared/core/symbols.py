r"""Names of symbols: what an exchange can list, and how a user may write it. PURE.

The rule is Binance's own, `[\w\-._&&[^a-z]]{1,50}`: names such as 币安人生USDT are listed there.
"""

from functools import lru_cache
from typing import Final
from unicodedata import category, is_normalized, normalize

from shared.core.errors import BadSetting

MAX_SYMBOL_CHARACTERS: Final = 50
SYMBOL_RULE: Final = (
    f"1 to {MAX_SYMBOL_CHARACTERS} capital letters or digits of any script, with - _ . inside"
)

_INSIDE: Final = "-_."
_CACHED_SYMBOLS: Final = 16_384  # a deployment's; readers check the symbol of every record


@lru_cache(_CACHED_SYMBOLS)
def is_symbol(name: str) -> bool:
    """Say whether a name is a symbol: it is a key on every topic, in Redis and in file names.

    >>> [is_symbol(name) for name in ("BTCUSDT", "币安人生USDT", "btcusdt", "BTC/USDT", "..")]
    [True, True, False, False, False]
    """
    if not 1 <= len(name) <= MAX_SYMBOL_CHARACTERS:
        return False
    # Two spellings of one name would be two symbols: only the composed one is taken.
    is_plain = all(map(_is_symbol_character, name)) and is_normalized("NFC", name)
    return is_plain and _is_letter_or_digit(name[0]) and name[-1] not in _INSIDE


def normalise_symbol(text: str) -> str:
    """Return a symbol as the exchange writes it: composed (NFC), its Latin letters in capitals.

    >>> normalise_symbol(" 币安人生usdt ")
    '币安人生USDT'
    """
    composed = normalize("NFC", text.strip())
    return "".join(each.upper() if each.isascii() else each for each in composed)


def parse_symbols(text: str, setting: str = "SYMBOLS") -> tuple[str, ...]:
    """Return the symbols of a comma-separated list, as the exchange writes them.

    Args:
        text: the list.
        setting: where it comes from, for the message.

    Raises:
        BadSetting: one is no symbol or comes twice.
    """
    symbols = tuple(normalise_symbol(part) for part in text.split(",") if part.strip())
    for symbol in symbols:
        if not is_symbol(symbol):
            raise BadSetting(f"{setting} has {symbol!r}; a symbol is {SYMBOL_RULE}")
    if len(set(symbols)) != len(symbols):
        raise BadSetting(f"{setting} names a symbol twice: {text}")
    return symbols


def _is_symbol_character(character: str) -> bool:
    if character.isascii():
        return character in _INSIDE or (character.isalnum() and not character.islower())
    return category(character)[0] in "LMN"  # letters, marks, numbers


def _is_letter_or_digit(character: str) -> bool:
    return character.isalnum()
