"""The options that every command takes: where the platform is, and whether output is for a program."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from a2a_cloud.client.http import Platform
    from a2a_cloud.client.profile import Target

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass
class Options:
    """What the command line said, for all commands alike."""

    url: str = ""
    key: str = ""
    key_file: str = ""
    profile: str = ""
    json: bool = False

    def target(self) -> Target:
        """The platform that is meant. Raises NotConfigured."""
        from a2a_cloud.client.profile import resolve

        return resolve(url=self.url, key=self.key, key_file=self.key_file, profile=self.profile)

    def command(self, *words: str) -> str:
        """A command line to paste that means the same platform as this one (the key itself aside)."""
        import shlex

        where = [("--url", self.url), ("--profile", self.profile), ("--key-file", self.key_file)]
        return shlex.join(
            ["a2a", *(part for flag, value in where if value for part in (flag, value)), *words]
        )

    def ask(self, talk: Callable[[Platform], Coroutine[Any, Any, T]]) -> T:
        """Run `talk` with the platform. Raises what the client raises."""
        import asyncio

        from a2a_cloud.client.http import Platform

        target = self.target()

        async def conversation() -> T:
            async with Platform(target) as platform:
                return await talk(platform)

        return asyncio.run(conversation())


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Options), name, value)

    return keep


def _common(function: F) -> F:
    for flag, name, text in (
        ("--profile", "profile", "A profile of your profiles.toml."),
        ("--key-file", "key_file", "A file that holds the API key."),
        ("--url", "url", "The platform's address, such as http://127.0.0.1:8080."),
    ):
        function = click.option(flag, callback=_keep(name), expose_value=False, metavar="…", help=text)(
            function
        )
    return json_option(function)


def json_option(function: F) -> F:
    """`--json` alone, for a command that asks no platform."""
    return click.option(
        "--json", is_flag=True, callback=_keep("json"), expose_value=False, help="Output for programs."
    )(function)


def global_options(function: F) -> F:
    """The options before the command; `--key` stands only here (commands have a --key of their own)."""
    function = click.option(
        "--key",
        callback=_keep("key"),
        expose_value=False,
        metavar="…",
        help="The API key. Others on this machine can see it while the command runs: rather A2A_KEY.",
    )(function)
    return _common(function)


def connected(function: F) -> F:
    """A command that talks to the platform: takes the common options, gets `options` first."""
    return _common(with_options(function))


def with_options(function: F) -> F:
    """Pass the Options object as the first argument."""
    return click.make_pass_decorator(Options, ensure=True)(function)  # pyright: ignore
