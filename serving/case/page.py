"""The page of a case: one file that needs nothing else, no script, no font, no picture, no network.

Whatever comes from a catalogue, a channel or a customer is text: links and pictures of an offer are told, not
followed or loaded.
"""

from __future__ import annotations

from serving.case.glance import glance
from serving.case.markup import Html, join, tag
from serving.case.record import asked, known, made_by, outcomes, replayed
from serving.case.style import STYLE
from serving.case.why import not_shown, ranking, rules_in_force, shown
from serving.use_cases.case import Case

_SECTIONS = (
    ("glance", "At a glance", glance),
    ("shown", "What was shown, and why", shown),
    ("ranking", "What competed", ranking),
    ("not-shown", "Why not the others", not_shown),
    ("in-force", "Limits and rests then in force", rules_in_force),
    ("known", "What was known of the customer", known),
    ("outcomes", "What became of it", outcomes),
    ("replay", "Decided again", replayed),
    ("asked", "Who asked, and chance", asked),
    ("versions", "What decided", made_by),
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing may be loaded or run, whatever a browser would make of the page."""


def page(case: Case) -> str:
    """Return the page as HTML."""
    record = case.recalled.record
    title = f"Decision {record.decision_id}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    links = [tag("li", tag("a", heading, href=f"#{name}")) for name, heading, _ in _SECTIONS]
    sections = [
        tag("section", tag("h2", heading, id=name), tell(case), aria_labelledby=name)
        for name, heading, tell in _SECTIONS
    ]
    body = tag(
        "body",
        tag(
            "header",
            tag("h1", title),
            tag("p", _lead(case), class_="lead"),
            tag("p", _notice(case), class_="notice"),
        ),
        tag("nav", tag("ul", links), aria_label="Contents"),
        tag("main", sections),
        tag("footer", f"Made by Moment on {case.opened_at:%Y-%m-%d at %H:%M:%S %Z} from its records."),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _lead(case: Case) -> Html:
    record = case.recalled.record
    told = record.personal
    who = "somebody whose data are erased" if told is None else "a visitor who did not say who they are"
    if told is not None and told.customer_id is not None:
        who = f"customer {told.customer_id}"
    offers = sum(len(placement.offers) for placement in record.placements)
    test = " This was test traffic: it counts nowhere." if record.mode == "test" else ""
    number = "nothing" if not offers else "1 offer" if offers == 1 else f"{offers} offers"
    return join(
        f"On {record.decided_at:%d %B %Y at %H:%M:%S} UTC, {who} was to be shown {number} on "
        f"{record.channel}, out of {record.funnel.considered} actions that were considered.{test}"
    )


def _notice(case: Case) -> str:
    if case.recalled.record.personal is None:
        return (
            "What was known of the customer, and what they were told, is erased: it can never be read again."
        )
    return (
        "This page is about a person. Share it with those who must answer the complaint, and delete it after."
    )
