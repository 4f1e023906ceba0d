"""The record processor with which `ulstm replay` and `ulstm verify` derive predictions again."""

from shared.adapters.env_settings import ServiceSettings
from shared.core.model.numeric_profile import self_test
from shared.core.online.context import FoldContext
from shared.core.topics import interval_ms
from shared.log.model_cache import LoadBundle, ModelCache
from shared.log.record_processor import RecordProcessor


def build_processor(settings: ServiceSettings, load: LoadBundle) -> RecordProcessor:
    """Return the processor of a deployment's klines on this machine.

    Raises:
        Incompatible: this machine does not compute the golden bits.
    """
    context = FoldContext(settings.interval, interval_ms(settings.interval), self_test())
    return RecordProcessor(settings.topics.klines, settings.codec, context, ModelCache(load))
