"""Traces and metrics at a collector, and logs: what is in them, and that no secret is."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from running import AGENTS, SOURCE, Running, start_platform

EXAMPLES = SOURCE.parent / "examples"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@dataclass
class Collector:
    """A collector of OTLP over HTTP."""

    url: str = ""
    spans: list[Any] = field(default_factory=list[Any])
    metrics: set[str] = field(default_factory=set[str])
    resources: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    tokens: set[str] = field(default_factory=set[str])

    def wait(self, good: Callable[[], bool]) -> None:
        """Until what was sent is so."""
        end = time.monotonic() + 30
        while not good():
            assert time.monotonic() < end, [span.name for span in self.spans]
            time.sleep(0.05)

    def of_trace(self, trace: str) -> dict[str, Any]:
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace}


@contextmanager
def collecting() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            found.tokens.add(self.headers.get("x-token", ""))
            if self.path == "/v1/traces":
                for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                    found.resources.append(
                        {pair.key: pair.value.string_value for pair in one.resource.attributes}
                    )
                    found.spans += [span for scope in one.scope_spans for span in scope.spans]
            elif self.path == "/v1/metrics":
                for part in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    found.metrics |= {each.name for scope in part.scope_metrics for each in scope.metrics}
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(span: Any) -> dict[str, Any]:
    """A span's attributes."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in span.attributes
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Collector]]:
    with collecting() as collector:
        platform = start_platform(
            [AGENTS / "talker", EXAMPLES / "mesh_buyer", EXAMPLES / "mesh_seller"],
            tmp_path_factory.mktemp("told"),
            A2A_OTLP_ENDPOINT=collector.url,
            A2A_OTLP_HEADERS="x-token=tok%2Fen",
            A2A_OTLP_SECONDS="0.5",
            OTEL_BSP_SCHEDULE_DELAY="200",
        )
        yield platform, collector
        platform.stop()


def call(platform: Running, agent: str, skill: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(
        f"{platform.agent(agent)}/invoke/{skill}", json=body, headers={**platform.auth, **headers}, timeout=60
    )


def test_a_call_is_a_request_and_a_run_of_the_callers_trace(site: tuple[Running, Collector]) -> None:
    platform, collector = site
    answer = call(platform, "talker", "one", {"text": "hi"}, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    assert answer.status_code == 200
    collector.wait(lambda: len(collector.of_trace(TRACE)) == 2)
    spans = collector.of_trace(TRACE)
    request, run = spans["POST invoke"], spans["invoke_agent talker"]
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    assert run.parent_span_id == request.span_id
    assert said(request)["http.response.status_code"] == 200
    assert said(run)["a2a.run.id"] == answer.headers["a2a-run"]
    assert said(run)["gen_ai.operation.name"] == "invoke_agent"
    assert said(run)["a2a.task.state"] == "completed"
    assert "receipt sealed" in [event.name for event in run.events]
    assert request.start_time_unix_nano <= run.start_time_unix_nano <= run.end_time_unix_nano
    assert collector.resources[0]["service.name"] == "a2a-cloud"
    assert collector.tokens == {"tok/en"}


def test_children_are_below_their_parents(site: tuple[Running, Collector]) -> None:
    platform, collector = site
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = call(
        platform, "mesh_buyer", "buy", {"item": "desk"}, traceparent=f"00-{trace}-b7ad6b7169203331-01"
    )
    assert answer.status_code == 200, answer.text
    names = {"POST invoke", "invoke_agent mesh_buyer", "invoke_agent mesh_seller"}
    collector.wait(lambda: names <= set(collector.of_trace(trace)))
    spans = [span for span in collector.spans if span.trace_id.hex() == trace]
    known = {span.span_id for span in spans}
    roots = [span.name for span in spans if span.parent_span_id not in known]
    assert roots == ["POST invoke"]
    assert len({span.span_id for span in spans}) == len(spans)


def test_a_failure_is_an_error_and_what_nobody_wants_is_not_sent(site: tuple[Running, Collector]) -> None:
    platform, collector = site
    quiet, loud = "1" * 32, "2" * 32
    assert (
        call(
            platform, "talker", "one", {"text": "hi"}, traceparent=f"00-{quiet}-00f067aa0ba902b7-00"
        ).status_code
        == 200
    )
    bad = call(platform, "mesh_buyer", "buy", {"item": "moon"}, traceparent=f"00-{loud}-00f067aa0ba902b7-01")
    assert bad.status_code >= 400
    collector.wait(lambda: "POST invoke" in collector.of_trace(loud))
    assert collector.of_trace(quiet) == {}
    assert said(collector.of_trace(loud)["POST invoke"])["http.response.status_code"] == bad.status_code


def test_metrics(site: tuple[Running, Collector]) -> None:
    _, collector = site
    wanted = {"http.server.request.duration", "a2a.run.duration", "a2a.runs_live", "a2a.runs_started"}
    collector.wait(lambda: wanted <= collector.metrics)


def test_nothing_of_it_is_loaded_where_it_is_off() -> None:
    code = (
        "import sys, a2a_cloud.app;"
        "print([name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'requests')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_secret_of_a_busy_session_is_in_any_log(tmp_path: Path) -> None:
    secrets = {
        "webhook": "whsec-0123456789abcdef-of-approvals",
        "stored": "the-value-of-a-stored-secret-42",
        "wrong": "a2a_0123456789ab_" + "W" * 49,
        "bearer": "not-a-key-of-ours-but-somebodys",
        "collector": "collector-t0ken-9876",
    }
    (tmp_path / "webhook").write_text(secrets["webhook"])
    platform = start_platform(
        [AGENTS / "talker", AGENTS / "open"],
        tmp_path,
        A2A_LOG_LEVEL="debug",
        A2A_LOG_FORMAT="json",
        A2A_APPROVALS_WEBHOOK="http://127.0.0.1:9/away",
        A2A_APPROVALS_WEBHOOK_SECRET_FILE=str(tmp_path / "webhook"),
        A2A_OTLP_ENDPOINT="http://127.0.0.1:9",
        A2A_OTLP_HEADERS=f"authorization={secrets['collector']}",
        A2A_OTLP_SECONDS="0.2",
        OTEL_BSP_SCHEDULE_DELAY="100",
    )
    try:
        with httpx.Client(base_url=platform.url, timeout=20) as http:
            secrets["admin"] = platform.key
            made = http.post("/api/v1/keys", json={"principal": "ada"}, headers=platform.auth).json()
            secrets["made"] = made["key"]
            ada = {"Authorization": f"Bearer {made['key']}"}
            http.put("/api/v1/secrets/TOKEN", json={"value": secrets["stored"]}, headers=platform.auth)
            hook = http.post(
                "/api/v1/hooks", json={"agent": "talker", "skill": "one"}, headers=platform.auth
            ).json()
            secrets |= {
                f"hook {name}": value for name, value in _strings(hook) if "key" in name or "secret" in name
            }
            path = re.search(r"/hooks/one/([A-Za-z0-9_-]{16,})", json.dumps(hook))
            if path is not None:
                secrets["hook path"] = path[1]
                http.post(f"/agents/talker{path[0]}", json={"text": "hi"})
                http.post(f"/agents/talker{path[0]}", content=b"not json")
            for headers in (
                {"Authorization": f"Bearer {secrets['wrong']}"},
                {"Authorization": f"Bearer {secrets['bearer']}"},
                {"X-API-Key": secrets["wrong"]},
                {"Authorization": f"Basic {secrets['bearer']}"},
                ada,
            ):
                http.get("/api/v1/whoami", headers=headers)
                http.post("/agents/talker/invoke/one", json={"text": "hi"}, headers=headers)
                http.get("/api/v1/backup", headers=headers)
            http.get(f"/api/v1/runs?key={secrets['admin']}", headers=platform.auth)
            http.get(f"/invite/{secrets['bearer']}")
            http.get(f"/agents/talker/sse/none?exp=1&sig={secrets['bearer']}")
            http.delete(f"/api/v1/keys/{made['id']}", headers=platform.auth)
            http.get("/api/v1/whoami", headers=ada)
        time.sleep(1)  # so that the exporter has failed too
    finally:
        platform.stop()
    told = platform.log.read_text()
    assert told.count('"level": "debug"') > 10
    for name, secret in secrets.items():
        assert secret not in told, f"{name} is in the log"


def _strings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _strings(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, name)
    elif isinstance(value, str) and len(value) >= 16:
        yield name, value
