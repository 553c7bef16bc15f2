"""How a trained model enters its life; it is the champion at once where no person is in charge."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moment.errors import StepMissing
from serving.bundles import current, make_current, read_manifest
from serving.lifecycle import Model, State

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
        known = _lived(life.book(), bundle)
        if known is not None:
            return Entered(known, installed=False)
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
            # What was just opened and measured is good; what is trained next may look at it
            make_current(bundle)
        book = life.book()
    _keep_report(home, version)
    offices.mirror(home, book)
    return Entered(version, installed)


def champion_bundle(offices: Offices, home: Home, model: Model) -> Path | None:
    """Return the bundle a new version is held against: the champion's, else the last good one here.

    The champion's is named though it be gone from here: who cannot read it must not pass as having none.
    """
    with offices.life(home) as life:
        champion = life.book().champion(model)
    if champion is not None:
        return home.bundles / model / champion.version
    try:
        return current(home.bundles, model)
    except StepMissing:
        return None


def told(entered: Entered) -> Iterator[str]:
    """Yield what became of a version, and what comes next."""
    version = entered.version
    name = f"{version.model} {version.version}"
    open_gates = ", ".join(f"{one.gate} ({one.verdict})" for one in version.unaccepted)
    if entered.installed:
        borne = ", ".join(gate for gate, _, _ in version.accepted)
        yield f"{name} is the champion, installed by the machine; approval: none."
        if borne:
            yield f"Accepted without a person: {borne}."
        yield f"Next: moment decide CUSTOMER, moment serve, or moment models show {version.model}"
    elif version.state is State.CANDIDATE:
        yield f"{name} stays a candidate: {open_gates}. What serves goes on."
        yield f"Next: moment models show {version.model} {version.version}, then better data"
    elif version.state is State.CHALLENGER:
        yield f"{name} is a challenger{f'; open: {open_gates}' if open_gates else ''}. What serves goes on."
        yield f"Next: moment models diff {version.model} champion {version.version}, then"
        verb = "accept" if open_gates else "approve"
        gates = "".join(f" --gate {one.gate}" for one in version.unaccepted)
        yield f"      moment models {verb} {version.model} {version.version}{gates} --reason WHY --key FILE"
    else:
        yield f"{name} is {version.state} already: the same data and seed give the same version."


def _lived(book: Book, bundle: Path) -> Version | None:
    """Return the version a bundle is, if it has served or was refused: its gates are not asked again."""
    manifest = read_manifest(bundle)
    known = book.find(Model(manifest.model), manifest.digest)
    fresh = known is None or known.state in (State.CANDIDATE, State.CHALLENGER)
    return None if fresh else known


def _keep_report(home: Home, version: Version) -> None:
    """Keep the newest report of a model as this version's: the next training writes over the former."""
    kept = home.reports / version.model
    for ending in ("md", "json"):
        newest = home.reports / f"{version.model}.{ending}"
        if newest.is_file() and version.version in newest.read_text("utf-8"):
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(newest, kept / f"{version.version}.{ending}")


def _is_alone(book: Book, version: Version) -> bool:
    """Whether a version may serve without anybody's word: it passed, it is the first, nobody is in charge."""
    return (
        version.state == "challenger"
        and book.champion(version.model) is None
        and version.model not in book.claimed
    )
