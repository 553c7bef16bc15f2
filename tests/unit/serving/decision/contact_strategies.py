"""Contact policies, histories and a small catalogue's parts, for tests that ask about all of them.

Times lie on a grid of hours about `NOW` on which the edges of windows lie too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from hypothesis import strategies as st

from serving.decision.actions import Action, Exclusion, LawfulBasis
from serving.decision.contact import (
    CalendarWindow,
    ContactPolicy,
    CoolOff,
    Counting,
    Limit,
    Per,
    QuietHours,
    Scope,
    Suppression,
)
from serving.decision.values import ActionId, Contact, History, PastOutcome
from tests.unit.serving.decision.small import action

NOW = datetime(2026, 3, 30, 2, 30, tzinfo=UTC)  # the night after Europe's clocks went forward
HOUR = timedelta(hours=1)
ZONES = (None, "Europe/Berlin", "America/New_York", "Asia/Kathmandu")
CHANNELS = ("web", "email")

_PLACES = {"a": ("i1", "g1"), "b": ("i1", "g1"), "c": ("i1", "g2"), "d": ("i2", "g3"), "e": ("i2", "g3")}
_GONE = ("old", "i1", "g9")  # what the catalogue no longer has


def small_action(name: str, *, mandatory: bool = False, exclusions: tuple[str, ...] = ()) -> Action:
    """Return an action of the small catalogue."""
    from dataclasses import replace

    issue, group = _PLACES[name]
    basis = LawfulBasis.CONTRACT if mandatory else None
    return replace(action(name, group=group), issue=issue, mandatory=basis, exclusions=exclusions)


@dataclass(frozen=True)
class Case:
    """Parts of a catalogue, and a customer at a time."""

    actions: tuple[Action, ...]
    policies: tuple[ContactPolicy, ...]
    exclusions: tuple[Exclusion, ...]
    history: History
    channel: str
    zone: str


hours = st.integers(1, 60).map(lambda count: count * HOUR)
_scopes = st.builds(
    Scope,
    issues=st.frozensets(st.sampled_from(("i1", "i2")), max_size=1),
    groups=st.frozensets(st.sampled_from(("g1", "g3")), max_size=1),
    actions=st.frozensets(st.sampled_from(tuple("abde")), max_size=3),
    channels=st.frozensets(st.sampled_from(CHANNELS), max_size=1),
)
_scopes = st.one_of(st.just(Scope()), _scopes)
_clock = st.sampled_from([time(hour, minute) for hour in (0, 3, 4, 5, 8, 22) for minute in (0, 30)])
_shared = {"per": st.sampled_from(Per), "per_channel": st.booleans(), "scope": _scopes}


def policies(name: str) -> st.SearchStrategy[ContactPolicy]:
    """Return strategies of one policy with this name."""
    named = st.just(name)
    windows = st.one_of(hours, st.sampled_from(CalendarWindow))
    return st.one_of(
        st.builds(Limit, named, st.integers(0, 3), windows, counts=st.sampled_from(Counting), **_shared),
        st.builds(
            Suppression,
            named,
            st.sampled_from(("rejected", "clicked")),
            hours,
            after=st.integers(1, 3),
            within=st.one_of(st.none(), hours),
            **_shared,
        ),
        st.builds(CoolOff, named, hours, **_shared),
        st.builds(QuietHours, named, _clock, _clock, scope=_scopes),
    )


_ago = st.integers(0, 80).map(lambda count: NOW - count * HOUR)
_things = st.sampled_from([(name, *place) for name, place in _PLACES.items()] + [_GONE])


@st.composite
def contacts(draw: st.DrawFn, number: int) -> Contact:
    """Draw one contact: live, expired, presented in time or late."""
    name, issue, group = draw(_things)
    decided = draw(_ago)
    lasts = draw(st.sampled_from((HOUR, 3 * HOUR)))
    later = draw(st.one_of(st.none(), st.integers(0, 5)))
    return Contact(
        tracking_id=f"t{number}",
        action_id=ActionId(name),
        group=group,
        issue=issue,
        channel=draw(st.sampled_from(CHANNELS)),
        decided_at=decided,
        reserved_until=decided + lasts,
        presented_at=None if later is None else min(NOW + HOUR, decided + later * HOUR),
        recorded_late=later is not None and later * HOUR >= lasts,
        mandatory=draw(st.booleans()) and draw(st.booleans()),
        timezone=draw(st.sampled_from(ZONES)),
    )


@st.composite
def outcomes(draw: st.DrawFn) -> PastOutcome:
    """Draw one outcome."""
    name, issue, group = draw(_things)
    kind = draw(st.sampled_from(("rejected", "clicked")))
    return PastOutcome(kind, ActionId(name), group, issue, draw(st.sampled_from(CHANNELS)), draw(_ago))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw everything."""
    sets = st.sampled_from(((), ("x",), ("y",), ("x", "y")))
    return Case(
        actions=tuple(
            small_action(name, mandatory=name == "e" and draw(st.booleans()), exclusions=draw(sets))
            for name in _PLACES
        ),
        policies=tuple(draw(policies(f"p{number}")) for number in range(draw(st.integers(0, 4)))),
        exclusions=tuple(
            Exclusion(name, draw(st.one_of(st.just(timedelta(0)), hours))) for name in ("x", "y")
        ),
        history=History(
            contacts=tuple(draw(contacts(number)) for number in range(draw(st.integers(0, 7)))),
            outcomes=tuple(draw(st.lists(outcomes(), max_size=5))),
        ),
        channel=draw(st.sampled_from(CHANNELS)),
        zone=draw(st.sampled_from(ZONES[1:])),
    )
