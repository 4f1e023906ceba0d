"""Decoders of files, settings and what people type."""

import gzip
import io
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import h5py  # type: ignore[import-untyped]
import numpy as np

from services.cli.backtest.forecast_file import read_forecasts
from services.dashboard.settings import DashboardSettings
from services.exchange_simulator.faults.script import read_script
from services.predictor.settings import PredictorSettings
from services.producer.settings import ProducerSettings
from services.trainer.data.scaler_table import read_scalers
from services.trainer.fitting.checkpoints import FitCheckpointFile, TrainingCheckpoints
from services.trainer.keras_files.reader import read_weights
from services.trainer.settings import TrainerSettings
from services.trainer.tuning.study_record import StudyRecord, TrialResult, load, save
from shared.adapters.candle_files import find_recordings, read_blocks
from shared.core.errors import UlstmError
from shared.core.model.architecture import Architecture
from shared.core.symbols import parse_symbols
from shared.core.timestamps import format_timestamp, parse_timestamp_ms
from shared.local_servers.data_folder import read_servers_file
from tests.fuzz.bombs import parquet, zipped
from tests.fuzz.target import BINARY, GZIP, JSON, LINES, PARQUET, ZIP, Target
from tests.support.builders import START_MS, STEP_MS
from tests.support.recordings import HEADER, dump

_LONGEST_ARGUMENT: Final = 131_072  # bytes, of the system
_ARCHITECTURE: Final = Architecture((8,), 16, 6)
_SERVICES: Final = (PredictorSettings, ProducerSettings, TrainerSettings, DashboardSettings)


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """Return a decoder that writes bytes into a file of a name, and reads it."""

    def decode(data: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="ulstm-fuzz-") as folder:
            path = Path(folder, name)
            path.write_bytes(data)
            read(path)

    return decode


def _candles(path: Path) -> None:
    for recording in find_recordings([path]):
        for block in read_blocks(recording):
            for _ in block.rows():
                break


def _settings(data: bytes) -> None:
    lines = data[:_LONGEST_ARGUMENT].decode(errors="replace").replace("\0", "").split("\n")
    environ = dict(line.split("=", 1) for line in lines if "=" in line)
    for service in _SERVICES:
        with suppress(UlstmError):
            service.from_env(environ)


def _typed(data: bytes) -> None:
    """Take a text for what an option names: symbols, a time."""
    text = data[:_LONGEST_ARGUMENT].decode(errors="replace")
    with suppress(UlstmError):
        parse_symbols(text, "SYMBOLS")
    with suppress(ValueError):
        format_timestamp(parse_timestamp_ms(text))


def _arrays() -> bytes:
    file, random = io.BytesIO(), np.random.default_rng(1)
    shapes = _ARCHITECTURE.shapes()
    names = [*(f"layers/lstm/cell/vars/{n}" for n in range(3)), *_DENSE]
    with h5py.File(file, "w") as weights:
        for name, shape in zip(names, shapes, strict=True):
            weights[name] = random.normal(size=shape).astype(np.float32)
    return file.getvalue()


def _candle_columns(symbols: list[str]) -> dict[str, Any]:
    times = np.arange(START_MS, START_MS + 20 * STEP_MS, STEP_MS)
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), np.ones(20))
    return {"open_time": times, **prices, "symbol": symbols}


def _search() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), StudyRecord({"a": 1}, 0, 1, 2.0, (TrialResult({"b": 0.5}, 0.1),)))
        return Path(folder, "search.json").read_bytes()


def _checkpoint(path: Path) -> None:
    FitCheckpointFile(path.parent, "digest").load()


def _span(path: Path) -> None:
    store = TrainingCheckpoints(path.parent, {"a": 1})
    store.prepare(0.0)
    [folder] = [each for each in path.parent.iterdir() if each.is_dir()]
    path.rename(folder / path.name)
    store.load_span(0.0, 1e9)


_PRICES: Final = (b"open", b"high", b"low", b"close")
_TABLE: Final = b"symbol,column,min,max\n" + b"".join(b"A,%b,1,2\n" % name for name in _PRICES)
_DENSE: Final = ("layers/dense/vars/0", "layers/dense/vars/1")
_DUMP: Final = dump([HEADER, *range(40)])
_FORECASTS: Final = {"symbol": ["BTCUSDT"], "open_time_ms": [START_MS], "change": [0.01]}
_FORECAST_LINES: Final = b'{"symbol":"BTCUSDT","open_time_ms":0,"change":0.01}\n'
_RANGES: Final = b'{"BTCUSDT":{"open":[1,2],"high":[1,2],"low":[1,2],"close":[1,2]}}'
_PROGRESS: Final = (
    b'{"format":1,"digest":"digest","epochs":1,"arrays_file":"a","arrays_sha256":"0"}'
)
_SPAN: Final = b'{"format":1,"started_s":0.0,"from_ms":0,"through_ms":1}'
_SCRIPT: Final = b'{"faults":[{"kind":"hole","at":1,"for_s":2}],"mix":{"seed":1}}'
_SERVERS: Final = (
    b'{"kafka_bootstrap":"127.0.0.1:9092","redis_url":"redis://127.0.0.1:6379/0","pids":[1,2]}'
)
_ENVIRONMENT: Final = b"\n".join((
    b"REDIS_URL=redis://127.0.0.1:6379/0", b"INTERVAL=5m",
    b"KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092",
    b"SYMBOLS=BTCUSDT,ETHUSDT", b"SYMBOL_GROUPS=6", b"WIDTHS=32,32", b"TRAIN_FROM=2025-01-01",
    b"METRICS_PORT=0", b"SESSION_TIMEOUT_MS=6000", b"KAFKA_SECURITY_PROTOCOL=SSL",
))  # fmt: skip


def _file(
    name: str, read: Callable[[Path], object], samples: tuple[bytes, ...], *covers: str,
    kind: str = BINARY, max_mb: int = 250,
) -> Target:  # fmt: skip
    decode = in_file(name, read)
    return Target(name, decode, samples, covers, kind=kind, max_mb=max_mb)


FILE_TARGETS: Final = (
    _file("BTCUSDT-5m.csv", _candles, (_DUMP,), "shared/adapters/csv_dump.py: _parse_numbers",
          kind=LINES),
    _file("BTCUSDT-5m.csv.gz", _candles, (gzip.compress(_DUMP),), kind=GZIP),
    _file("BTCUSDT-5m.zip", _candles, (zipped({"BTCUSDT-5m.csv": _DUMP}),),
          "shared/adapters/zip_member.py: open_member", kind=ZIP),
    _file("BTCUSDT-5m.parquet", _candles, (parquet(_candle_columns(["BTCUSDT"] * 20)),),
          "shared/adapters/bounded_parquet.py: open_parquet",
          "shared/adapters/bounded_parquet.py: _column_chunks",
          "shared/adapters/bounded_parquet.py: _read_header", kind=PARQUET),
    _file("5m.parquet", _candles, (parquet(_candle_columns(["A", "B"] * 10)),), kind=PARQUET),
    _file("forecasts.parquet", lambda path: read_forecasts(path, STEP_MS), (parquet(_FORECASTS),),
          kind=PARQUET),
    _file("forecasts.csv", lambda path: read_forecasts(path, STEP_MS),
          (b"symbol,open_time_ms,change\nBTCUSDT,0,0.01\n",),
          "services/cli/backtest/forecast_file.py: _csv_rows", kind=LINES),
    _file("forecasts.jsonl", lambda path: read_forecasts(path, STEP_MS), (_FORECAST_LINES,),
          "services/cli/backtest/forecast_file.py: _json_object", kind=JSON),
    _file("model.keras", lambda path: read_weights(path, _ARCHITECTURE),
          (zipped({"model.weights.h5": _arrays()}, zipfile.ZIP_STORED),),
          "services/trainer/keras_files/reader.py: _read_flat", max_mb=400, kind=ZIP),
    _file("ranges.csv", read_scalers, (_TABLE,),
          "services/trainer/data/scaler_table.py: _csv_rows", kind=LINES),
    _file("ranges.json", read_scalers, (_RANGES,),
          "services/trainer/data/scaler_table.py: _json_rows", kind=JSON),
    _file("search.json", lambda path: load(path.parent), (_search(),),
          "services/trainer/tuning/study_record.py: load", kind=JSON),
    _file("progress.json", _checkpoint, (_PROGRESS,),
          "services/trainer/fitting/checkpoints.py: FitCheckpointFile.load",
          "services/trainer/fitting/checkpoints.py: FitCheckpointFile._read_arrays", kind=JSON),
    _file("span.json", _span, (_SPAN,),
          "services/trainer/fitting/checkpoints.py: TrainingCheckpoints.load_span", kind=JSON),
    _file("faults.json", read_script, (_SCRIPT,),
          "services/exchange_simulator/faults/script.py: read_script", kind=JSON),
    _file("servers.json", lambda path: read_servers_file(path.parent), (_SERVERS,),
          "shared/local_servers/data_folder.py: read_servers_file", kind=JSON),
    Target("settings", _settings, (_ENVIRONMENT,), (), kind=LINES),
    Target("options", _typed, (b"BTCUSDT,ETHUSDT", b"2025-01-01T12:00", b"1735689600000"),
           ("shared/core/timestamps.py: parse_timestamp_ms",), kind=LINES),
)  # fmt: skip
