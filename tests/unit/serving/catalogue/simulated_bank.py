"""A simulated bank's customers: no real data; shares and amounts are made up to try the catalogue's rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from serving.decision.values import Scalar

BERLIN = ZoneInfo("Europe/Berlin")
_FACTS_OF = {
    "days_to_maturity": "holds_term_deposit",
    "months_to_refix": "holds_mortgage",
    "fee_due_in_days": "holds_credit_card",
    "card_idle_days": "holds_credit_card",
    "home_cover_ends_in_days": "holds_home_cover",
}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class SimulatedVisit:
    """One simulated customer turning up once: what is known, what the channel sends, and when."""

    features: dict[str, Scalar]
    context: dict[str, Scalar]
    channel: str
    at: datetime

    @property
    def row(self) -> dict[str, Scalar]:
        """What rules read."""
        local = self.at.astimezone(BERLIN)
        derived: dict[str, Scalar] = {
            "channel": self.channel,
            "hour": local.hour,
            "weekday": DAYS[local.weekday()],
            "month": local.month,
        }
        return self.features | {f"context.{name}": value for name, value in (self.context | derived).items()}


def simulated_visits(count: int, seed: int) -> list[SimulatedVisit]:
    """Return simulated visits of as many simulated customers, spread over the year 2026."""
    rng = np.random.default_rng(seed)
    features = _rows(_features(rng, count), count)
    context = _rows(_context(rng, count), count)
    channels = rng.choice(["web", "app", "email", "call_centre"], count, p=[0.35, 0.4, 0.15, 0.1])
    minutes = rng.integers(0, 365 * 24 * 60, count)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        SimulatedVisit(
            _of_party(features[one]),
            context[one],
            str(channels[one]),
            start + timedelta(minutes=int(minutes[one])),
        )
        for one in range(count)
    ]


def _features(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
    def yes(share: float, known: float = 0.95) -> NDArray[Any]:
        return _some(rng, rng.random(count) < share, known)

    def whole(low: int, high: int, known: float = 1.0) -> NDArray[Any]:
        return _some(rng, rng.integers(low, high + 1, count), known)

    def amount(median: float, spread: float, known: float = 0.95) -> NDArray[Any]:
        return _some(rng, np.round(median * np.exp(rng.normal(0, spread, count)), 2), known)

    holdings = {
        "holds_current_account": 0.85, "holds_family_account": 0.1, "holds_credit_card": 0.35,
        "holds_personal_loan": 0.15, "holds_mortgage": 0.2, "holds_savings": 0.55, "holds_term_deposit": 0.2,
        "holds_fund_plan": 0.2, "holds_pension": 0.3, "life_insurance": 0.3, "holds_home_cover": 0.4,
        "holds_travel_cover": 0.25, "holds_business_account": 0.7,
    }  # fmt: skip
    flags = {
        "vulnerable": 0.08, "employed": 0.7, "student": 0.12, "newborn": 0.04, "owns_home": 0.4,
        "salary_here": 0.6, "salary_stopped": 0.05, "credit_prechecked": 0.7, "rate_change_due": 0.1,
        "terms_change_due": 0.05, "maturity_notice_due": 0.03, "arrears_notice_due": 0.03,
        "has_open_complaint": 0.06, "fraud_alert_open": 0.02, "hit_by_outage": 0.05,
        "paper_statements": 0.4, "strong_login": 0.6,
    }  # fmt: skip
    arrears = np.where(rng.random(count) < 0.9, 0, rng.integers(1, 120, count))
    overdraft = np.where(rng.random(count) < 0.7, 0, rng.integers(1, 31, count))
    return {
        "party_type": rng.choice(["person", "business"], count, p=[0.9, 0.1]),
        "first_name": rng.choice(["Ida", "Emil", "Noor", "Jan"], count),
        "risk_profile": _some(rng, rng.choice(["cautious", "balanced", "dynamic"], count), 0.5),
        "age": whole(14, 90, 0.98),
        "annual_turnover": amount(150_000, 1.0),
        "household_members": whole(1, 5, 0.9),
        "children_at_home": whole(0, 3, 0.7),
        "household_family_spend_90d": amount(60, 1.3, 0.4),
        "days_since_move": whole(0, 730, 0.4),
        "income": amount(2400, 0.5),
        "balance": _some(rng, np.round(rng.normal(4000, 7000, count), 2), 0.97),
        "balance_change_90d": _some(rng, np.round(rng.normal(0, 0.4, count), 3), 0.9),
        "debt_to_income": amount(0.2, 0.8),
        "days_in_arrears": _some(rng, arrears, 0.98),
        "overdraft_days_30d": _some(rng, overdraft, 0.9),
        "foreign_spend_90d": amount(60, 1.5),
        "days_to_maturity": whole(0, 365),
        "months_to_refix": whole(0, 120),
        "card_expires_in_days": whole(0, 1400, 0.8),
        "id_expires_in_days": whole(-30, 3600, 0.95),
        "fee_due_in_days": whole(0, 365),
        "home_cover_ends_in_days": whole(0, 365),
        "card_declines_30d": _some(rng, rng.poisson(0.6, count), 0.9),
        "card_idle_days": whole(0, 400),
        "app_logins_30d": _some(rng, rng.poisson(6, count), 0.9),
        **{name: yes(share) for name, share in (holdings | flags).items()},
    }  # fmt: skip


def _context(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
    pages = ["home", "accounts", "cards", "loans", "savings", "insurance", "help"]
    return {
        "device": _some(rng, rng.choice(["phone", "tablet", "desktop"], count), 0.9),
        "page": _some(rng, rng.choice(pages, count), 0.8),
        "branch_km": _some(rng, np.round(rng.gamma(1.2, 3.0, count), 2), 0.5),
        "weather": _some(rng, rng.choice(["clear", "clouds", "rain", "snow", "storm"], count), 0.5),
        "abroad": _some(rng, rng.random(count) < 0.08, 0.6),
        "credit_ok": _some(rng, rng.random(count) < 0.7, 0.3),
    }


def _some(rng: np.random.Generator, values: NDArray[Any], known: float) -> NDArray[Any]:
    """Return the values as objects, those that are not known as None."""
    found = values.astype(object)
    found[rng.random(len(found)) >= known] = None
    return found


def _rows(columns: dict[str, NDArray[Any]], count: int) -> list[dict[str, Scalar]]:
    names = list(columns)
    listed = [columns[name].tolist() for name in names]
    return [{name: values[one] for name, values in zip(names, listed, strict=True)} for one in range(count)]


def _of_party(features: dict[str, Scalar]) -> dict[str, Scalar]:
    """Return the features without what a business, or a person, does not have, or a holding not held."""
    moved = features["days_since_move"]
    features |= {"recently_moved": isinstance(moved, int) and moved <= 90}
    features |= {name: None for name, holding in _FACTS_OF.items() if not features[holding]}
    if features["party_type"] == "business":
        return features | dict.fromkeys(("age", "vulnerable", "employed", "student", "income"))
    return features | dict.fromkeys(("annual_turnover", "holds_business_account"))
