"""What the services tell about themselves: health, metrics, a producer's standings."""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from services.dashboard.cluster.facts import LackingSymbol, ServiceFacts
from services.dashboard.cluster.service_client import ServiceAddress, fetch, resolve
from shared.adapters.prometheus_text import MAX_PAGE_BYTES, MetricSample, parse_metrics
from shared.adapters.schemas import standings
from shared.core.errors import BadInput, Unavailable

_NAME: Final = re.compile(r"ulstm_([a-z]+)_(.+)")
_PRODUCER: Final = "producer"
_FOLLOWING: Final = "following"
_REASON_BYTES: Final = 10_000
_THREADS: Final = 8
_MOST_ADDRESSES: Final = 64


class ServiceReader:
    """Asks the services at some base addresses, all at the same time.

    A name that was never known is of a service that is not there: a deployment names those of all
    its profiles. One that is not known any more is of a service that has ended.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        """Take the base addresses, such as http://predictor:9100."""
        self._urls = tuple(urls)
        self._known = set[str]()
        self._last: dict[str, ServiceFacts] = {}  # by address
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="services")

    def read(self, now_ms: int) -> list[ServiceFacts]:
        """Return what each address tells; one that does not answer is not live."""
        addresses, ended = list[ServiceAddress](), list[ServiceFacts]()
        for url, found in zip(self._urls, self._threads.map(_resolve, self._urls), strict=True):
            if not isinstance(found, ServiceFacts):
                self._known.add(url)
                addresses += found
            elif url in self._known:
                ended.append(found)
        services = [*self._threads.map(read_service, addresses[:_MOST_ADDRESSES]), *ended]
        services = [self._with_last(one, now_ms) for one in services]
        self._last = {one.address: one for one in services}
        return services

    def _with_last(self, service: ServiceFacts, now_ms: int) -> ServiceFacts:
        """Return a service that does not answer with what it told when it did."""
        if service.is_live:
            return service
        last = self._last.get(service.address)
        if last is None:
            return replace(service, silent_since_ms=now_ms)
        since_ms = now_ms if last.is_live else last.silent_since_ms
        return replace(service, name=last.name, metrics=last.metrics, silent_since_ms=since_ms)


def _resolve(url: str) -> list[ServiceAddress] | ServiceFacts:
    """Return the addresses of a base URL; if its name is not known, a service that is not live."""
    try:
        return resolve(url)
    except Unavailable as error:
        parts = urlsplit(url)
        return _silent(parts.hostname or url, parts.netloc, str(error))


def read_service(address: ServiceAddress) -> ServiceFacts:
    """Return what a service tells about itself."""
    name = urlsplit(address.url).hostname or ""
    try:
        samples = parse_metrics(fetch(address, "/metrics", MAX_PAGE_BYTES).body)
        status, body = fetch(address, "/health/ready", _REASON_BYTES)
    except (Unavailable, BadInput) as error:
        return _silent(name, address.shown, str(error))
    name, metrics = _own_metrics(samples, name)
    is_ready = status == 200
    return ServiceFacts(
        name=name,
        address=address.shown,
        is_live=True,
        is_ready=is_ready,
        reason="" if is_ready else body.decode("utf-8", "replace").strip(),
        metrics=metrics,
        symbols=_read_standings(address) if name == _PRODUCER else None,
    )


def _own_metrics(
    samples: Sequence[MetricSample], name: str
) -> tuple[str, Mapping[tuple[str, str], float]]:
    """Return a service's name and its metrics without the prefix, by name and label value."""
    metrics: dict[tuple[str, str], float] = {}
    for sample in samples:
        found = _NAME.fullmatch(sample.name)
        if found is not None:
            name = found[1]
        short = sample.name if found is None else found[2]
        labels = {key: value for key, value in sample.labels.items() if key != "le"}
        if not short.endswith("_bucket"):
            metrics[short, ",".join(labels.values())] = sample.value
    return name, metrics


def _read_standings(address: ServiceAddress) -> list[LackingSymbol] | None:
    """Return the symbols whose candles do not arrive; None if the producer does not tell."""
    try:
        body = fetch(address, "/symbols", standings.MAX_PAGE_BYTES).body
        page = standings.decode_standings(body)
    except (Unavailable, BadInput):
        return None
    return [
        LackingSymbol(one.symbol, one.standing, one.since_ms, one.reason)
        for one in page.symbols
        if one.standing != _FOLLOWING
    ]


def _silent(name: str, address: str, reason: str) -> ServiceFacts:
    return ServiceFacts(name, address, is_live=False, is_ready=False, reason=reason)
