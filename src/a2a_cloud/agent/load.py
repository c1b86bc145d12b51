"""From an entry in a2a.toml to the declared skills: import the module, collect what it declares."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from a2a_cloud.agent.declaration import Declaration
from a2a_cloud.agent.parameters import MISSING
from a2a_cloud.agent.problem import BadDeclaration

if TYPE_CHECKING:
    from a2a_cloud.agent.skill import Agent, Marked


@dataclass(slots=True)
class Declared:
    """All that an agent can do: skills by id, in the order of their declaration, and the handler."""

    skills: dict[str, Declaration] = field(default_factory=dict[str, Declaration])
    message: Declaration | None = None


def load(source: ModuleType | Agent) -> Declared:
    """What a module or an Agent declares, ready for calls. Raises BadDeclaration.

    Of a module: its `@skill` functions, those imported into it too, and its one Agent.
    """
    from a2a_cloud.agent.skill import Agent

    agent: Agent | None = None
    marked: list[Marked] = []
    if isinstance(source, Agent):
        agent = source
    else:
        members = list(vars(source).values())
        marked = _unique([m.__dict__["__a2a_skill__"] for m in members if "__a2a_skill__" in _own(m)])
        agents = _unique([m for m in members if isinstance(m, Agent)])
        if len(agents) > 1:
            raise BadDeclaration(
                f"The module {source.__name__} holds {len(agents)} agents.",
                remedy='Name one in a2a.toml: entry = "agent.py:NAME".',
            )
        agent = agents[0] if agents else None
    out = Declared()
    for one in [*marked, *(agent.marked if agent else ())]:
        declaration = one.declaration()
        if declaration.id in out.skills:
            raise BadDeclaration(
                f"Two skills have the id `{declaration.id}`.", remedy='Give one another: @skill(id="…").'
            )
        out.skills[declaration.id] = declaration
    if agent and agent.handler:
        out.message = _handler(agent.handler.declaration())
    if not out.skills and out.message is None:
        raise BadDeclaration(
            "The agent declares no skill.",
            remedy="Write @skill above a function: `from a2a_cloud import skill`.",
        )
    return out


def find_entry(entry: str, folder: str | Path) -> ModuleType | Agent:
    """Import `module`, `module:attr`, `path.py` or `path.py:attr` of a folder; what `load` takes.

    The folder (and the script's own) goes to the front of sys.path. What the module raises while it
    is imported is raised here unchanged; BadDeclaration where nothing can be found.
    """
    from a2a_cloud.agent.skill import Agent

    folder = Path(folder).resolve()
    where, _, attribute = entry.partition(":")
    _front(folder)
    module = _script(folder, where) if where.endswith(".py") else _module(folder, where)
    if not attribute:
        return module
    found = module
    for step in attribute.split("."):
        if not hasattr(found, step):
            raise BadDeclaration(f"{where} has no `{attribute}`, which the entry {entry!r} names.")
        found = getattr(found, step)
    if not isinstance(found, Agent | ModuleType):
        raise BadDeclaration(
            f"`{attribute}` of {where} is no Agent.",
            remedy=f'Write entry = "{where}" for skills of the module, or name an Agent().',
        )
    return found


def _own(member: Any) -> dict[str, Any]:
    # `vars` and not getattr: a mock or a lazy proxy answers yes to any attribute.
    return getattr(member, "__dict__", {}) if callable(member) else {}


def _unique(items: list[Any]) -> list[Any]:
    return list({id(item): item for item in items}.values())


def _handler(declaration: Declaration) -> Declaration:
    text = declaration.text_param
    for parameter in declaration.parameters:
        if parameter.default is MISSING and parameter.name != text:
            raise BadDeclaration(
                f"The message handler `{declaration.id}` needs `{parameter.name}`, "
                "and a message has only text.",
                remedy="Take one `text: str`, or give it a default.",
            )
    return declaration


def _front(folder: Path) -> None:
    if str(folder) not in sys.path[:1]:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()


def _module(folder: Path, name: str) -> ModuleType:
    present, path = sys.modules.get(name), folder / f"{name}.py"
    if present is not None and getattr(present, "__file__", None) != str(path) and path.is_file():
        return _script(folder, path.name)  # another agent's, which has the name in this process already
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise  # something that the module imports is missing, not the module
        raise BadDeclaration(
            f"There is no module {name} in {folder}.", remedy='Name the file: entry = "agent.py".'
        ) from None


def _script(folder: Path, where: str) -> ModuleType:
    path = (folder / where).resolve()
    if not path.is_file() or not path.is_relative_to(folder):
        raise BadDeclaration(f"There is no file {where} in {folder}.", remedy='Write entry = "agent.py".')
    name, top = path.stem, path.parent
    while top != folder and (top / "__init__.py").is_file():
        # A file of a package is imported by its full name, or its relative imports would fail.
        name, top = f"{top.name}.{name}", top.parent
    _front(top)
    if "." in name:
        return importlib.import_module(name)
    while (present := sys.modules.get(name)) is not None:
        if getattr(present, "__file__", None) == str(path):
            return present
        name = f"a2a_entry_{name}"  # the name is taken, by the standard library perhaps
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadDeclaration(f"The file {where} can't be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
