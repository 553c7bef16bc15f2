"""The parts of a case's page that tell what was known, who asked, what decided and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from serving.case.markup import Content, Html, facts, join, table, tag
from serving.case.words import age_of, instant, number, value_of, verdict_word
from serving.decision.values import FeatureState
from serving.records import DecisionRecord
from serving.use_cases.case import Case, FeatureInUse
from serving.use_cases.deciding_again import ScoresFrom
from serving.use_cases.replay import ReplayVerdict

_STATES = {
    FeatureState.PRESENT: "present",
    FeatureState.MISSING: "missing",
    FeatureState.EXPIRED: "too old, so not used",
    FeatureState.MASKED: "hidden: no consent",
}
_APPROVALS = {"none": "none: nobody had approved it", "approved": "approved", "expired": "had expired"}
_UNTOLD = "not recorded"
_SCORES = {
    ScoresFrom.MODEL: "The model was asked again.",
    ScoresFrom.RECORD: "The recorded scores were taken; the model was not asked again.",
    ScoresFrom.NONE: "No scores were needed.",
}


def known(case: Case) -> Html:
    """Return context, consent and every feature with its age, state and purpose."""
    record = case.recalled.record
    told = record.personal
    if told is None:
        return tag("p", "Erased: the customer's key was destroyed, or its time had come.", class_="none")
    purposes = "could not be read" if told.purposes is None else ", ".join(told.purposes) or "none"
    profile = "known" if record.profile == "known" else "nothing is known of this customer"
    return join(
        [
            facts(
                [
                    ("Customer", "nobody said who" if told.customer_id is None else told.customer_id),
                    ("Profile", profile),
                    ("Persona", record.segment or "none"),
                    ("Consented to", purposes),
                    ("Wants nothing on this channel", "yes" if told.opted_out else "no"),
                    (
                        "Time zone",
                        told.timezone or f"{case.recalled.catalogue.timezone} (not known: default)",
                    ),
                    ("Language", told.language or f"{case.recalled.catalogue.language} (not known: default)"),
                ]
            ),
            table(
                "The moment: what the channel said, and what Moment derived",
                ("Name", "Value"),
                [(tag("code", f"context.{name}"), value_of(value)) for name, value in told.context.items()],
            ),
            table(
                "Features as rules and models saw them",
                ("Feature", "Value", "State", "Age then", "Consent it needs", "Meaning"),
                [_feature_row(one) for one in case.features],
            ),
        ]
    )


def _feature_row(one: FeatureInUse) -> Sequence[Content]:
    spec = one.spec
    unit = "" if spec is None or one.value is None else f" {spec.unit}"
    age: Content = age_of(one.age)
    if one.as_of is not None:
        age = [age_of(one.age), tag("div", f"as of {instant(one.as_of)}", class_="soft")]
    given = {True: " (given)", False: " (not given)", None: ""}[one.consented]
    purpose = "not known any more" if spec is None else f"{spec.purpose}{given}"
    meaning = "" if spec is None else spec.meaning
    return (tag("code", one.name), f"{value_of(one.value)}{unit}", _STATES[one.state], age, purpose, meaning)


def outcomes(case: Case) -> Html:
    """Return what was reported of the offers so far."""
    actions = {
        offer.tracking_id: offer.action
        for placement in case.recalled.record.placements
        for offer in placement.offers
    }
    rows = [
        (
            one.kind,
            tag("code", actions.get(one.tracking_id, one.tracking_id)),
            instant(one.occurred_at),
            instant(one.received_at),
            number(one.value),
            "after the reservation had ended" if one.late else "in time",
            one.key_id or "a browser",
        )
        for one in case.outcomes
    ]
    heads = ("Outcome", "Action", "Happened", "Reported", "Value", "Report", "Reported by")
    return table("Reported so far", heads, rows)


def replayed(case: Case) -> Html:
    """Return the verdict of the replay, with each difference by its name."""
    found = case.replayed
    state = {ReplayVerdict.IDENTICAL: "good", ReplayVerdict.ERASED: "warn"}.get(found.verdict, "bad")
    rows = [
        (one.kind.replace("_", " "), one.subject, one.recorded or "-", one.replayed or "-")
        for one in found.differences
    ]
    parts: list[Content] = [tag("p", "Verdict: ", verdict_word(found.verdict, state), ".")]
    if found.replayed is not None:
        parts.append(tag("p", _SCORES[found.scores]))
    parts.extend(tag("p", note) for note in found.notes)
    if rows:
        parts.append(table("Differences, causes first", ("What", "Of", "Recorded", "Now"), rows))
    return join(parts)


def asked(case: Case) -> Html:
    """Return who asked, and what of the answer was chance or comparison."""
    record, key = case.recalled.record, case.asker
    asker = "a token or a command: not a kept key" if key is None else (key.label or "no label")
    person = "-" if key is None or key.person is None else f"{key.person}, {key.role or 'no role'}"
    arms = [tag("div", f"{one.layer} > {one.experiment} > {one.arm}") for one in record.experiments]
    return facts(
        [
            ("Key (its id; the secret is not kept)", tag("code", record.key_id)),
            ("What people call it", asker),
            ("Whose it is", person),
            ("Its own id of the request", record.request_id or "-"),
            ("Channel", record.channel),
            ("Mode", record.mode),
            ("Received", instant(record.received_at)),
            ("Decided for", instant(record.decided_at)),
            ("Experiments", arms or "in none"),
            ("Control group (filled uniformly)", "yes" if record.control else "no"),
            ("No-marketing holdout", "yes" if record.held_out else "no"),
            ("Exploration", record.exploration or "-"),
            ("Chance of the whole answer", number(record.joint_probability)),
            ("Seed of chance", tag("code", str(record.seed))),
            ("Stopped at that moment, by whose entry in the ledger", _stops(record) or "nothing"),
        ]
    )


def _stops(record: DecisionRecord) -> list[Html]:
    return [
        tag("div", f"{stop.kind} ", tag("code", stop.name), " (", tag("code", stop.stop_id), ")")
        for stop in record.stops
    ]


def made_by(case: Case) -> Html:
    """Return versions with their digests and state of approval, and how long it took."""
    record = case.recalled.record
    versions = record.versions
    told = {model: _APPROVALS.get(state, state) for model, state in record.approvals.items()}
    rows = [
        ("next-best-action policy", versions.policy or "-", "", told.get("next-best-action", _UNTOLD)),
        ("its catalogue", versions.catalogue, case.recalled.catalogue.name, "with the policy"),
        ("propensity model", versions.propensity, "", told.get("propensity", _UNTOLD)),
        ("segmentation model", versions.segmentation, "", told.get("segmentation", _UNTOLD)),
        ("feature contract", versions.contract, "", "with the models"),
        ("Moment", versions.code, "", "-"),
    ]
    took = ", ".join(f"{stage} {spent:g} ms" for stage, spent in record.latency_ms.items())
    return join(
        [
            table(
                "Versions that decided",
                ("Part", "Digest or version", "Name", "Approval"),
                [(part, tag("code", digest), name, approval) for part, digest, name, approval in rows],
            ),
            tag(
                "p",
                "Approval is as it was when this was decided; `moment models show` tells who gave it.",
                class_="soft",
            ),
            facts(
                [
                    ("Attempts until nothing had changed meanwhile", str(record.attempt)),
                    ("Took", f"{sum(record.latency_ms.values()):.1f} ms ({took})" if took else "-"),
                    ("Format of the record", str(record.format)),
                ]
            ),
        ]
    )
