"""Settings of the live page."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.adapters.env_settings import Port, PredictorGroupSettings

_ADDRESS = re.compile(r"https?://[^/\s,]+")


def _check_addresses(text: str) -> str:
    for address in filter(None, text.split(",")):
        if not _ADDRESS.fullmatch(address):
            raise ValueError(
                f"{address!r} is no base address: give such as http://producer:9100,"
                " comma-separated"
            )
    return text


class DashboardSettings(PredictorGroupSettings):
    """Settings of the live page."""

    dashboard_host: str = Field("127.0.0.1", description="Address that the live page listens on.")
    dashboard_port: Port = Field(8070, description="Port of the live page; 0: any free one.")
    dashboard_port_file: str = Field(
        "", description="File to write the page's port to, once listening."
    )
    dashboard_allowed_hosts: str = Field(
        "",
        pattern=r"^[A-Za-z0-9.,-]*$",
        description="Names besides localhost by which browsers may ask for the page,"
        " comma-separated; others are refused, against DNS rebinding.",
    )
    dashboard_candles: int = Field(
        288, ge=2, le=5_000, description="Newest candles that the recent skill is computed from."
    )
    dashboard_stale_after_s: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="Seconds without a candle after which the feed is shown as standing still;"
        " empty: one and a half of the time that was observed between closes, and up to 10 s.",
    )
    metrics_urls: Annotated[str, AfterValidator(_check_addresses)] = Field(
        "",
        description="Base addresses of the services' metrics, comma-separated, such as"
        " `http://producer:9100,http://predictor:9100`; every address of a name is asked.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address of metrics and health.")
    metrics_port: Port = Field(0, description="Port of metrics and health; 0: any free one.")

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """The names by which browsers may ask for the page, addresses aside."""
        names = (self.dashboard_host, "localhost", *self.dashboard_allowed_hosts.split(","))
        return frozenset(name.lower() for name in names if name)

    @property
    def metrics_addresses(self) -> tuple[str, ...]:
        """The base addresses of the services' metrics."""
        return tuple(filter(None, self.metrics_urls.split(",")))
