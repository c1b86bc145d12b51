"""What a platform says of itself in `a2a doctor`: its sandbox, and agents that sleep."""

from __future__ import annotations

from pathlib import Path

from a2a_cloud.ops.checks import Cage, Check, Health, checks

JAIL = Cage("jail", ("seccomp", "network namespace"), (), (("become root", True, "EPERM"),))
BARE = Cage("process", ("rlimits",), ("bubblewrap is not installed.", "Agent code can use the network."))


def found(tmp_path: Path, cage: Cage, *agents: Health) -> dict[str, list[Check]]:
    lines: dict[str, list[Check]] = {}
    for check in checks(tmp_path, False, "/usr/bin/uv", cage, agents):
        lines.setdefault(check.name, []).append(check)
    return lines


def test_a_jail_names_its_layers_and_what_it_tried(tmp_path: Path) -> None:
    lines = found(tmp_path, JAIL)
    assert lines["sandbox"] == [Check("sandbox", "ok", "jail: seccomp, network namespace")]
    assert lines["sandbox test"] == [
        Check("sandbox test", "ok", "1 attacks from inside, all refused: become root")
    ]
    assert "sandbox lacks" not in lines


def test_an_attack_that_got_through_fails(tmp_path: Path) -> None:
    tried = (("become root", True, "EPERM"), ("write to /usr", False, "it worked"))
    (line,) = found(tmp_path, JAIL._replace(tried=tried))["sandbox test"]
    assert (line.state, line.detail) == ("fail", "This got through: write to /usr (it worked).")
    assert line.remedy


def test_a_bare_process_says_what_it_lacks(tmp_path: Path) -> None:
    lines = found(tmp_path, BARE)
    (line,) = lines["sandbox"]
    assert line.state == "warn"
    assert "not isolated" in line.detail
    assert line.remedy
    assert [one.detail for one in lines["sandbox lacks"]] == list(BARE.missing)
    assert "sandbox test" not in lines


def test_an_agent_that_sleeps_is_well(tmp_path: Path) -> None:
    lines = found(tmp_path, JAIL, Health("a", 0, 0, "", resting=True), Health("b", 0, 0, ""))
    assert lines["agent a"][0].state == "ok"
    assert lines["agent b"][0].state == "warn"
