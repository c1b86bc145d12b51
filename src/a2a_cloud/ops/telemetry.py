"""Traces and metrics by OTLP over HTTP, when an endpoint is set; loaded by nobody else.

A span per HTTP request (OpenTelemetry's HTTP conventions) and one per run (its conventions for agents), with
what the run did as the span's events. A run's span id follows from its id, so that a child's span finds its
parent's, and an agent's own spans theirs, without anything being kept. Spans of runs are made when they end,
with their real times. Names are those of semantic conventions SEMCONV; ours begin with `a2a.`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

import a2a_cloud
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.ops.logs import blacken
from a2a_cloud.settings import Telemetry as Settings

#: The version of the semantic conventions that the names here are of.
SEMCONV = "1.37.0"
_SCHEMA = f"https://opentelemetry.io/schemas/{SEMCONV}"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300)
#: Events of one span.
_MOST_EVENTS = 128

Gauges = Callable[[], Iterable[tuple[str, str, float]]]


class Ran(NamedTuple):
    """A run that has ended. Times are wall seconds; `trace` is the W3C trace's id; `events` are (name, wall
    seconds, attributes) in order."""

    id: str
    task: str
    context: str
    agent: str
    version: str
    skill: str
    dialect: str
    state: str
    problem: str
    receipt: str
    parent: str
    trace: str
    attempts: int
    created: float
    started: float
    ended: float
    events: Sequence[tuple[str, float, dict[str, Any]]] = ()


class _Ids(IdGenerator):
    """Ids that were chosen before, once each; else random ones."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self.span = 0
        self.trace = 0

    def generate_span_id(self) -> int:
        """See IdGenerator."""
        chosen, self.span = self.span, 0
        return chosen or int.from_bytes(self._entropy.bytes(8), "big") or 1

    def generate_trace_id(self) -> int:
        """See IdGenerator."""
        chosen, self.trace = self.trace, 0
        return chosen or int.from_bytes(self._entropy.bytes(16), "big") or 1


class Telemetry:
    """One per platform. All but `close` is for the loop's thread."""

    def __init__(self, settings: Settings, clock: Clock, entropy: Entropy, gauges: Gauges) -> None:
        self._clock = clock
        self._gauges = gauges
        self._last: list[tuple[str, str, float]] = []
        self._ids = _Ids(entropy)
        #: A run's request: the span that its own is below.
        self._parents: dict[str, int] = {}
        #: Runs of traces that nobody wants to have.
        self._quiet: set[str] = set()
        resource = Resource.create(
            {
                "service.name": settings.service,
                "service.version": a2a_cloud.__version__,
                "service.instance.id": entropy.bytes(8).hex(),
            },
            _SCHEMA,
        )
        base = settings.endpoint
        self._spans = TracerProvider(id_generator=self._ids, resource=resource, shutdown_on_exit=False)
        self._spans.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces", headers=settings.headers))
        )
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{base}/v1/metrics", headers=settings.headers),
            export_interval_millis=settings.seconds * 1000,
        )
        self._meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._tracer = self._spans.get_tracer("a2a_cloud", a2a_cloud.__version__, _SCHEMA)
        meter = self._meters.get_meter("a2a_cloud", a2a_cloud.__version__, _SCHEMA)
        self._requests = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "Time to answer an HTTP request.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._runs = meter.create_histogram(
            "a2a.run.duration",
            "s",
            "Time from a run's acceptance to its end.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        for name, text, _ in gauges():
            kind = (
                meter.create_observable_counter if name.endswith("_total") else meter.create_observable_gauge
            )
            dotted = name.removesuffix("_total").replace("_", ".", 1)
            kind(dotted, [self._observer(name)], description=text)

    def _observer(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            # From the exporter's thread: what the loop is just changing is read again at the next export.
            with suppress(RuntimeError):
                self._last = list(self._gauges())
            return [Observation(value) for found, _, value in self._last if found == name]

        return observe

    # --- requests ------------------------------------------------------------------------------------

    def begin(self, method: str, traceparent: bytes) -> tuple[Span, bytes]:
        """A request begins: its span, and the `traceparent` that everything of it goes on with."""
        span = self._tracer.start_span(
            method,
            _remote(traceparent),
            SpanKind.SERVER,
            {"http.request.method": method},
            start_time=self._now(),
        )
        return span, _traceparent(span.get_span_context())

    def end(self, span: Span, method: str, route: str, path: str, scheme: str, status: int) -> None:
        """A request is answered."""
        said = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        now = self._now()
        if span.is_recording():
            span.update_name(f"{method} {route}")
            span.set_attributes({**said, "url.path": blacken(path)[:500], "url.scheme": scheme})
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(Status(StatusCode.ERROR))
        span.end(now)
        begun: int = getattr(span, "start_time", None) or now
        self._requests.record((now - begun) / 1e9, {**said, "url.scheme": scheme})

    # --- runs ----------------------------------------------------------------------------------------

    def accepted(self, run: str, parent: str, traceparent: bytes) -> None:
        """A run begins: within a request, or called by the run `parent`."""
        if parent:
            if parent in self._quiet:
                self._quiet.add(run)
            return
        context = trace.get_current_span(_remote(traceparent)).get_span_context()
        if context.is_valid and context.trace_flags.sampled:
            self._parents[run] = context.span_id
        elif context.is_valid:
            self._quiet.add(run)

    def ended(self, ran: Ran) -> None:
        """A run has ended, and everybody may know it."""
        labels = {"gen_ai.agent.name": ran.agent, "a2a.skill.id": ran.skill, "a2a.task.state": ran.state}
        self._runs.record(max(0.0, ran.ended - ran.created), labels)
        above = self._parents.pop(ran.id, 0)
        if ran.id in self._quiet:
            self._quiet.discard(ran.id)
            return
        if ran.parent:
            above = _span_id(ran.parent)
        trace_id = int(ran.trace, 16) if ran.trace else int.from_bytes(sha256(ran.id.encode()).digest()[:16])
        context = None
        if above:
            context = trace.set_span_in_context(NonRecordingSpan(_context(trace_id, above)))
        self._ids.span, self._ids.trace = _span_id(ran.id), 0 if above else trace_id
        span = self._tracer.start_span(
            f"invoke_agent {ran.agent}",
            context,
            SpanKind.INTERNAL,
            _said(ran),
            start_time=_nanos(ran.created),
        )
        self._ids.span = self._ids.trace = 0
        for name, at, attributes in ran.events[:_MOST_EVENTS]:
            span.add_event(name, attributes, _nanos(at or ran.ended))
        if ran.receipt:
            span.add_event("receipt sealed", {"a2a.receipt.id": ran.receipt}, _nanos(ran.ended))
        if ran.state == "failed":
            span.set_attribute("error.type", ran.problem or "failed")
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanos(ran.ended))

    # --- the end -------------------------------------------------------------------------------------

    def close(self, seconds: float) -> None:
        """Send what is left, as far as that goes in the time. Blocks."""
        done = threading.Thread(target=self._close, args=(seconds,), daemon=True)
        done.start()
        done.join(seconds)

    def _close(self, seconds: float) -> None:
        self._spans.force_flush(int(seconds * 1000))
        self._spans.shutdown()
        self._meters.shutdown(seconds * 1000)

    def _now(self) -> int:
        return _nanos(self._clock.now())


def _said(ran: Ran) -> dict[str, Any]:
    said: dict[str, Any] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "a2a_cloud",
        "gen_ai.agent.name": ran.agent,
        "gen_ai.agent.version": ran.version,
        "gen_ai.conversation.id": ran.context,
        "a2a.run.id": ran.id,
        "a2a.task.id": ran.task,
        "a2a.skill.id": ran.skill,
        "a2a.dialect": ran.dialect,
        "a2a.task.state": ran.state,
        "a2a.attempts": ran.attempts,
        "a2a.parent_run.id": ran.parent,
    }
    if ran.started:
        said["a2a.queue.seconds"] = max(0.0, ran.started - ran.created)
    return {name: value for name, value in said.items() if value != ""}


def span_of(run: str) -> str:
    """The id of a run's span, for the `traceparent` of what the run calls: 16 hex digits."""
    return f"{_span_id(run):016x}"


def _span_id(run: str) -> int:
    return int.from_bytes(sha256(run.encode()).digest()[:8]) or 1


def _nanos(seconds: float) -> int:
    return int(seconds * 1e9)


def _context(trace_id: int, span_id: int, flags: int = TraceFlags.SAMPLED) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))


def _remote(traceparent: bytes) -> Any:
    """The context that a `traceparent` names, None when it names none."""
    fields = traceparent.decode("latin-1").split("-")
    try:
        version, trace_id, span_id, flags = (
            fields[0],
            int(fields[1], 16),
            int(fields[2], 16),
            int(fields[3], 16),
        )
    except (IndexError, ValueError):
        return None
    whole = len(fields[1]) == 32 and len(fields[2]) == 16 and len(version) == 2 and version != "ff"
    if not (whole and trace_id and span_id):
        return None
    return trace.set_span_in_context(NonRecordingSpan(_context(trace_id, span_id, flags & 1)))


def _traceparent(context: SpanContext) -> bytes:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}".encode()
