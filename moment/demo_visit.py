"""The demo's visit: start the service, ask it over HTTP as a channel would, tell the answers, stop it."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from moment.errors import DependencyError
from moment.home import Home
from moment.progress import step
from serving.child import DIRECTLY, running_service

HOUSEHOLDS = ("1228", "2322", "718")
"""Three that answered coupons before, with different lives."""

_EXPLORED = 0.5
"""A pick less likely than this was not the policy's favourite."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Where and when somebody turns up."""

    title: str
    channel: str
    placement: str
    context: Mapping[str, str]


def occasions(newest: datetime) -> tuple[Occasion, Occasion]:
    """Return two occasions after the newest features: 18:00 and 8:30 at the stores, in New York."""
    evening = newest.replace(hour=23, minute=0)
    morning = newest.replace(hour=13, minute=30) + timedelta(days=1)
    return (
        Occasion("on the web, at a desk in the evening", "web", "home", _at(evening, device="desktop")),
        Occasion(
            "in the app, on the phone in the morning, for delivery",
            "app",
            "home",
            _at(morning, device="phone", fulfilment="delivery"),
        ),
    )


def visit(home: Home, key: Path, newest: datetime) -> None:
    """Ask the running service for each household on each occasion and print the answers."""
    click.secho("6  What we do: decisions, asked over HTTP", bold=True)
    with ExitStack() as running:
        with step("Start the service"):
            url = running.enter_context(running_service(home, log=home.root / "demo-service.log"))
        client = _Client(url, key.read_text().strip())
        click.echo(f"   {url}, key in {key} (a test key: it may set the time)")
        versions = client.call("/readyz")["versions"]
        for household in HOUSEHOLDS:
            for occasion in occasions(newest):
                _tell(client, household, occasion, versions)


def _at(instant: datetime, **context: str) -> dict[str, str]:
    return {"time": f"{instant:%Y-%m-%dT%H:%M:%SZ}", **context}


@dataclass(frozen=True, slots=True)
class _Client:
    """The least a channel needs: standard library, a key, JSON."""

    url: str
    key: str

    def call(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Send a request and return the answer."""
        request = urllib.request.Request(  # noqa: S310 - our own service
            f"{self.url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        try:
            with DIRECTLY.open(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            raise DependencyError(f"the service answered {error.code}: {problem.get('detail')}") from error


def _asked(household: str, occasion: Occasion, versions: Mapping[str, str]) -> dict[str, object]:
    """Return the request. While nothing changes it has the same id: a repeated demo asks the same again.

    Without that it would be told something else each time: picks explore, and every answer counts to the
    limits of the household's day.
    """
    asked: dict[str, object] = {
        "customer_id": household,
        "channel": occasion.channel,
        "placements": [{"name": occasion.placement}],
        "context": dict(occasion.context),
        "include": ["scores"],
    }
    said = json.dumps([asked, versions], sort_keys=True)
    return {**asked, "request_id": f"demo-{hashlib.sha256(said.encode()).hexdigest()[:16]}"}


def _tell(client: _Client, household: str, occasion: Occasion, versions: Mapping[str, str]) -> None:
    started = time.perf_counter()
    answer = client.call("/v1/decisions", _asked(household, occasion, versions))
    milliseconds = (time.perf_counter() - started) * 1000
    record = client.call(f"/v1/decisions/{answer['decision_id']}?include=scores")
    who = click.style(f"household {household}", bold=True)
    said = f"{milliseconds:.0f} ms, approval: {answer['approval']}"
    click.echo(f"\n   {who} ({answer['segment']}), {occasion.title}: {said}")
    for placement in answer["placements"]:
        for offer in placement["offers"]:
            _tell_offer(offer, record)
    _tell_others(record)


def _tell_offer(offer: dict[str, Any], record: dict[str, Any]) -> None:
    click.echo(f"     {offer['rank']}. {click.style(offer['content']['title'], fg='green')}")
    recorded = [one for placement in record["placements"] for one in placement["offers"]]
    scores = next(one["scores"] for one in recorded if one["tracking_id"] == offer["tracking_id"])
    if scores["priority"] is None:
        click.echo("        fallback: nothing that competes was left for this slot")
        return
    weight = "" if scores["context_weight"] == 1 else f" x {scores['context_weight']:g} in this moment"
    chance = scores["action_probability"]
    explored = f"; picked to learn, with a chance of {chance:.2%}" if chance < _EXPLORED else ""
    click.echo(
        f"        {scores['propensity']:.1%} likely to be redeemed x {scores['value']:.2f} worth{weight} "
        f"= priority {scores['priority']:.3f}{explored}"
    )


def _tell_others(record: dict[str, Any]) -> None:
    funnel = record["funnel"]
    steps = ("considered", "available", "eligible", "suitable", "scored", "shown")
    click.secho("     " + " > ".join(f"{funnel[name]} {name}" for name in steps), dim=True)
    for stage in ("suitable", "arbitration"):
        stopped = [item for item in record["considered"] if item["stage"] == stage]
        if stopped:
            best = max(stopped, key=lambda item: item["scores"]["priority"] or 0.0)
            click.secho(f"     why not {best['action']}? {best['why']}", dim=True)
