"""The data analyst on a real platform: a file in, a result and pictures out, in bounded memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from calling import Said, parse_events, peak_rss, request

from running import Running, start_platform

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "data_analyst"
MB = 1_000_000


@pytest.fixture(scope="module")
def analyst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([EXAMPLE], tmp_path_factory.mktemp("analyst"))
    yield running
    running.stop()


def analyse(running: Running, body: bytes, query: str = "", accept: str = "application/json") -> Said:
    headers = {
        "Content-Type": "text/csv",
        "Content-Disposition": 'attachment; filename="t.csv"',
        "Accept": accept,
    }
    path = f"/agents/data_analyst/invoke/analyse?file=table{query}"
    return request(running, "POST", path, body, headers, timeout=300)


def test_the_sample_gives_a_result_progress_and_artifacts(analyst: Running) -> None:
    body = (EXAMPLE / "samples" / "orders.csv").read_bytes()
    found = parse_events(analyse(analyst, body, "&focus=delivery_days", "text/event-stream").body)
    stages = [data["stage"] for kind, data in found if kind == "progress"]
    assert stages == ["reading", "reading", "relating", "writing", "done"]
    made = {data["artifact"]["artifactId"]: data["artifact"] for kind, data in found if kind == "artifact"}
    assert set(made) == {"summary.md", "distributions.svg", "correlations.svg", "analysis.json"}
    (part,) = made["correlations.svg"]["parts"]
    assert part["mediaType"] == "image/svg+xml"
    picture = part.get("text") or request(analyst, "GET", _path(part["url"])).body.decode()
    assert picture.startswith("<svg ")
    (result,) = [data["value"] for kind, data in found if kind == "result"]
    assert result["file"]["rows"] == 240
    assert result["summary"].index("**delivery\\_days**") < result["summary"].index("**units**")


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_a_malformed_file_is_refused_with_row_and_remedy(analyst: Running) -> None:
    said = analyse(analyst, b"a,b\n1,2\n3,4,5\n")
    assert (said.status, said.code) == (422, "refused")
    assert "Row 2 (line 3) has 3 fields where the header has 2" in said.detail
    assert "quotes" in said.detail


def test_memory_does_not_grow_with_the_file(analyst: Running) -> None:
    peaks: list[int] = []
    for size in (4 * MB, 20 * MB):
        said = analyse(analyst, table(size))
        assert said.status == 200, said.body
        assert said.json["correlations"][0]["pearson"] > 0.9
        peaks.append(peak_rss(worker_of(analyst)))
    assert peaks[1] < 150 * MB
    # Five times the bytes: what the sketches add, and not what the file adds.
    assert peaks[1] - peaks[0] < 20 * MB


def table(size: int) -> bytes:
    """A table of about `size` bytes in which nearly every value differs: the worst for what is kept."""
    chance = random.Random(5)
    rows: list[str] = []
    for n in range(5000):
        mass = chance.gauss(4200, 800)
        rows.append(
            f"@@{n:05},{chance.choice(['Berlin', 'Oslo'])},2024-{1 + n % 12:02}-{1 + n % 28:02},{mass:.3f}@@,"
            f"{mass / 20 + chance.gauss(0, 8):.3f}@@,{'' if n % 30 == 0 else chance.randrange(100)},"
            f"item {n}-@@ in a box\n"
        )
    block = "".join(rows)
    made = ["id,city,day,mass,length,age,note\n"]
    for number in range(10, 10 + size // len(block) + 1):
        made.append(block.replace("@@", str(number)))
    return "".join(made).encode()


def worker_of(running: Running) -> int:
    """The process id of the agent's worker."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            if (
                parent == running.process.pid
                and b"a2a_cloud.agent.main" in path.joinpath("cmdline").read_bytes()
            ):
                return int(path.name)
        except OSError:
            continue
    raise AssertionError("there is no worker")
