"""What a service must have installed: the lock of the project, cut down to what its code imports."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Self

from moment.errors import DependencyError

LOCK = "requirements.lock"

ALWAYS = frozenset({"httptools", "tzdata", "uvloop"})
"""What nothing imports by name, and every service uses: the server's own speed, the zones of the world."""

LEFT_OUT = frozenset({"mypy", "nvidia-nccl-cu12", "types-greenlet"})
"""What others ask for and no service loads: checkers of types, and 469 MB of CUDA's communication."""

_SELF = "moment"

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==")
_VIA = re.compile(r"^\s+#\s+(?:via\s+)?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file as ``uv pip compile`` writes it.

    Parameters
    ----------
    pins
        Lines by the name of the distribution; several where Python's version decides.
    via
        Of each distribution those that ask for it.
    """

    pins: Mapping[str, tuple[str, ...]]
    via: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a lock file; DependencyError when there is none."""
        if not path.is_file():
            raise DependencyError(
                f"there is no {path.name} in {path.parent}; package from a checkout of Moment"
            )
        pins: dict[str, list[str]] = {}
        via: dict[str, set[str]] = {}
        name = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if pinned := _PIN.match(line):
                name = normal(pinned["name"])
                pins.setdefault(name, []).append(line.strip())
            elif name and line.strip() != "# via" and (asked := _VIA.match(line)):
                via.setdefault(name, set()).add(normal(asked["name"]))
        return cls(
            {name: tuple(lines) for name, lines in pins.items()},
            {name: frozenset(names) for name, names in via.items()},
        )

    def closure(self, wanted: Collection[str], without: Collection[str] = ()) -> tuple[str, ...]:
        """Return the lines of some distributions and of all they need, sorted; but for those left out."""
        names = {normal(name) for name in wanted}
        unknown = sorted(names - self.pins.keys())
        if unknown:
            raise DependencyError(f"{LOCK} does not pin {', '.join(unknown)}; `make lock` writes it anew")
        out = {normal(name) for name in without}
        names -= out
        while more := {
            name for name, asking in self.via.items() if name not in names | out and asking & names
        }:
            names |= more
        return tuple(line for name in sorted(names) for line in self.pins[name])

    def distributions(self, imports: Collection[str]) -> frozenset[str]:
        """Return the distributions that some top-level names are imported from, as they are installed here.

        Of several that share a name it is those that Moment itself asks for, else all.

        Raises
        ------
        DependencyError
            A name is of no distribution that is installed and pinned.
        """
        known, found = packages_distributions(), set[str]()
        for name in sorted(imports):
            pinned = {normal(one) for one in known.get(name, ())} & self.pins.keys()
            if not pinned:
                raise DependencyError(
                    f"{name} is imported, but not installed here as {LOCK} pins it; `make lock`"
                )
            found |= {one for one in pinned if _SELF in self.via.get(one, ())} or pinned
        return frozenset(found)


def normal(name: str) -> str:
    """Return a distribution's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()
