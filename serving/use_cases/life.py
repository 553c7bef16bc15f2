"""What people and the machine do to models: one method an act, held to the rules under the ledger's lock."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from moment.errors import ConfigurationError, InvalidRequest
from serving.lifecycle import (
    Accepted,
    Approved,
    Book,
    Challenged,
    Finding,
    FindingAdded,
    FindingClosed,
    GateVerdict,
    Judged,
    Model,
    Promoted,
    Rejected,
    ResumeAsked,
    Resumed,
    Retired,
    RolledBack,
    Severity,
    Stop,
    StopKind,
    Stopped,
    Submitted,
    Verdict,
    Version,
    Written,
    check,
)
from serving.lifecycle.acts import AnyAct
from serving.lifecycle.naming import find
from serving.ports import Clock
from serving.ports.life import LifeLedger, Signer

if TYPE_CHECKING:
    from serving.bundles import Manifest


class Life:
    """The life of all models: `moment.offices.LifeOffice`, and everything a person may do.

    Every act is looked at by the rules with the newest book, while nobody else writes: what two people do at
    once is done in turn, and the second is refused what the first has made impossible.

    Parameters
    ----------
    ledger
        Keeps what is done.
    bundles
        Where bundles lie: ``<model>/<version>/``.
    clock
        Tells the time.
    machine
        Signs what nobody does by name.
    sign
        Signs a bundle's folder with the machine's bundle key, where nobody has signed it yet.
    person
        Returns the signer whose personal key lies in a file.
    """

    def __init__(
        self,
        ledger: LifeLedger,
        bundles: Path,
        clock: Clock,
        machine: Signer,
        *,
        sign: Callable[[Path], None] | None = None,
        person: Callable[[Path], Signer] | None = None,
    ) -> None:
        self._ledger = ledger
        self._bundles = bundles
        self._clock = clock
        self._machine = machine
        self._sign = sign
        self._person = person

    @property
    def machine(self) -> Signer:
        """Who signs where no person does."""
        return self._machine

    def book(self) -> Book:
        """Return the state of everything."""
        return self._ledger.book()

    def seq(self) -> int:
        """Return how many acts there are: one small read, to see whether anything is new."""
        return self._ledger.seq()

    def verify(self) -> int:
        """Check the whole ledger; return the number of acts in it.

        Raises
        ------
        DependencyError
            Names the first entry that is not what was signed.
        """
        return self._ledger.verify()

    def find(self, model: Model, version: str) -> Version:
        """Return the one version whose digest begins like this, four digits or more.

        Raises
        ------
        InvalidRequest
            ``unknown-version``: there is none, or more than one; the nearest are named.
        """
        return find(self.book(), model, version)

    def folder(self, version: Version) -> Path:
        """Return where a version's bundle lies."""
        return self._bundles / version.model / version.version

    def submit(
        self,
        bundle: Path,
        by: Signer,
        *,
        run_id: str = "",
        registered: str = "",
        tier: int = 2,
        use_class: str = "marketing",
        owner: str = "",
        data_digest: str = "",
        reason: str = "",
    ) -> Version:
        """Sign a bundle where nobody has, and make it a candidate."""
        manifest = self._taken_in(bundle)
        act = Submitted(
            model=Model(manifest.model),
            digest=manifest.digest,
            run_id=run_id or manifest.about.run_id,
            registered=registered,
            tier=tier,
            use_class=use_class,
            owner=owner,
            data_digest=data_digest or manifest.about.data_digest,
            reason=reason,
        )
        return self._of(act.model, act.digest, self._do(by, act))

    def judge(
        self, model: Model, digest: str, gates: Sequence[GateVerdict], by: Signer, *, reason: str = ""
    ) -> Version:
        """Tell what the gates found; none failed: a challenger. What was accepted before is not now."""
        return self._of(model, digest, self._do(by, _judged(model, digest, gates, reason)))

    def accept(self, model: Model, digest: str, gates: Sequence[str], reason: str, by: Signer) -> Version:
        """Take upon oneself what gates found, failed or inconclusive."""
        act = Accepted(model=model, digest=digest, gates=tuple(dict.fromkeys(gates)), reason=reason)
        return self._of(model, digest, self._do(by, act))

    def challenge(
        self,
        model: Model,
        digest: str,
        *,
        shadow: float = 0.0,
        routed: float = 0.0,
        by: Signer,
        reason: str = "",
    ) -> Version:
        """Set a challenger's shares."""
        act = Challenged(model=model, digest=digest, shadow=shadow, routed=routed, reason=reason)
        return self._of(model, digest, self._do(by, act))

    def approve(
        self,
        model: Model,
        digest: str,
        *,
        days: int = 365,
        until: datetime | None = None,
        reason: str = "",
        by: Signer,
    ) -> Version:
        """Approve a version that somebody else made, for a number of days or until an instant."""
        try:
            ends = self._clock() + timedelta(days=days) if until is None else until
        except OverflowError:
            ends = self._clock()  # which the rules refuse, in their words
        act = Approved(model=model, digest=digest, expires_at=ends, reason=reason)
        return self._of(model, digest, self._do(by, act))

    def reject(self, model: Model, digest: str, reason: str, by: Signer) -> Version:
        """Say that a version shall not serve."""
        return self._of(model, digest, self._do(by, Rejected(model=model, digest=digest, reason=reason)))

    def promote(self, model: Model, digest: str, reason: str, by: Signer) -> Version:
        """Make a version the champion."""
        return self._of(model, digest, self._do(by, Promoted(model=model, digest=digest, reason=reason)))

    def roll_back(self, model: Model, digest: str | None, reason: str, by: Signer) -> Version:
        """Make a former champion the champion again; without a digest the one before the present one.

        Its approval may have ended, or may never have been: to be safe again must not wait. `warnings` and
        answers say so from then on.
        """

        def decide(book: Book) -> RolledBack:
            former = book.former(model)
            if digest is None and former is None:
                raise InvalidRequest(
                    f"{model} has no former champion to go back to; `moment stop --model {model}` "
                    "takes it off",
                    code="not-now",
                )
            chosen = former.digest if digest is None and former is not None else str(digest)
            return RolledBack(model=model, digest=chosen, reason=reason)

        book = self._append(by, lambda book: [decide(book)])
        champion = book.champion(model)
        return self._of(model, champion.digest if champion is not None else "", book)

    def retire(self, model: Model, digest: str, reason: str, by: Signer) -> Version:
        """Say that a version is of no use any more."""
        return self._of(model, digest, self._do(by, Retired(model=model, digest=digest, reason=reason)))

    def add_finding(
        self,
        model: Model,
        digest: str | None = None,
        *,
        severity: Severity,
        section: str,
        blocks: bool = False,
        reason: str,
        by: Signer,
    ) -> Finding:
        """Write down what is wrong with a model, or with one version of it."""
        act = FindingAdded(
            finding_id=_new_id("finding"),
            model=model,
            digest=digest,
            severity=severity,
            section=section,
            blocks=blocks,
            reason=reason,
        )
        return self._do(by, act).findings[act.finding_id]

    def close_finding(self, finding_id: str, reason: str, by: Signer) -> Finding:
        """Close a finding: mended or borne."""
        return self._do(by, FindingClosed(finding_id=finding_id, reason=reason)).findings[finding_id]

    def stop(self, kind: StopKind, name: str, reason: str, by: Signer) -> Stop:
        """Take something off at once."""
        act = Stopped(stop_id=_new_id("stop"), kind=kind, name=name.strip(), reason=reason)
        return self._do(by, act).stops[act.stop_id]

    def resume(self, stop_id: str, by: Signer, *, reason: str = "") -> Stop | None:
        """Ask for a stop to be lifted, or agree with who asked: then it is lifted, and None comes back."""

        def decide(book: Book) -> ResumeAsked | Resumed:
            stop = book.stops.get(stop_id)
            asked = None if stop is None else stop.asked
            if asked is None or asked.is_same_person(by.actor):
                return ResumeAsked(stop_id=stop_id, reason=reason)
            return Resumed(stop_id=stop_id, reason=reason)

        return self._append(by, lambda book: [decide(book)]).stops.get(stop_id)

    def enter(
        self,
        bundle: Path,
        gates: Sequence[GateVerdict],
        *,
        registered: str = "",
        data_digest: str = "",
        tier: int = 2,
        use_class: str = "marketing",
        owner: str = "",
        reason: str = "",
        key_file: Path | None = None,
    ) -> Version:
        """Sign a bundle, submit it and tell what its gates found, at once or not at all.

        One that is in the ledger already is not submitted again; its gates are told anew, unless they found
        the same, number by number.
        """
        by = self._machine if key_file is None else self._signer_of(key_file)
        manifest = self._taken_in(bundle)
        model, digest = Model(manifest.model), manifest.digest
        submitted = Submitted(
            model=model,
            digest=digest,
            run_id=manifest.about.run_id,
            registered=registered,
            tier=tier,
            use_class=use_class,
            owner=owner,
            data_digest=data_digest or manifest.about.data_digest,
            reason=reason,
        )

        def decide(book: Book) -> Iterable[AnyAct]:
            known = book.find(model, digest)
            if known is None:
                yield submitted
            if known is None or known.gates != tuple(gates):
                yield _judged(model, digest, gates, reason)

        return self._of(model, digest, self._append(by, decide))

    def install(self, model: Model, digest: str, *, reason: str) -> Version:
        """Make a version the champion without a person, where no person is in charge of the model.

        What its gates left inconclusive the machine accepts for this `reason`, which stays visible; what they
        failed it does not.
        """

        def decide(book: Book) -> Iterable[AnyAct]:
            version = book.find(model, digest)
            unsure = () if version is None else version.unaccepted
            if unsure and all(one.verdict is Verdict.INCONCLUSIVE for one in unsure):
                names = tuple(one.gate for one in unsure)
                yield Accepted(model=model, digest=digest, gates=names, reason=reason)
            yield Promoted(model=model, digest=digest, reason=reason)

        return self._of(model, digest, self._append(self._machine, decide))

    def _do(self, by: Signer, act: AnyAct) -> Book:
        return self._append(by, lambda _: [act])

    def _append(self, by: Signer, acts: Callable[[Book], Iterable[AnyAct]]) -> Book:
        """Append acts, each held to the rules with the book that the ones before it leave."""

        def decide(book: Book) -> Sequence[AnyAct]:
            now, decided = self._clock(), tuple(acts(book))
            for act in decided:
                check(book, act, by.actor, now)
                book = book.after(Written(seq=book.seq + 1, at=now, by=by.actor, act=act))
            return decided

        return self._ledger.append(decide, by)

    def _taken_in(self, bundle: Path) -> Manifest:
        """Return what a bundle states, signed by the machine where it was not signed."""
        from serving.bundles import read_manifest

        manifest = read_manifest(bundle)
        if manifest.model not in set(Model):
            raise InvalidRequest(
                f"{bundle.name} is a bundle of {manifest.model!r}; one of {', '.join(Model)} lives this life",
                code="unknown-model",
            )
        folder = self._bundles / manifest.model / manifest.version
        if bundle.resolve() != folder.resolve():
            raise InvalidRequest(
                "a bundle enters where it will be served from; move it to "
                f"{folder.parent.name}/{folder.name} in the home's bundles/",
                code="not-now",
            )
        if self._sign is not None:
            self._sign(bundle)
        return manifest

    def _signer_of(self, key_file: Path) -> Signer:
        if self._person is None:
            raise ConfigurationError(
                "this house opens no personal keys; ask `serving.life_room.open_life` for one"
            )
        return self._person(key_file)

    @staticmethod
    def _of(model: Model, digest: str, book: Book) -> Version:
        return book.versions[model, digest]


def _judged(model: Model, digest: str, gates: Sequence[GateVerdict], reason: str) -> Judged:
    return Judged(model=model, digest=digest, gates=tuple(gates), reason=reason)


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(6)}"
