"""Metrics in Prometheus' text format, made of plain integers when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from a2a_cloud.surface.ports import Services

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class _Surface(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterable[Metric]:
        metrics = self._services.metrics
        requests = CounterMetricFamily(
            "a2a_http_requests", "HTTP requests answered.", labels=["route", "status"]
        )
        for (route, status), count in tuple(metrics.requests.items()):
            requests.add_metric([route, str(status)], count)
        yield requests
        problems = CounterMetricFamily("a2a_problems", "Problems answered, by code.", labels=["code"])
        for code, count in tuple(metrics.problems.items()):
            problems.add_metric([code], count)
        yield problems
        yield GaugeMetricFamily("a2a_streams_open", "Event streams open.", value=metrics.streams_open)
        yield CounterMetricFamily("a2a_streams", "Event streams opened.", value=metrics.streams_opened)
        text = "Times that a stream waited for a slow reader."
        yield CounterMetricFamily("a2a_streams_lagged", text, value=metrics.streams_lagged)
        closed = CounterMetricFamily("a2a_streams_closed", "Event streams closed.", labels=["reason"])
        for reason, count in tuple(metrics.streams_closed.items()):
            closed.add_metric([reason], count)
        yield closed
        for name, text, value in self._services.gauges():
            yield GaugeMetricFamily(name, text, value=value)


def exposition(services: Services) -> bytes:
    """Everything that is counted, as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Surface(services))
    return generate_latest(registry)
