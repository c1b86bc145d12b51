"""The root of the command line: global options, commands that load when they are used, exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from a2a_cloud.callers.cli.options import Options, global_options

#: Command → (module, its line in the help), in the order of the help. A command's object in the
#: module has the command's name with `_command` after it.
COMMANDS = {
    "init": ("init", "Make a new agent's folder."),
    "dev": ("dev", "Serve an agent and reload it on each save."),
    "deploy": ("deploy", "Make a release of a folder and let it serve."),
    "releases": ("releases", "List an agent's releases."),
    "diff": ("diff", "Compare two releases."),
    "rollback": ("moves", "Let an earlier release serve again."),
    "promote": ("moves", "Give a release all new calls, or a share."),
    "deprecate": ("moves", "Say when a major version ends."),
    "delete": ("delete", "Delete an agent, with a time to think again."),
    "restore": ("backup", "Bring back a deleted agent, or a whole platform."),
    "env": ("env", "Show and change an agent's variables."),
    "up": ("up", "Start the platform with these agents."),
    "secrets": ("secrets", "Store secrets that agents use and never see."),
    "hooks": ("hooks", "Let other people's webhooks call a skill."),
    "ls": ("agents", "List the agents."),
    "show": ("agents", "Show an agent's skills and how to call them."),
    "eval": ("evals", "Put a release to its rubric, and score it."),
    "search": ("search", "Find an agent by what it does."),
    "card": ("card", "Show an agent's card, and who vouches for it."),
    "call": ("call", "Call a skill and wait for its result."),
    "answer": ("answer", "Answer a question that a run asked."),
    "grants": ("grants", "See what runs may do and why, and end it."),
    "approvals": ("approvals", "See what runs ask for, and decide it."),
    "push": ("push", "See who is told of tasks, and tell again who was not reached."),
    "cancel": ("runs", "Cancel a task or a run."),
    "runs": ("runs", "List runs, or show one."),
    "run": ("run", "Erase what a run was told and said."),
    "logs": ("logs", "Show what an agent or a run logged."),
    "review": ("review", "Sign a verdict on a run."),
    "reviews": ("review", "See what people said of runs."),
    "replay": ("replay", "Run what was recorded again, and compare."),
    "receipt": ("receipt", "Fetch and verify receipts."),
    "pack": ("pack", "Make one file of runs' receipts and proofs for an auditor."),
    "client": ("client", "Write a typed client of an agent."),
    "connect": ("connect", "Let an MCP client use agents as tools."),
    "mcp-stdio": ("mcp_stdio", "Serve MCP to a client that starts processes."),
    "ws": ("ws", "Read and change workspaces, and their history."),
    "prices": ("prices", "See what skills cost, and set it."),
    "budgets": ("budgets", "See what callers may spend, and set it."),
    "credits": ("credits", "See what pays for calls; pay in and give back."),
    "ledger": ("ledger", "See the ledger, and check that it adds up."),
    "limits": ("limits", "See what limits hold, and set them."),
    "usage": ("usage", "See what was used, and what it cost."),
    "invoices": ("invoices", "Make, read and check invoices."),
    "payouts": ("payouts", "See what agents earn, and record payouts."),
    "billing": ("billing", "See billing's clock, and put it forward in tests."),
    "orgs": ("orgs", "See and make organisations."),
    "scim": ("orgs", "Connect an organisation's directory."),
    "members": ("members", "See who belongs to your organisation, and change it."),
    "teams": ("members", "See and change teams of members."),
    "roles": ("members", "See what each role may do, and make your own."),
    "access": ("access", "See who may call what, and why."),
    "audit": ("audit", "See what was changed, by whom and when, and check the log."),
    "link": ("link", "Make links that let a person in once."),
    "sessions": ("sessions", "See and end sessions of browsers."),
    "login": ("login", "Sign in to a platform."),
    "logout": ("logout", "End a sign-in."),
    "whoami": ("whoami", "Say as whom commands act, and where."),
    "profiles": ("profiles", "Choose the platform that commands mean."),
    "keys": ("keys", "Make, list, rotate and revoke API keys."),
    "services": ("services", "See agents' identities; get certificates and tokens."),
    "sigv4": ("sigv4", "Make keys for AWS signatures."),
    "witness": ("witness", "Watch that other logs only grow, and sign that they do."),
    "open": ("open", "Open an agent's page in the browser."),
    "conformance": ("conformance", "Test an A2A server."),
    "config": ("config", "See the platform's settings, and where each comes from."),
    "backup": ("backup", "Copy everything of a platform into one archive."),
    "doctor": ("doctor", "Check this machine and the platform."),
    "completion": ("completion", "Print a shell's completion script."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"a2a_cloud.callers.cli.{COMMANDS[cmd_name][0]}")
        return getattr(module, f"{cmd_name.replace('-', '_')}_command")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; an unknown command names the nearest one."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f"Did you mean `a2a {near[0]}`?" if near else "See `a2a --help`."
            raise click.UsageError(f"There is no command {name!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their lines, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("a2a-cloud")
    except PackageNotFoundError:
        number = "(not installed: running from source)"
    click.echo(f"a2a-cloud {number}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Where the platform is: --url, --profile, A2A_URL and A2A_KEY, A2A_DATA, or the profile `local` "
    "that the platform wrote. Exit codes and examples: docs/cli.md.",
)
@global_options
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version and exit.",
)
def root() -> None:
    """Call agents, follow their runs, verify their receipts."""


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore
    options = Options()
    try:
        result: Any = root.main(args=arguments, prog_name="a2a", standalone_mode=False, obj=options)
        sys.stdout.flush()
        return int(result) if isinstance(result, int) else 0
    except click.UsageError as error:
        from a2a_cloud.callers.cli.report import usage

        return usage(error)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # the reader of our output is gone, as in `a2a runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        from a2a_cloud.callers.cli.report import report

        code = report(error, as_json=options.json)
        if code is None:
            raise
        return code
