"""`a2a deploy --gate`: a release is put to its own rubric before it takes new calls, and only takes them when
it is good enough. The platform checks the stored score again when it is promoted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from a2a_cloud.callers.cli.deploy_report import Told
from a2a_cloud.callers.cli.eval_report import good_enough, show
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options
from a2a_cloud.callers.cli.terminal import say
from a2a_cloud.client.deploys import release_path
from a2a_cloud.client.http import agent_path
from a2a_cloud.client.shapes import obj, objs


def check_gate(folder: Path, *, no_promote: bool) -> None:
    """Raises Failure where a gate can't be passed, before anything is sent; Problems of the rubric."""
    from a2a_cloud.callers.cli.evals import FILE
    from a2a_cloud.wire.rubric import read_rubric

    if no_promote:
        raise Failure(Exit.USAGE, "--gate promotes, --no-promote does not.", remedy="Give one of the two.")
    if not (folder / FILE).is_file():
        raise Failure(
            Exit.USAGE,
            f"There is no {FILE} in {folder}, so there is nothing to score the release by.",
            remedy="Write one (docs/evals.md), or deploy without --gate.",
            code="no_rubric",
        )
    read_rubric((folder / FILE).read_bytes())


def through_gate(options: Options, told: Told, gate: float) -> tuple[Told, Exit, dict[str, Any]]:
    """(the deploy as it stands then, exit code, what the eval adds to `--json`): evaluated, and promoted if
    it is good enough. Raises what the client raises."""
    from a2a_cloud.callers.cli.evals import evaluate

    number = int(told.release["release"])
    document = evaluate(options, told.agent, {"release": number})
    scored = {"gate": gate, "eval": document}
    if document.get("state") != "done" or not good_enough(document.get("score"), gate):
        code = Exit.BELOW if document.get("state") == "done" else Exit.FAILED
        if not options.json:
            show(options, told.agent, document, objs(document.get("scores")))
        serving = bool(told.release.get("serving"))
        after = "it served before and goes on serving" if serving else f"release {number} is not promoted"
        say(f"a2a: {after}: it needs a score of {gate:g}")
        say(f"     Promote it all the same: {options.command('promote', told.agent, str(number))}")
        return told, code, {**scored, "exit": int(code)}
    if not options.json:
        say(f"score {document.get('score')}, {gate:g} was needed")
    body = {"release": number, "gate": gate}
    path = f"/api/v1{agent_path(told.agent)}/promote"
    options.ask(lambda platform: platform.json("POST", path, body=body))
    release = obj(options.ask(lambda platform: platform.json("GET", release_path(told.agent, number))))
    return dataclasses.replace(told, release=release, serving=number), Exit.OK, scored
