"""Environments of agents: what they depend on, built by uv, and what is on record about them."""

from __future__ import annotations

from a2a_cloud.runtime.build.environment import BuiltEnvironment, Interpreter, Package
from a2a_cloud.runtime.build.environments import Environments
from a2a_cloud.runtime.build.kit import kit_wheel
from a2a_cloud.runtime.build.provenance import provenance
from a2a_cloud.runtime.build.sbom import sbom

__all__ = ["BuiltEnvironment", "Environments", "Interpreter", "Package", "kit_wheel", "provenance", "sbom"]
