"""What a batch writes: a row per offer, and one without an action for a customer who gets none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.batch.tally import Given
from serving.decision.actions import Placement
from serving.decision.catalogue import Catalogue
from serving.records import RecordedOffer

if TYPE_CHECKING:
    import pyarrow as pa

CONTENT = "content_"
"""Before the name of each field of an offer's content."""


@dataclass(frozen=True, slots=True)
class Form:
    """The columns of a batch's file.

    Parameters
    ----------
    fields
        The content fields any treatment of the placement has; empty where content is not wanted.
    """

    fields: tuple[str, ...] = ()

    @classmethod
    def of(cls, catalogue: Catalogue, placement: Placement, *, content: bool) -> Form:
        """Return the form of a placement's offers."""
        if not content:
            return cls()
        treatments = [
            one.treatment
            for one in (*catalogue.candidates, *([placement.fallback] if placement.fallback else ()))
            if one.treatment.channel == placement.channel and placement.name in one.treatment.placements
        ]
        return cls(tuple(sorted({field for treatment in treatments for field in treatment.content})))

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types."""
        import pyarrow as pa

        text, number = pa.string(), pa.float64()
        return pa.schema(
            [
                ("customer_id", text),
                ("placement", text),
                ("rank", pa.int32()),
                ("action", text),
                ("treatment", text),
                ("kind", text),
                ("propensity", number),
                ("priority", number),
                ("action_probability", number),
                ("tracking_id", text),
                ("expires_at", pa.timestamp("us", "UTC")),
                ("reason", text),
                *((CONTENT + field, text) for field in self.fields),
            ]
        )

    def table(self, given: Iterable[Given]) -> pa.Table:
        """Return the rows of some customers, in their order."""
        import pyarrow as pa

        rows = [row for one in given for row in self._rows(one)]
        columns = zip(*rows, strict=True) if rows else [()] * len(self.schema)
        return pa.table([list(column) for column in columns], schema=self.schema)

    def _rows(self, one: Given) -> Iterable[Sequence[object]]:
        name, reason = one.placement.name, one.placement.reason.value
        if not one.placement.offers:
            return [(one.customer_id, name, *(None,) * 9, reason, *(None for _ in self.fields))]
        words = one.content or ({},) * len(one.placement.offers)
        return [
            (one.customer_id, name, *_columns(offer), reason, *(said.get(field) for field in self.fields))
            for offer, said in zip(one.placement.offers, words, strict=True)
        ]


def _columns(offer: RecordedOffer) -> tuple[object, ...]:
    return (
        offer.rank,
        offer.action,
        offer.treatment,
        offer.kind.value,
        offer.propensity,
        offer.priority,
        offer.action_probability,
        offer.tracking_id or None,
        offer.expires_at,
    )
