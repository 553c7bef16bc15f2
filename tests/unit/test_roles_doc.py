"""``docs/lifecycle.md`` says of each role what the code lets it do."""

from __future__ import annotations

from pathlib import Path

from serving.ports import Role, Scope
from serving.use_cases.keys import ROLES

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"
HEAD = "| right of a personal key | risk officer | data scientist | operator | support |"


def test_the_table_of_rights_is_that_of_the_code() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    begins = lines.index(HEAD)
    roles = [Role(cell.replace(" ", "_")) for cell in _cells(HEAD)[1:]]
    told: dict[Role, set[Scope]] = {role: set() for role in roles}
    for line in lines[begins + 2 :]:
        if not line.startswith("|"):
            break
        right, *marks = _cells(line)
        for role, mark in zip(roles, marks, strict=True):
            if mark:
                told[role].add(Scope(right.partition("`")[2].partition("`")[0]))

    assert told == {role: set(scopes) for role, scopes in ROLES.items()}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
