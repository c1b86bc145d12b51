"""A platform with two organisations, for tests of who sees and calls what: acme has four agents, seen by
itself, by globex too, by who says who they are, and by anybody; globex has none."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from running import SOURCE, Running, start_platform

AGENT = '''
from a2a_cloud import Context, skill


@skill
async def tell(ctx: Context, word: str = "plain") -> str:
    """Say a word, and keep it in a file."""
    await ctx.workspace.write("notes/said.txt", word)
    await ctx.artifact("said.txt", word.encode(), media_type="text/plain")
    return word


@skill
async def ask(ctx: Context) -> str:
    """Ask for a word."""
    return str(await ctx.ask("Which word?", schema={"type": "string"}))


@skill
async def beg(ctx: Context) -> str:
    """Ask for more than the grant allows."""
    await ctx.request_scope(read=["finance/**"], reason="to know")
    return "may"


@skill(scopes=["invoices.pay"])
async def pay(amount: int) -> int:
    """Pay."""
    return amount


@skill
async def void(amount: int) -> int:
    """Take a payment back; a2a.toml says who may."""
    return amount
'''
MANIFEST = """
name = "{name}"
description = "For tests of who sees what"
default_skill = "tell"
{visibility}

[skills.void]
require = ["invoices.pay", "invoices.void"]

[grant]
write = ["notes/**"]
"""
VISIBLE = {
    "vault": 'visibility = "org"',
    "listed": 'visibility = ["globex"]',
    "signed": 'visibility = "signed-in"',
    "open": 'visibility = "public"',
}


@dataclass
class Orgs:
    """The platform, and keys by name: root of the platform; ada, plain and robot of acme (admin, member, no
    permission at all); eve of globex (admin)."""

    running: Running
    keys: dict[str, str] = field(default_factory=dict[str, str])

    def ask(
        self, who: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """One request; `who` "" is nobody."""
        url = path if path.startswith("http") else f"{self.running.url}{path}"
        sent = {"Authorization": f"Bearer {self.keys[who]}"} if who else {}
        content = body if isinstance(body, bytes) else None
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.request(
                method,
                url,
                json=None if content is not None else body,
                content=content,
                headers={**sent, **(headers or {})},
            )

    def api(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """The document of a request to the control API that has to go well."""
        answer = self.ask(who, method, f"/api/v1/{path}", body)
        assert answer.is_success, (path, answer.status_code, answer.text)
        return answer.json()

    def invoke(self, who: str, agent: str, skill: str, **arguments: Any) -> httpx.Response:
        """`POST /invoke/{skill}` of an agent of acme."""
        return self.ask(who, "POST", f"/agents/acme.{agent}/invoke/{skill}", arguments)

    def key(self, name: str, org: str, role: str, **more: Any) -> str:
        """A new key of `name`, kept under that name."""
        by = "root" if org != "acme" or "ada" not in self.keys else "ada"
        body = {"principal": name, "org": org, "role": role, **more}
        made = self.api(by, "POST", "keys", body)
        self.keys[name] = made["key"]
        return str(made["id"])

    def a2a(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        """The command line, as `who`."""
        env = {
            **self.running.env,
            "A2A_URL": self.running.url,
            "A2A_KEY": self.keys[who],
            "PYTHONPATH": str(SOURCE),
            "PATH": os.environ["PATH"],
        }
        return subprocess.run(
            [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def start(home: Path, **settings: str) -> Orgs:
    """The platform with its people and agents; `settings` are further variables of its environment."""
    site = Orgs(start_platform([], home, A2A_PUSH_PRIVATE="127.0.0.1", **settings))
    try:
        _settle(site, home)
    except BaseException:
        site.running.stop()
        raise
    return site


def _settle(site: Orgs, home: Path) -> None:
    site.keys["root"] = site.running.key
    for org in ("acme", "globex"):
        site.api("root", "POST", "orgs", {"name": org})
    site.key("ada", "acme", "admin")
    site.key("eve", "globex", "admin")
    site.key("plain", "acme", "member")
    site.api("ada", "PUT", "roles/idle", {"permissions": ["nothing"]})
    site.key("robot", "acme", "idle")
    for name, visibility in VISIBLE.items():
        folder = home / name
        folder.mkdir()
        (folder / "a2a.toml").write_text(MANIFEST.format(name=name, visibility=visibility))
        (folder / "agent.py").write_text(AGENT)
        done = site.a2a("ada", "deploy", str(folder))
        assert done.returncode == 0, done.stderr
