import pytest

from services.producer.settings import ProducerSettings
from shared.core.errors import BadSetting


@pytest.mark.parametrize(
    ("environ", "setting"),
    [
        ({}, "SYMBOLS"),
        ({"SYMBOLS": ","}, "SYMBOLS"),
        ({"SYMBOLS": "BTC/USDT"}, "SYMBOLS"),
        ({"SYMBOLS": "BTCUSDT", "EXCHANGE": "bourse"}, "EXCHANGE"),
        ({"SYMBOLS": "BTCUSDT", "EXCHANGE_REST_URL": "ftp://x"}, "EXCHANGE_REST_URL"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(environ: dict[str, str], setting: str) -> None:
    with pytest.raises(BadSetting, match=setting):
        ProducerSettings.from_env(environ)


def test_symbols_are_a_list_or_all() -> None:
    listed = ProducerSettings.from_env({"SYMBOLS": "btcusdt, ETHUSDT"})

    assert listed.selection.names == ("BTCUSDT", "ETHUSDT")
    assert ProducerSettings.from_env({"SYMBOLS": "all"}).selection.wants_all
    assert ProducerSettings.from_env({"SYMBOLS": "top:20:usdt"}).selection.most_traded == 20
