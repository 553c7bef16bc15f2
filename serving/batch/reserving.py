"""Deciding a chunk with reservations: every answer and its record in one transaction, as a single one is.

Asked again under the same id, a customer's request has the answer it was given first: a batch that was
interrupted is run again, and nobody is reserved for twice.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from serving.batch.balances import Balances
from serving.batch.chunks import Chunk, Decided, Desk, Sheet
from serving.batch.deciding import Refused, Turn
from serving.batch.people import People
from serving.batch.tally import Given
from serving.ports import Clock, ContactLedger, DecisionRecords, Entry, StaleHistory
from serving.records import DecisionRecord, Versions
from serving.use_cases.decide import ATTEMPTS
from serving.use_cases.lifetimes import lasting
from serving.use_cases.recording import Deliberation, record_of


@dataclass(frozen=True, slots=True, eq=False)
class Reserver:
    """Decides chunks and keeps what was decided.

    Parameters
    ----------
    desk
        What deciding needs.
    records, ledger
        Where decisions and their reservations go, and what they look back on.
    versions
        What decides, for the record.
    key_id
        Who asks, for the record.
    clock
        Tells the present.
    """

    desk: Desk
    records: DecisionRecords
    ledger: ContactLedger
    versions: Versions
    key_id: str
    clock: Clock

    def __call__(self, chunk: Chunk) -> Decided:
        """Decide and reserve for the customers of a chunk, in order."""
        desk, decider = self.desk, self.desk.decider
        people = desk.people(chunk.span)
        sheet = Sheet(desk, chunk, people)
        earlier = self._earlier(people)
        sheet.tally.earlier = len(earlier)
        open_ = [place for place, customer in enumerate(people.ids) if customer not in earlier]
        # What is used is the ledger's to say; the transaction has the last word
        newcomer, standing = desk.standings(people)
        turns = decider.turns(people, open_, standing, self.clock())
        balances = Balances(decider.catalogue.plan.budgets, newcomer.history.used)
        new: dict[str, Given | Refused] = {}
        for group in decider.deliberate(turns, people, balances):
            new |= self._kept(group, people, sheet)
        sheet.add([self._told(one, earlier, new) for one in people.ids])
        return sheet.decided()

    def _earlier(self, people: People) -> dict[str, DecisionRecord]:
        """Return what an earlier run decided, by customer."""
        named = {self.desk.decider.request_id(customer): customer for customer in people.ids}
        found = self.records.find_requests(self.key_id, list(named))
        return {named[request_id]: record for request_id, record in found.items()}

    def _kept(
        self, group: list[tuple[Turn, Deliberation | Refused]], people: People, sheet: Sheet
    ) -> dict[str, Given | Refused]:
        """Hand everything to the store at once, so that it is flushed together, then see what stands."""
        waiting = [
            (turn, self._append(made) if isinstance(made, Deliberation) else made) for turn, made in group
        ]
        kept: dict[str, Given | Refused] = {}
        for turn, future in waiting:
            if isinstance(future, Refused):
                kept[turn.customer_id] = future
                continue
            record = self._settled(turn, future, people)
            sheet.tally.again += record.attempt > 1
            kept[turn.customer_id] = given_of(turn.customer_id, record)
        return kept

    def _append(self, made: Deliberation) -> Future[Entry]:
        record, reserve = record_of(made, self.versions), self.desk.ask.reserve
        record = record if reserve is None else lasting(record, reserve)
        return self.records.append(Entry(record, made.question.ask.body_sha256), made.reservation)

    def _settled(self, turn: Turn, future: Future[Entry], people: People) -> DecisionRecord:
        """Return the record that stands, having decided again as long as something changed meanwhile."""
        number = 1
        while True:
            try:
                return future.result().record
            except StaleHistory:
                number += 1
            ask = self.desk.ask
            standing = None
            if number <= ATTEMPTS:
                standing = self.ledger.read(
                    turn.customer_id, mode=ask.mode, now=ask.at, back=self.desk.decider.back
                )
            future = self._append(self.desk.decider.again(turn, people, standing, number))

    def _told(
        self, customer: str, earlier: dict[str, DecisionRecord], new: dict[str, Given | Refused]
    ) -> Given | Refused:
        return new[customer] if customer in new else given_of(customer, earlier[customer])


def given_of(customer: str, record: DecisionRecord) -> Given:
    """Return what a recorded decision gives."""
    return Given(
        customer_id=customer,
        placement=record.placements[0],
        reason=np.array(record.considered.reason, dtype=np.int32),
        rule=np.array(record.considered.rule, dtype=np.int32),
        content=record.personal.content if record.personal else (),
    )
