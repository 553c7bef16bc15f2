"""How a trained model enters its life; it is the champion at once where no person is in charge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moment.home import Home
    from moment.offices import Offices
    from serving.lifecycle import Book, GateVerdict, Version


@dataclass(frozen=True, slots=True)
class About:
    """What is said of a version when it enters.

    Parameters
    ----------
    reason
        Why it was made: ``schedule``, ``drift``, ``hand``, ``demo`` or words of one's own.
    key_file
        The personal key of who made it; None: the machine.
    tier, use_class, owner
        How much harm a wrong one can do, what it is used for, who answers for it.
    """

    reason: str = ""
    key_file: Path | None = None
    tier: int = 2
    use_class: str = "marketing"
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """What became of a version that entered.

    Parameters
    ----------
    version
        As the book has it now.
    installed
        Whether the machine made it the champion: there was none, and no person is in charge.
    """

    version: Version
    installed: bool


def enter(
    offices: Offices,
    home: Home,
    bundle: Path,
    gates: Sequence[GateVerdict],
    about: About,
    *,
    registered: str = "",
    data_digest: str = "",
) -> Entered:
    """Enter a bundle with what its gates found, and show it in MLflow.

    Where its model has no champion and nobody is in charge of it, the machine installs it, without approval.
    """
    with offices.life(home) as life:
        version = life.enter(
            bundle,
            gates,
            registered=registered,
            data_digest=data_digest,
            tier=about.tier,
            use_class=about.use_class,
            owner=about.owner,
            reason=about.reason,
            key_file=about.key_file,
        )
        installed = _is_alone(life.book(), version)
        if installed:
            version = life.install(version.model, version.digest, reason=about.reason or "the first one")
        book = life.book()
    offices.mirror(home, book)
    return Entered(version, installed)


def _is_alone(book: Book, version: Version) -> bool:
    """Whether a version may serve without anybody's word: it passed, it is the first, nobody is in charge."""
    return (
        version.state == "challenger"
        and book.champion(version.model) is None
        and version.model not in book.claimed
    )
