"""Every decoder of bytes from outside, and why some functions that parse are none."""

from collections.abc import Mapping
from typing import Final

from tests.fuzz.exchange_targets import EXCHANGE_TARGETS
from tests.fuzz.file_targets import FILE_TARGETS
from tests.fuzz.record_targets import RECORD_TARGETS
from tests.fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = {
    target.name: target for target in (*RECORD_TARGETS, *EXCHANGE_TARGETS, *FILE_TARGETS)
}

_OWN_ARRAYS: Final = "reads arrays that it packed in memory itself"
_OWN_FILE: Final = "reads a file of this program's own, or of its installation"
NO_DECODERS: Final[Mapping[str, str]] = {
    "services/cli/audit/market_entries.py: CandleCollector.candles": _OWN_ARRAYS,
    "services/cli/candle_import/log_contents.py: _LoggedRecords.read": _OWN_ARRAYS,
    "services/cli/candle_import/market_history.py: MarketHistory._closes": _OWN_ARRAYS,
    "services/cli/candle_import/spooled_blocks.py: _decode": _OWN_ARRAYS,
    "services/cli/local/deployment.py: LocalDeployment._await_simulator": _OWN_FILE,
    "services/cli/local/deployment.py: LocalDeployment.check": _OWN_FILE,
    "services/cli/credentials/folder.py: SecretFolder.read_or_create": _OWN_FILE,
    "services/cli/credentials/folder.py: SecretFolder.write": _OWN_FILE,
    "services/dashboard/web/assets.py: Assets.index": _OWN_FILE,
    "services/dashboard/web/assets.py: _read": _OWN_FILE,
    "services/exchange_simulator/faults/rest_faults.py: RestFaults._honest": "reads its own answer",
    "services/producer/exchanges/binance/stream_connection.py: BinanceStreamConnection._read": (
        "whatever its frames raise ends that connection alone; `stream` has their contents"
    ),
    "shared/adapters/certificates.py: Authority.__init__": _OWN_FILE,
    "shared/adapters/kafka/listener.py: _sasl_error": "reads 10 bytes, and all of them or none",
    "shared/adapters/redis_state_store.py: RedisStateStore._load": "`states` has the states",
    "shared/adapters/redis_state_store.py: RedisStateStore._load_symbols": "likewise",
    "shared/adapters/redis_state_store.py: RedisStateStore._try_commands": "drops what it reads",
    "shared/adapters/contract/channels.py: read_contract": _OWN_FILE,
    "shared/core/online/sequence_collector.py: SequenceCollector.flush": _OWN_ARRAYS,
    "shared/local_servers/binaries.py: _check": _OWN_FILE,
    "shared/local_servers/binaries.py: _read_lock_file": _OWN_FILE,
    "shared/local_servers/launcher.py: _Process.await_ready": _OWN_FILE,
    "shared/local_servers/programs.py: is_kafka_ready": "reads 12 bytes, and all of them or none",
    "shared/log/archived_sequences.py: MarketMoveTable.rows": _OWN_ARRAYS,
    "shared/log/archived_sequences.py: SequenceBuilder.sequences": _OWN_ARRAYS,
}
