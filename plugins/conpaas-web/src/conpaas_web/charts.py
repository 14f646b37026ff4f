"""What every web service has to show: what its proxies see."""

from __future__ import annotations

from conpaas.features.monitoring.charts import Chart, Quantile, Rate, Ratio

_REQUESTS = "conpaas_http_requests_total"
_SECONDS = "conpaas_http_request_duration_seconds"


def charts() -> tuple[Chart, ...]:
    """Return the charts of requests, errors and response times."""
    return (
        Chart("Requests", "per second", (Rate(_REQUESTS, by="code"),)),
        Chart(
            "Errors",
            "%",
            (Ratio(Rate(_REQUESTS, where={"code": "5xx"}), Rate(_REQUESTS), times=100.0),),
        ),
        Chart(
            "Response time",
            "ms",
            tuple(
                Quantile(_SECONDS, q=q, label=f"{q:.0%} within", times=1000.0)
                for q in (0.5, 0.95, 0.99)
            ),
        ),
    )
