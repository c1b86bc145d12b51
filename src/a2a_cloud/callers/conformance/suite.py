"""Running the cases: finds the agent's card and bindings, runs what applies, some at a time, each bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import aiohttp

from a2a_cloud.callers.conformance import (
    cases_bindings,
    cases_card,
    cases_push,
    cases_send,
    cases_stream,
    cases_tasks,
)
from a2a_cloud.callers.conformance.said import Broken, Refusal
from a2a_cloud.callers.conformance.speakers import Grpc, Http, JsonRpc, Rest, Speaker, parsed
from a2a_cloud.callers.conformance.trial import CASES, Agent, Case, Failed, Skipped, Trial
from a2a_cloud.client.localhost import LocalhostResolver
from a2a_cloud.client.profile import NotConfigured, origin
from a2a_cloud.client.shapes import obj, text

#: Importing them has put their cases on the list.
MODULES = (cases_card, cases_send, cases_tasks, cases_stream, cases_bindings, cases_push)
BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")
WELL_KNOWN = "/.well-known/agent-card.json"
#: Seconds for one case; cases at a time.
CASE_SECONDS, AT_ONCE = 40.0, 6


class NoAgent(Exception):
    """There is no agent to test: why, and what to do."""

    def __init__(self, why: str, remedy: str = "") -> None:
        self.why = why
        self.remedy = remedy
        super().__init__(why)


@dataclass(frozen=True)
class Result:
    """How a case went: `outcome` is passed, failed or skipped; `why` of the latter two."""

    case: Case
    binding: str
    outcome: str
    why: str
    seconds: float


@asynccontextmanager
async def agent_at(
    url: str,
    *,
    key: str = "",
    other: str = "",
    bindings: Iterable[str] = BINDINGS,
    prefixes: Mapping[str, str] = {},
    webhook_host: str = "127.0.0.1",
) -> AsyncGenerator[Agent]:
    """The agent whose card is at `url`, or below it. Raises NoAgent."""
    try:
        own = origin(url)
    except NotConfigured as error:
        raise NoAgent(error.detail, "Write one such as http://127.0.0.1:8470/agents/x.") from None
    address = url if url.endswith(".json") else url.rstrip("/") + WELL_KNOWN
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=LocalhostResolver(), limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "a2a-cloud conformance"},
    ) as session:
        http = Http(session, own)
        try:
            status, _, body = await http.fetch("GET", address, key=key)
            card = obj(parsed(body)) if status == 200 else {}
        except Broken as error:
            raise NoAgent(str(error), "Is the server up, and is this the agent's address?") from None
        if not card:
            needs = "It needs a key: --key-file." if status in (401, 403) else "Is this the agent's address?"
            raise NoAgent(f"There is no card at {address} (HTTP {status}).", needs)
        agent = Agent(address, http, card, {}, key, other, prefixes, webhook_host)
        for one in agent.interfaces("1"):
            binding, where, tenant = (text(one.get(n)) for n in ("protocolBinding", "url", "tenant"))
            if binding in agent.speakers or binding not in bindings:
                continue
            try:
                agent.speakers[binding] = _speaker(binding, http, where, tenant, url)
            except ValueError:
                raise NoAgent(f"The card's {binding} interface {where!r} is no address.") from None
        if not agent.speakers:
            raise NoAgent(
                "The card lists no interface of A2A 1.0 that is asked for.",
                f"It may be one of {', '.join(BINDINGS)}; see --binding.",
            )
        try:
            yield agent
        finally:
            for speaker in agent.speakers.values():
                if isinstance(speaker, Grpc):
                    await speaker.close()


def _speaker(binding: str, http: Http, url: str, tenant: str, card: str) -> Speaker:
    if binding == "GRPC":
        return Grpc(url, tenant, card)
    return JsonRpc(http, url, tenant) if binding == "JSONRPC" else Rest(http, url, tenant)


async def run(agent: Agent, only: str = "", done: Callable[[Result], None] | None = None) -> list[Result]:
    """The results, in the order of the cases. `only` is how the ids of those wanted begin."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case, speaker: Speaker) -> Result:
        async with gate:
            result = await _tried(case, agent, speaker)
        if done is not None:
            done(result)
        return result

    planned = [
        one(case, speaker)
        for case in CASES
        if case.id.startswith(only)
        for speaker in _speakers_of(case, agent)
    ]
    return list(await asyncio.gather(*planned))


def _speakers_of(case: Case, agent: Agent) -> list[Speaker]:
    speakers = agent.speakers
    if case.binding:
        return [speakers[case.binding]] if case.binding in speakers else []
    return list(speakers.values()) if case.each else [next(iter(speakers.values()))]


async def _tried(case: Case, agent: Agent, speaker: Speaker) -> Result:
    begun = monotonic()
    outcome, why = "passed", ""
    try:
        async with asyncio.timeout(CASE_SECONDS):
            await case.run(Trial(agent, speaker))
    except Skipped as skipped:
        outcome, why = "skipped", str(skipped)
    except (Failed, Refusal, Broken) as failed:
        outcome, why = "failed", str(failed)
    except TimeoutError:
        outcome, why = "failed", f"It did not end within {CASE_SECONDS:g} s."
    except StopAsyncIteration:
        outcome, why = "failed", "A stream ended before it began."
    except (KeyError, TypeError, ValueError, AttributeError, LookupError) as error:
        # An answer of a shape that the case did not expect is the server's doing.
        outcome, why = "failed", f"The answer has another shape: {type(error).__name__} {error}"
    binding = speaker.binding if case.each or case.binding else ""
    return Result(case, binding, outcome, why, monotonic() - begun)
