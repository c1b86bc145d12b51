"""Worlds for the simulations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from witness import Witness
from world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A platform with the agent `crash`, not started."""
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def witness(world: World) -> Witness:
    """A client of that platform."""
    return Witness(world)
