from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadSetting
from shared.core.symbols import MAX_SYMBOL_CHARACTERS, is_symbol, normalise_symbol, parse_symbols


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT",
        "B",
        "1000SATSUSDT",
        "币安人生USDT",
        "BTC-USDT",
        "BTCUSDT_260925",
        "ไทยUSDT",
        "ÉCU",
    ],
)
def test_what_an_exchange_can_list_is_a_symbol(name: str) -> None:
    assert is_symbol(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "btcusdt",
        "BTC/USDT",
        "BTC USDT",
        "BTC\n",
        "..",
        "-X",
        "X-",
        "A" * 51,
        "\ufffd",
        "🙂USDT",
    ],
)
def test_what_is_no_key_and_no_file_name_is_no_symbol(name: str) -> None:
    assert not is_symbol(name)


def test_two_spellings_of_a_name_are_one_symbol() -> None:
    apart = normalize("NFD", "ÉCU")

    assert not is_symbol(apart)
    assert normalise_symbol(apart) == "ÉCU"


@given(st.text(max_size=MAX_SYMBOL_CHARACTERS + 2))
def test_a_symbol_is_written_one_way_and_is_safe_in_keys_and_paths(text: str) -> None:
    if is_symbol(text):
        assert normalise_symbol(text) == text
        assert text.encode().decode() == text
        assert text.isprintable()
        assert not set(text) & set('/\\":, ')


def test_names_in_small_letters_are_taken_from_a_user() -> None:
    assert parse_symbols(" btcusdt,币安人生usdt ,") == ("BTCUSDT", "币安人生USDT")


@pytest.mark.parametrize("text", ["BTC/USDT", "-B", "A,A", "A,a"])
def test_what_is_no_list_of_symbols_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="--symbols"):
        parse_symbols(text, "--symbols")
