"""Scopes of tokens (RFC 6749, section 3.3): what a client may ask for, what that is in plain words, and what
it leaves of a principal.

A scope is `all` (whatever the person may do), a permission (`runs.read`), `agent:NAME` or
`agent:NAME/SKILL`, one of OpenID Connect's, or a word that some skill asks for. NAME is the one in
addresses: `name` for agents of the default organisation, `org.name` for others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from a2a_cloud.model.principal import DEFAULT_ORG, Permission

ALL = "all"
OPENID = frozenset({"openid", "profile", "email", "offline_access"})
OFFLINE = "offline_access"
_AGENT = "agent:"
#: Characters of a request's scopes, and their number.
MAX_TEXT, MAX_COUNT = 2000, 50

_WORD = re.compile(r"[a-z][a-z0-9_.:-]{0,99}").fullmatch
_AGENT_NAME = re.compile(r"agent:[a-z0-9_.@-]{1,140}(/[A-Za-z0-9_.-]{1,100})?").fullmatch

_WORDS = {
    ALL: "Everything that you may do here yourself",
    "openid": "Know who you are: an identifier of yours",
    "profile": "See your name",
    "email": "See your e-mail address",
    OFFLINE: "Go on doing so while you are away, until you end it",
    Permission.CALL: "Call every agent that you may call, as you",
    Permission.DEPLOY: "Deploy agents, and roll them back",
    Permission.READ_RUNS: "See the runs of everybody in your organisation, and what they said",
    Permission.MANAGE_RUNS: "Cancel and erase runs of others",
    Permission.READ_LOGS: "Read what agents log",
    Permission.DECIDE: "Approve and deny what agents ask for",
    Permission.MANAGE_GRANTS: "See and revoke what agents are allowed",
    Permission.MANAGE_SECRETS: "Set and remove secrets of agents",
    Permission.READ_FILES: "Read the files of workspaces",
    Permission.MANAGE_FILES: "Change the files of workspaces",
    Permission.MANAGE_KEYS: "Make and revoke keys, and see whose they are",
    Permission.MANAGE_MEMBERS: "Invite and remove people, and change what they may do",
    Permission.MANAGE_POLICY: "Change the rules of your organisation",
    Permission.READ_AUDIT: "Read who changed what",
    Permission.READ_USAGE: "See how much is used",
    Permission.MANAGE_BILLING: "Set prices, budgets and credits, and issue invoices",
    Permission.MANAGE_PLATFORM: "Run this platform, for all organisations",
}
#: Those that are named in metadata (RFC 8414, `scopes_supported`).
SUPPORTED = ("openid", "profile", "email", OFFLINE, ALL, *sorted(Permission))


def read(text: str) -> tuple[str, ...]:
    """The scopes of a request, each once, in their order. Raises ValueError for what can't be one."""
    if len(text) > MAX_TEXT:
        raise ValueError("the scopes are too long")
    found = tuple(dict.fromkeys(text.split()))
    if len(found) > MAX_COUNT:
        raise ValueError("there are too many scopes")
    for scope in found:
        if not (_AGENT_NAME(scope) if scope.startswith(_AGENT) else _WORD(scope)):
            raise ValueError("there is a scope that this server doesn't know")
    return found


def usual(place: str) -> str:
    """What is granted to who asks for a resource and names no scope; `place` is the resource's path."""
    if place.startswith("/agents/"):
        return _AGENT + place.split("/")[2]
    return str(Permission.CALL)


def within(asked: Iterable[str], granted: Iterable[str]) -> bool:
    """Whether each of `asked` is covered by `granted`: by itself, by its agent, or by what covers all."""
    have = frozenset(granted)
    return all(_covered(scope, have) for scope in asked)


def _covered(scope: str, have: frozenset[str]) -> bool:
    if scope in have:
        return True
    if scope in OPENID:
        return False
    if ALL in have:
        return True
    if scope.startswith(_AGENT):
        return Permission.CALL in have or scope.partition("/")[0] in have
    return False


def words(scope: str) -> str:
    """What it allows, for people."""
    known = _WORDS.get(scope)
    if known is not None:
        return known
    if scope.startswith(_AGENT):
        name, _, skill = scope[len(_AGENT) :].partition("/")
        return f"Call {skill} of the agent {name}, as you" if skill else f"Call the agent {name}, as you"
    return f"Use skills that ask for “{scope}”, where you may"


def narrowing(scopes: Iterable[str], org: str) -> frozenset[str] | None:
    """`Principal.scopes` of who shows a token with these: None for all; agents named as people of `org`
    name them."""
    found = frozenset(scopes) - OPENID
    if ALL in found:
        return None
    return frozenset(_relative(scope, org) if scope.startswith(_AGENT) else scope for scope in found)


def _relative(scope: str, org: str) -> str:
    name = scope[len(_AGENT) :]
    owner, dot, rest = name.partition("/")[0].partition(".")
    if not dot:
        return scope if org == DEFAULT_ORG else f"{_AGENT}{DEFAULT_ORG}.{name}"
    return _AGENT + name[len(owner) + 1 :] if owner == org and rest else scope
