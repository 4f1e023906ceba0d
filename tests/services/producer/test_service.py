import pytest

from services.producer.sequencer import SymbolCursor
from services.producer.service import followed, places
from services.producer.settings import ProducerSettings
from shared.core.errors import BadSetting

STATUSES = {
    "BTCUSDT": "TRADING",
    "ETHUSDT": "TRADING",
    "LUNAUSDT": "BREAK",
    "币安人生USDT": "TRADING",
}


def nothing(_: object) -> list[str]:
    return []


def test_all_means_what_is_traded_under_a_name_that_the_log_takes() -> None:
    assert followed(None, STATUSES, nothing) == ["BTCUSDT", "ETHUSDT"]


def test_a_symbol_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(BadSetting, match="BTCUSTD"):
        followed(["BTCUSDT", "BTCUSTD"], STATUSES, nothing)


def test_a_symbol_that_has_left_the_exchange_stops_no_other() -> None:
    assert followed(["BTCUSDT", "OLDUSDT"], STATUSES, list) == ["BTCUSDT"]


def test_more_symbols_than_a_connection_takes_are_refused() -> None:
    many = {f"S{n}USDT": "TRADING" for n in range(1025)}

    with pytest.raises(BadSetting, match="1025"):
        followed(None, many, nothing)
    assert len(followed(list(many)[:1024], many, nothing)) == 1024


def test_a_symbol_goes_on_where_the_log_ends_and_a_new_one_begins_so_many_candles_back() -> None:
    assert places(["BTCUSDT", "NEWUSDT"], {"BTCUSDT": 900}, 300) == {
        "BTCUSDT": SymbolCursor("BTCUSDT", 900),
        "NEWUSDT": SymbolCursor("NEWUSDT", 300, is_new=True),
    }


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SYMBOLS": ","},
        {"SYMBOLS": "BTC-USDT"},
        {"SYMBOLS": "BTCUSDT", "EXCHANGE_REST_URL": "ftp://x"},
    ],
)
def test_settings_that_cannot_be_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(BadSetting):
        ProducerSettings.from_env(environ)


def test_symbols_are_a_list_or_all() -> None:
    assert ProducerSettings.from_env({"SYMBOLS": "btcusdt, ETHUSDT"}).named_symbols == (
        "BTCUSDT",
        "ETHUSDT",
    )
    assert ProducerSettings.from_env({"SYMBOLS": "all"}).named_symbols is None
