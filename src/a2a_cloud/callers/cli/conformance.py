"""`a2a conformance URL`: run our cases against any A2A server, and print how each went."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from a2a_cloud.callers.cli.colour import green, put_painted, red, yellow
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, json_option, with_options
from a2a_cloud.callers.cli.terminal import Progress, clean_line, put, put_json
from a2a_cloud.callers.cli.units import count

if TYPE_CHECKING:
    from a2a_cloud.callers.conformance.suite import Result

_BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")
_PAINT = {"passed": green, "failed": red, "skipped": yellow}


@click.command("conformance")
@click.argument("url")
@click.option(
    "--binding",
    "bindings",
    multiple=True,
    type=click.Choice(_BINDINGS, case_sensitive=False),
    help="Only this binding; may be repeated. Otherwise all that the card lists.",
)
@click.option("--only", default="", metavar="…", help="Only cases whose id begins so, such as stream.")
@click.option("--key-file", default="", metavar="…", help="A file with the key of the caller.")
@click.option("--other-key-file", default="", metavar="…", help="A file with the key of another caller.")
@click.option("--anonymous", is_flag=True, help="Send no key, though one is known.")
@click.option(
    "--behaviour",
    "behaviours",
    multiple=True,
    metavar="NAME=PREFIX",
    help="What a messageId begins with to make the agent do this; may be repeated.",
)
@click.option(
    "--webhook-host",
    default="127.0.0.1",
    metavar="…",
    help="The address of this machine at which push notifications are awaited.",
)
@json_option
@with_options
def conformance_command(
    options: Options,
    url: str,
    bindings: tuple[str, ...],
    only: str,
    key_file: str,
    other_key_file: str,
    anonymous: bool,
    behaviours: tuple[str, ...],
    webhook_host: str,
) -> int:
    """Test the A2A server whose agent is at URL; exit code 1 when a case fails.

    URL is an agent's address, or that of its card. The agent should do what a messageId asks for, as
    examples/tester does. Cases that it can't be brought to are skipped, with the reason.
    """
    key = "" if anonymous else _key(options, url, key_file)
    other = _key(options, url, other_key_file) if other_key_file else ""
    progress = Progress(quiet=options.json or not sys.stderr.isatty())
    results = asyncio.run(
        _tested(
            url,
            only,
            progress,
            key=key,
            other=other,
            bindings=bindings or _BINDINGS,
            prefixes=_prefixes(behaviours),
            webhook_host=webhook_host,
        )
    )
    progress.clear()
    totals = {name: sum(one.outcome == name for one in results) for name in _PAINT}
    if not results:
        raise Failure(Exit.USAGE, f"No case's id begins with {only!r}.", remedy="See docs/conformance.md.")
    if options.json:
        put_json({"url": url, **totals, "cases": [_document(one) for one in results]})
    else:
        _show(results)
        put(f"{count(len(results), 'case')}: {', '.join(f'{n} {name}' for name, n in totals.items())}")
    return int(Exit.FAILED if totals["failed"] else Exit.OK)


async def _tested(url: str, only: str, progress: Progress, **options: Any) -> list[Result]:
    from a2a_cloud.callers.conformance.suite import NoAgent, agent_at, run

    try:
        async with agent_at(url, **options) as agent:
            return await run(agent, only, lambda one: progress.show(f"{one.case.id} {one.binding}"))
    except NoAgent as error:
        raise Failure(Exit.UNREACHABLE, error.why, remedy=error.remedy) from None


def _show(results: list[Result]) -> None:
    ids = max(len(one.case.id) for one in results)
    bindings = max(len(one.binding) for one in results)
    for one in results:
        line = f"{one.outcome:7}  {one.case.id:{ids}}  {one.binding:{bindings}}  {one.why or one.case.title}"
        put_painted(clean_line(line).rstrip(), _PAINT[one.outcome])


def _document(one: Result) -> dict[str, Any]:
    return {
        "case": one.case.id,
        "section": one.case.section,
        "title": one.case.title,
        "binding": one.binding,
        "outcome": one.outcome,
        "why": one.why,
        "seconds": round(one.seconds, 3),
    }


def _key(options: Options, url: str, key_file: str) -> str:
    """The key for the agent's origin, "" when none is known: A2A_KEY alone is for one's own platform."""
    from a2a_cloud.callers.cli.outside import target_of
    from a2a_cloud.client.profile import resolve

    if key_file:
        return resolve(url=url, key_file=key_file).key
    return target_of(options, url).key


def _prefixes(behaviours: tuple[str, ...]) -> dict[str, str]:
    from a2a_cloud.callers.conformance.trial import BEHAVIOURS

    found: dict[str, str] = {}
    for word in behaviours:
        name, equals, prefix = word.partition("=")
        if name not in BEHAVIOURS or not equals or not prefix:
            raise Failure(
                Exit.USAGE,
                f"--behaviour can't be {word!r}.",
                remedy=f"Write NAME=PREFIX with one of {', '.join(BEHAVIOURS)}.",
            )
        found[name] = prefix
    return found
