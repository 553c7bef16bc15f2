"""Who a cookie, a device or an address stands for: linked at log-in, undone on request."""

from __future__ import annotations

from dataclasses import dataclass

from serving.decision.allotment import allot
from serving.ports import Clock, DecisionRecords, Identities, Identity, Past, Resolved, Scope
from serving.records import DecisionRecord, Mode
from serving.use_cases.access import Caller
from serving.use_cases.version_set import Live, LiveState, is_models

LOOKED_BACK = 1000
"""How many decisions of a profile are looked through for crossed arms when it is linked."""


@dataclass(frozen=True, slots=True)
class Identify:
    """The use case.

    Parameters
    ----------
    identities, records, clock
        See ``serving.ports``.
    live
        Has the experiments: those of the catalogue, and the challengers' arms.
    """

    identities: Identities
    records: DecisionRecords
    live: LiveState
    clock: Clock

    def profile(self, caller: Caller, identity: Identity) -> str:
        """Return the profile of an identity: what it does belongs to it, whosever it is."""
        return self.identities.resolve(identity, mode=caller.mode).profile

    def link(self, caller: Caller, identity: Identity, customer_id: str) -> Resolved:
        """Let an identity be a customer's from the next request on.

        Decisions of its profile that were in another arm of an experiment than the customer is in are noted:
        the customer's own arm goes on, and analyses leave those out.
        """
        caller.require(Scope.LINK_IDENTITIES)
        caller.ask_about(customer_id)
        found = self.identities.link(identity, customer_id, mode=caller.mode, at=self.clock())
        if found.customer_id == customer_id and caller.mode is Mode.LIVE:
            crossed = self._crossed(found.profile, customer_id)
            if crossed:
                self.identities.mark_crossed(crossed, customer_id, found.profile)
        return found

    def unlink(self, caller: Caller, identity: Identity, customer_id: str) -> Resolved:
        """Undo `link`: the history of each is its own again."""
        caller.require(Scope.LINK_IDENTITIES)
        caller.ask_about(customer_id)
        return self.identities.unlink(identity, customer_id, mode=caller.mode)

    def _crossed(self, profile: str, customer_id: str) -> list[str]:
        live = self.live.now
        own = arms(live, customer_id)
        past = self.records.history(profile, Past(Mode.LIVE, LOOKED_BACK))
        return [record.decision_id for record in past if _recorded_arms(record, live) != own]


Arms = tuple[bool, bool, frozenset[tuple[str, str, str]]]
"""Whether in control, whether held out, and the arm in each experiment."""


def arms(live: Live, unit: str) -> Arms:
    """Return where a unit is in the experiments that are live; control and holdout are in none."""
    by, challenged = live.assigned(unit)
    found = allot(by.catalogue, unit)
    named = [(one.layer, one.experiment, one.arm) for one in challenged]
    named += [(one.layer, one.experiment, one.arm) for one in found.assignments]
    return found.control, found.held_out, frozenset(named)


def _recorded_arms(record: DecisionRecord, live: Live) -> Arms:
    """Return where a record's unit was. Arms of challengers that are over do not count: nobody is in them."""
    going_on = {arm.version for arm in live.arms}
    found = frozenset(
        (one.layer, one.experiment, one.arm)
        for one in record.experiments
        if not is_models(one) or one.arm in going_on
    )
    return record.control, record.held_out, found
