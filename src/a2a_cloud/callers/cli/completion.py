"""`a2a completion`: the script that lets a shell complete commands, options, agents and skills."""

from __future__ import annotations

import os
from pathlib import PurePath

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, json_option, with_options
from a2a_cloud.callers.cli.terminal import put, put_json

SHELLS = ("bash", "zsh", "fish")
#: The variable by which the script asks; click makes it of the program's name.
VARIABLE = "_A2A_COMPLETE"


@click.command("completion")
@json_option
@with_options
@click.argument("shell", required=False, type=click.Choice(SHELLS))
def completion_command(options: Options, shell: str | None) -> int:
    """Print the completion script for SHELL (the one you use when it is not given).

    \b
    bash: a2a completion bash > ~/.local/share/bash-completion/completions/a2a
    zsh:  a2a completion zsh > "${fpath[1]}/_a2a"
    fish: a2a completion fish > ~/.config/fish/completions/a2a.fish
    """
    from click.shell_completion import get_completion_class

    shell = shell or PurePath(os.environ.get("SHELL", "")).name
    maker = get_completion_class(shell) if shell in SHELLS else None
    if maker is None:
        raise Failure(
            Exit.USAGE,
            f"There is no completion for {shell or 'your shell, which SHELL does not name'}.",
            remedy="Name one: a2a completion bash, zsh or fish",
        )
    script = maker(click.get_current_context().find_root().command, {}, "a2a", VARIABLE).source()
    if options.json:
        put_json({"shell": shell, "script": script})
    else:
        put(script)
    return int(Exit.OK)
