"""What a problem of each code says, as the descriptions show it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Said(NamedTuple):
    """One line of what is wrong and the way out, and the field it is about."""

    detail: str
    field: str | None = None


_SAID = {
    "malformed-json": Said("the body is not well-formed JSON in UTF-8"),
    "malformed-request": Said("what came cannot be read as an HTTP request"),
    "key-missing": Said("send one header Authorization: Bearer <key>"),
    "key-unknown": Said("this key or token is unknown, ended or revoked; `moment keys create` makes a key"),
    "scope-missing": Said("this key has no scope scores:read; ask for one that has"),
    "channel-not-allowed": Said("this key speaks for another channel", "channel"),
    "live-only": Said("only a live key may erase: there is one of each customer, for live and test alike"),
    "role-missing": Said("the role data_scientist may not approve versions; risk_officer may"),
    "test-only": Said("only a test key may set the time; leave it out", "context.time"),
    "origin-not-allowed": Said(
        "pages of this origin may not post here; MOMENT_BROWSER_ORIGINS names those that may"
    ),
    "not-found": Said("there is no such decision", "decision_id"),
    "unknown-version": Said("propensity has no version 0a1b2c3d4e5f; `moment models list` shows them"),
    "unknown-stop": Said("nothing is stopped as stop_1f2e3d; `moment stop --list` shows what is"),
    "method-not-allowed": Said("take one of the methods that the Allow header names"),
    "body-too-slow": Said("the body must arrive within 5 s"),
    "request-id-reused": Said("this request_id was used for a different request; take a new one"),
    "answer-withdrawn": Said(
        "the customer's consents have changed since this request was answered; ask again under a new id"
    ),
    "four-eyes": Said("Ada Byron made propensity 2fd4e1c67a2d; somebody else must approve it"),
    "two-people": Said("stop_1f2e3d4c5b6a is resumed by two people; another person must agree"),
    "not-now": Said("propensity 2fd4e1c67a2d is retired; only what passed its gates is approved"),
    "digest-differs": Said(
        "propensity 2fd4e1c67a2d has another digest; look at it again and approve what you see", "digest"
    ),
    "body-too-large": Said("the body may have 65536 bytes"),
    "head-too-large": Said(
        "the head of a request, its first line and fields, may have 65536 bytes and 100 fields"
    ),
    "unsupported-media-type": Said("send one Content-Type, application/json, and no Content-Encoding"),
    "unknown-field": Said("this field is not known here; leave it out", "score"),
    "missing-field": Said("this field is required", "channel"),
    "invalid-value": Said("expected str, got int", "customer_id"),
    "unknown-parameter": Said("this query parameter is not known here, or given twice; leave it out", "at"),
    "time-out-of-range": Said("the time must be from 1990 to 2100", "context.time"),
    "unknown-action": Said("the catalogue has no such action; did you mean `coupon-beef`?", "action"),
    "unknown-treatment": Said(
        "action `coupon-beef` has no such treatment; one of coupon-beef-web", "force.treatment"
    ),
    "treatment-does-not-fit": Said(
        "`coupon-beef` has no treatment for a placement asked for; ask for one it is made for", "force"
    ),
    "unknown-issue": Said("the catalogue has no issue `growht`; did you mean `growth`?", "name"),
    "unknown-model": Said("there is no model `propensty`; did you mean `propensity`?", "name"),
    "unknown-channel": Said("no channel `wap`; one of app, web", "channel"),
    "unknown-placement": Said(
        "channel `web` has no placement `hom`; did you mean `home`?", "placements[0].name"
    ),
    "duplicate-placement": Said(
        "placement `home` is asked for twice; ask once with more slots", "placements[1].name"
    ),
    "invalid-slots": Said("placement `home` has 1 to 3 slots, not 9", "placements[0].slots"),
    "invalid-placements": Said("ask for at least one placement", "placements"),
    "unknown-context": Said("`context.mood` is not declared by the catalogue", "context.mood"),
    "invalid-context": Said("`context.weather` must be one of sun, rain", "context.weather"),
    "context-not-settable": Said("`context.hour` is derived by Moment; leave it out", "context.hour"),
    "rate-limited": Said("this key asks too often; wait as long as Retry-After says"),
    "too-many-customers": Said(
        "this key may ask about 1000 different customers an hour; wait as long as Retry-After says"
    ),
    "internal": Said("a defect of Moment; it is in the log of the service"),
    "overloaded": Said("too many requests are under way; ask again as Retry-After says"),
    "dependency-unavailable": Said("`records` does not answer; ask again as Retry-After says"),
    "step-missing": Said("no propensity model is trained; run `moment train propensity` first"),
    "not-ready": Said("this worker is about to stop"),
}
SAID: Mapping[str, Said] = MappingProxyType(_SAID)
