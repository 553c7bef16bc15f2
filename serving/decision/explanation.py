"""Why, and why not: values derived on read from reasons and the catalogue that decided.

``explain`` tells a whole decision, ``explain_candidate`` one candidate; both work on a fresh decision and on
one that was read back from its record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from serving.decision.catalogue import Catalogue
from serving.decision.considered import Considered, ConsideredTable, Funnel
from serving.decision.reasons import Reason
from serving.decision.thresholds import FailedComparison, failed_comparisons
from serving.decision.values import Scalar, Stage
from serving.decision.wording import StoppedBy, stopped_by, words_for, written


@dataclass(frozen=True, slots=True)
class FailedRule:
    """The first rule that was not true.

    Parameters
    ----------
    rule_id, text
        Which, and its SQL.
    unknown
        Whether it was unknown rather than false.
    observed
        What it read, by column; None is not known.
    failed
        The comparisons in it that were not true.
    """

    rule_id: int
    text: str
    unknown: bool
    observed: Mapping[str, Scalar]
    failed: tuple[FailedComparison, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a candidate was ranked by.

    Parameters
    ----------
    priority, propensity, value, context_weight, lever
        The priority and its factors as used; the weight is None where it is not known any more.
    formula
        The formula that made the priority of them; None for their product.
    rank, of
        Its place by priority among what competed for the placement; None where one candidate alone is told.
    """

    priority: float
    propensity: float
    value: float
    context_weight: float | None
    lever: float
    formula: str | None
    rank: int | None = None
    of: int | None = None


@dataclass(frozen=True, slots=True)
class ExplainedCandidate:
    """One considered candidate.

    ``text`` reads like ``eligible: rule 12 `days_since_purchase <= 90` is false: days_since_purchase = 140``.
    At most one of ``rule``, ``policy`` and ``ranking`` is there, as the reason has it.

    Parameters
    ----------
    placement, action_id, treatment_id
        What was considered where.
    stage, reason
        How far it came, and why not further.
    text
        The same in words, with everything below but the rank.
    rule
        The first rule that was not true.
    policy
        The contact policy, exclusion, budget or volume that stopped it.
    ranking
        Its priority, once it has one.
    """

    placement: str
    action_id: str
    treatment_id: str
    stage: Stage
    reason: Reason
    text: str
    rule: FailedRule | None = None
    policy: StoppedBy | None = None
    ranking: Ranking | None = None

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON has it; the reason by its name in lower case."""
        return {**asdict(self), "reason": self.reason.name.lower()}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a decision came out as it did.

    Parameters
    ----------
    funnel
        How many actions came how far.
    candidates
        What came furthest first; of these the highest priority; then by id.
    """

    funnel: Funnel
    candidates: tuple[ExplainedCandidate, ...]

    def about(self, action_id: str) -> Explanation:
        """Return what it says of one action."""
        return replace(self, candidates=tuple(one for one in self.candidates if one.action_id == action_id))

    def as_text(self) -> str:
        """Return it in lines: the funnel, then each candidate."""
        return "\n".join([funnel_text(self.funnel), *map(_line, self.candidates)])

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {"funnel": asdict(self.funnel), "candidates": [one.as_dict() for one in self.candidates]}


def explain(considered: ConsideredTable) -> Explanation:
    """Return why each candidate of a decision is shown or not.

    Parameters
    ----------
    considered
        ``Decision.considered``, or the same read back from a record.
    """
    ranks = _ranks(considered)
    told = [
        _ranked(explain_candidate(row, considered.catalogue), rank)
        for row, rank in zip(considered, ranks, strict=True)
    ]
    action = considered.catalogue.plan.action[considered.candidate]
    return Explanation(Funnel.of(considered.reason, action), tuple(sorted(told, key=_furthest_first)))


def explain_candidate(considered: Considered, catalogue: Catalogue) -> ExplainedCandidate:
    """Return why one candidate is shown or not; without its rank, which takes all of them."""
    rule, ranking = _failed_rule(considered, catalogue), _ranking(considered)
    return ExplainedCandidate(
        placement=considered.placement,
        action_id=considered.candidate.action.action_id,
        treatment_id=considered.candidate.treatment.treatment_id,
        stage=considered.stage,
        reason=considered.reason,
        text=f"{considered.stage}: {_why(considered, catalogue, rule, ranking)}",
        rule=rule,
        policy=stopped_by(considered, catalogue),
        ranking=ranking,
    )


def funnel_text(funnel: Funnel) -> str:
    """Return the funnel in one line.

    Examples
    --------
    >>> print(funnel_text(Funnel(9, 8, 7, 7, 6, 5, 5, 2)))  # doctest: +NORMALIZE_WHITESPACE
    9 considered → 8 available → 7 eligible → 7 applicable → 6 suitable → 5 within contact policy → 5 scored
    → 2 shown
    """
    return " → ".join(f"{count} {stage.replace('_', ' ')}" for stage, count in asdict(funnel).items())


def _failed_rule(considered: Considered, catalogue: Catalogue) -> FailedRule | None:
    if considered.rule is None:
        return None
    rule, observed = catalogue.rules[considered.rule], considered.observed
    failed = failed_comparisons(rule.expression, observed)
    return FailedRule(rule.rule_id, rule.text, considered.reason.is_unknown, observed, failed)


def _ranking(considered: Considered) -> Ranking | None:
    if considered.priority is None or considered.propensity is None:
        return None
    formula, weight = considered.ranked_by.formula, considered.context_weight
    return Ranking(
        priority=considered.priority,
        propensity=considered.propensity,
        value=considered.candidate.action.value,
        context_weight=None if np.isnan(weight) else weight,
        lever=considered.lever,
        formula=None if formula is None else formula.text,
    )


def _why(
    considered: Considered, catalogue: Catalogue, rule: FailedRule | None, ranking: Ranking | None
) -> str:
    if rule is not None:
        return _rule_text(rule)
    if considered.reason is Reason.OUTRANKED:
        return f"outranked with {_ranking_text(ranking)}" if ranking else "other mandatory messages go first"
    if considered.reason is Reason.SHOWN:
        return _ranking_text(ranking) if ranking else _mandatory_text(considered)
    return words_for(considered, catalogue)


def _rule_text(rule: FailedRule) -> str:
    missing = [name for name, value in rule.observed.items() if value is None or value != value]  # noqa: PLR0124
    if rule.unknown and missing:
        return f"rule {rule.rule_id} `{rule.text}` is unknown: {', '.join(missing)} not known"
    values = ", ".join(f"{name} = {written(value)}" for name, value in rule.observed.items())
    verdict = "unknown" if rule.unknown else "false"
    return f"rule {rule.rule_id} `{rule.text}` is {verdict}: {values or 'no column'}"


def _mandatory_text(considered: Considered) -> str:
    basis = considered.candidate.action.mandatory
    return "goes out first" if basis is None else f"must go out: {basis.replace('_', ' ')}"


def _ranking_text(ranking: Ranking) -> str:
    factors = [f"propensity {ranking.propensity:.4g}", f"value {ranking.value:.4g}"]
    if ranking.context_weight not in {None, 1}:
        factors.append(f"context weight {ranking.context_weight:g}")
    if ranking.lever != 1:
        factors.append(f"lever {ranking.lever:g}")
    if ranking.formula is None:
        return f"priority {ranking.priority:.4g} = {' x '.join(factors)}"
    return f"priority {ranking.priority:.4g} = `{ranking.formula}` with {', '.join(factors)}"


def _ranks(considered: ConsideredTable) -> list[tuple[int, int] | None]:
    """Return per row its rank by priority among what competed for its placement, and how many these are."""
    competed = ~np.isnan(considered.priority) & (considered.reason >= Reason.UNDECIDED)
    ranks: list[tuple[int, int] | None] = [None] * len(considered)
    for placement in range(len(considered.placements)):
        rows = np.flatnonzero(competed & (considered.placement == placement))
        ordered = rows[np.argsort(-considered.priority[rows], kind="stable")].tolist()
        for rank, row in enumerate(ordered, start=1):
            ranks[row] = rank, len(ordered)
    return ranks


def _ranked(told: ExplainedCandidate, rank: tuple[int, int] | None) -> ExplainedCandidate:
    if rank is None or told.ranking is None:
        return told
    return replace(told, ranking=replace(told.ranking, rank=rank[0], of=rank[1]))


def _furthest_first(told: ExplainedCandidate) -> tuple[int, float, str, str, str]:
    priority = told.ranking.priority if told.ranking else 0.0
    return -told.reason.stage_number, -priority, told.action_id, told.treatment_id, told.placement


def _line(told: ExplainedCandidate) -> str:
    ranking = told.ranking
    rank = "" if ranking is None or ranking.rank is None else f" (rank {ranking.rank} of {ranking.of})"
    return f"{told.placement}  {told.treatment_id}  {told.text}{rank}"
