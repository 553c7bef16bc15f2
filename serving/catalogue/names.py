"""What the parts of a catalogue call one another: every name that does not exist is a fault."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from serving.catalogue.section import Section
from serving.decision.parsing import nearest

_KINDS = {
    "issues": "issue",
    "groups": "group",
    "actions": "action",
    "channels": "channel",
    "exclusions": "exclusion",
}


@dataclass(frozen=True, slots=True)
class Names:
    """Every name of each kind, in the plural that entries use, such as ``groups``."""

    known: Mapping[str, Collection[str]]

    def read(self, section: Section, kind: str) -> tuple[str, ...]:
        """Return the names an entry lists, sorted; one that does not exist is a fault."""
        listed = section.texts(kind)
        return tuple(
            sorted({name for name, line in listed if self.check(section, kind, name, line, entry=kind)})
        )

    def check(
        self, section: Section, kind: str, name: str, line: int | None = None, *, entry: str = ""
    ) -> bool:
        """Return whether the name exists; if not, note it with the nearest."""
        if name in self.known[kind]:
            return True
        way_out = nearest(name, self.known[kind]) or among(self.known[kind])
        section.fault(entry, f"there is no {_KINDS[kind]} `{name}`{way_out}", line)
        return False


def among(names: Iterable[str], most: int = 12) -> str:
    """Return ``; one of a, b, c``, cut where there are many, or that there is none."""
    listed = sorted(names)
    if not listed:
        return "; the catalogue has none"
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return f"; one of {', '.join(listed[:most])}{more}"
