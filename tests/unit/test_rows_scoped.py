"""Every query of every slice names the organisation of what it reads: each method of each class of rows is
called, and the SQL that it runs is looked at. One that takes no scope has to be listed here, with why."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import a2a_cloud
from a2a_cloud.model.invoice import Bounds
from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.usage import UsageQuery
from a2a_cloud.storage.journal.port import Statement
from a2a_cloud.storage.journal.writer import connect, prepare

ORG, OWNER = 4711, 815
#: Class.method → why it names no organisation. What is asked for by an unguessable hash or id says itself
#: whose it is; the rest is the platform's own work, at start or by a clock.
UNSCOPED: dict[str, str] = {
    "GrantRows.by_id": "the platform's own: grants of a token that was opened",
    "GrantRows.ends": "the platform's own: which of a token's ids were revoked",
    "GrantRows.uses": "the platform's own: counters of a token's limits",
    "GrantRows.living_links": "at start",
    "GrantRows.living_ends": "at start",
    "GrantRows.policies": "at start",
    "ApprovalRows.every_open": "at start",
    "ApprovalRows.every_rules": "at start",
    "LogRows.keys": "the platform's own: its logs have one key",
    "LogRows.logs": "at start: the last checkpoint of each log",
    "LogRows.sizes": "the platform's own: which logs have news",
    "LogRows.told": "the platform's own: its settings at the last start",
    "PeopleRows.link_of": "by the hash of what is in the link",
    "PeopleRows.session_of": "by the hash of what is in the cookie",
    "PeopleRows.sessions": "of one account, whatever it is a member of",
}
#: Statements that change rows of no single organisation, with why.
CHANGES: dict[str, str] = {
    "UPDATE web_session": "an account's own, by session and account, or by its cookie's session",
    "DELETE FROM web_session": "an account's own, or ended long ago",
    "DELETE FROM link": "one that the caller was shown, or ended long ago",
    "DELETE FROM budget_use": "counters of a day or month that is over",
    "DELETE FROM service_cert": "those of a root that is gone",
    "DELETE FROM service_root": "the platform's own",
    "UPDATE service_root": "the platform's own",
    "UPDATE oauth_family": "of a client that is removed",
}
#: Tables whose rows belong to no organisation, with why.
NO_ORG = {
    "account": "a person, who may belong to several",
    "org": "an organisation itself",
    "link_use": "that a link, which has an organisation, was used",
    "workspace_object": "by digest",
}


def modules() -> Iterator[Any]:
    """Modules of control, runtime and storage that hold SQL."""
    for name in ("control", "runtime", "storage"):
        package = importlib.import_module(f"a2a_cloud.{name}")
        for found in pkgutil.walk_packages(package.__path__, f"a2a_cloud.{name}."):
            source = Path(a2a_cloud.__file__).parent.joinpath(*found.name.split(".")[1:])
            file = source.with_suffix(".py") if source.with_suffix(".py").exists() else source / "__init__.py"
            text = file.read_text("utf-8")
            if re.search(r"\b(SELECT|INSERT|UPDATE|DELETE)\b|sqlite3\.Connection", text):
                yield importlib.import_module(found.name)


def readers() -> dict[str, type]:
    """Classes over a database's connection alone, by name."""
    found: dict[str, type] = {}
    for module in modules():
        for name, kind in inspect.getmembers(module, inspect.isclass):
            own = kind.__module__ == module.__name__ and "__init__" in vars(kind)
            if own and list(inspect.signature(kind).parameters) == ["connection"]:
                found[name] = kind
    return found


def methods() -> list[tuple[str, type, str]]:
    """(Class.method, class, method) of all of them."""
    return [
        (f"{name}.{method}", kind, method)
        for name, kind in sorted(readers().items())
        for method, _ in inspect.getmembers(kind, inspect.isfunction)
        if method[0] != "_"
    ]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("rows") / "journal.db"
    prepare(path)
    connection = connect(path)
    yield connection
    connection.close()


def tables_with_org(database: sqlite3.Connection) -> set[str]:
    names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    return {
        name for name in names if "org" in {row[1] for row in database.execute(f"PRAGMA table_info({name})")}
    }


def value(name: str, annotation: str, scope: Scope) -> Any:
    """Something that fits a parameter."""
    if "Scope" in annotation:
        return scope
    if name in ("org", "org_no"):
        return ORG
    if annotation == "UsageQuery":
        return UsageQuery(("caller", "agent", "key"), 0.0, 1.0, agent="x", caller="x")
    if annotation == "Bounds":
        return Bounds(0, 0, 1, 1)
    for word, fits in (("str", "x"), ("bytes", b"x"), ("int", 1), ("float", 1.0), ("bool", True)):
        if re.match(rf"{word}\b", annotation):
            return fits
    if annotation.startswith("tuple[str, str]"):
        return ("x", "x")
    if re.match(r"(Sequence|Iterable|list|Collection)", annotation):
        return ["x"]
    return None


def run(kind: type, method: str, database: sqlite3.Connection, scope: Scope) -> list[str]:
    """The SQL that a call runs."""
    seen: list[str] = []
    database.set_trace_callback(seen.append)
    function = getattr(kind(database), method)
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            given[name] = value(name, str(parameter.annotation), scope)
    try:
        found = function(**given)
        if inspect.isgenerator(found):
            list(found)
    finally:
        database.set_trace_callback(None)
    return seen


def test_there_are_rows_to_look_at() -> None:
    assert len(readers()) >= 5
    assert {name for name, _, _ in methods()} >= set(UNSCOPED), "a line of UNSCOPED is about nothing"


@pytest.mark.parametrize(
    ("name", "kind", "method"), methods(), ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_read_names_its_organisation(
    name: str, kind: type, method: str, database: sqlite3.Connection
) -> None:
    if name in UNSCOPED:
        return
    owned = tables_with_org(database)
    try:
        queries = run(kind, method, database, Scope(org=ORG, owner=OWNER))
    except (Internal, AssertionError):  # For the platform's own scope alone, which no request has.
        run(kind, method, database, SYSTEM)
        return
    for query in queries:
        tables = {one for one in re.findall(r"\b(?:FROM|JOIN) (\w+)", query) if one in owned}
        if tables:
            assert re.search(rf"\b(org|no)={ORG}\b", query), f"{name} forgets the organisation: {query}"


def statements() -> dict[str, Statement]:
    """Every statement of every module."""
    found: dict[str, Statement] = {}
    for module in modules():
        for name in dir(module):
            each = getattr(module, name)
            if isinstance(each, Statement):
                found[each.name] = each
    return found


@pytest.mark.parametrize("name", sorted(statements()))
def test_a_change_names_its_organisation(name: str, database: sqlite3.Connection) -> None:
    text = statements()[name].sql
    table = re.match(r"(?:INSERT(?: OR \w+)? INTO|REPLACE INTO|UPDATE|DELETE FROM) (\w+)", text)
    assert table is not None, text
    if table[1] not in tables_with_org(database):
        columns = {row[1] for row in database.execute(f"PRAGMA table_info({table[1]})")}
        assert table[1] in NO_ORG or "account" in columns, f"{table[1]} belongs to nobody"
        return
    if text.startswith("INSERT"):
        assert re.match(r"INSERT(?: OR \w+)? INTO \w+\((\w+, )*org\b", text), text
    elif not any(text.startswith(begins) for begins in CHANGES):
        assert re.search(r"WHERE .*\borg=\?", text), text
