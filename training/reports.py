"""Model cards and reports in Markdown and JSON: what a person reads before trusting a model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from moment import private
from serving.lifecycle import Actor, GateVerdict, Verdict
from training.evaluation.intervals import MetricInterval
from training.evaluation.report import Evaluation, Metric
from training.pipelines.propensity.nodes import RowsUsed
from training.pipelines.propensity.result import HEADLINE, SERVED, SLICES, PropensityResult
from training.pipelines.segmentation.result import SegmentationResult

METRICS: Mapping[Metric, str] = {
    metric: metric.spoken
    for metric in (
        Metric.AUC,
        Metric.AVERAGE_PRECISION,
        Metric.TOP_DECILE_LIFT,
        Metric.LOG_LOSS,
        Metric.BRIER,
        Metric.CALIBRATION_SLOPE,
        Metric.CALIBRATION_INTERCEPT,
    )
}
"""Metrics in the order people read them."""

Cells = Sequence[str]

_MOST_MOVED = 15


def write_report(folder: Path, name: str, markdown: str, result: object) -> Path:
    """Write ``<name>.md`` and ``<name>.json`` and return the former; numbers that are none become null."""
    folder.mkdir(parents=True, exist_ok=True)
    private.write(folder / f"{name}.json", msgspec.json.format(to_json(result), indent=2) + b"\n")
    path = folder / f"{name}.md"
    private.write(path, markdown)
    return path


def to_json(result: object) -> bytes:
    """Return a result as JSON."""
    return msgspec.json.encode(msgspec.to_builtins(result, str_keys=True), order="deterministic")


def interval(value: MetricInterval | None, digits: int = 3) -> str:
    """Return ``0.812 [0.790, 0.833]``; a dash where there is no number."""
    if value is None or math.isnan(value.value):
        return "-"
    if math.isnan(value.low):
        return f"{value.value:.{digits}f}"
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def table(head: Cells, rows: Iterable[Cells], *, numbers: bool = True) -> str:
    """Return a Markdown table, its first column to the left and, where they are numbers, the others right."""
    lines = [head, ["---", *("---:" if numbers else "---" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def figures_table(figures: Mapping[str, Evaluation], first: str) -> str:
    """Return a table with one column per set of rows and one line per metric."""
    head = [first, *figures]
    counts = [
        ["rows", *(f"{item.rows:,}" for item in figures.values())],
        ["positives", *(f"{item.positives:,}" for item in figures.values())],
        ["customers", *(f"{item.clusters:,}" for item in figures.values())],
    ]
    lines = [
        [title, *(interval(item.metrics.get(metric), digits(metric)) for item in figures.values())]
        for metric, title in METRICS.items()
    ]
    return table(head, [*counts, *lines])


def digits(metric: Metric) -> int:
    """Return how many decimals a metric is shown with."""
    if metric is Metric.TOP_DECILE_LIFT:
        return 2
    return 4 if metric in (Metric.LOG_LOSS, Metric.BRIER, Metric.AVERAGE_PRECISION) else 3


def propensity_card(result: PropensityResult) -> str:
    """Return the propensity model's card and report: what it is, how good, and what to beware of."""
    blocks = [
        f"# Propensity {result.version}",
        (
            "Calibrated probability that an action is answered within its window, given it is presented to "
            "this customer in this context."
        ),
        _made_of(result),
        "## Read first",
        "\n".join(f"- {note}" for note in result.notes),
        "## Out of time",
        (
            "95 % intervals from resampling whole customers. A negative is one only after its window closed: "
            f"*{SLICES[HEADLINE]}* and *{SLICES[SERVED]}* keep to that. *As in the record* also counts what "
            "was not answered yet, for comparison only. Intercept 0 and slope 1 are perfect calibration; "
            "what is served is calibrated on, and speaks of, observed exposure."
        ),
        figures_table({SLICES[name]: item for name, item in result.figures.items()}, "metric"),
        "## Who competed",
        (
            f"{result.selection.reason}. The figures below are out of time, of {SLICES[HEADLINE]} and, after "
            "the semicolon, of the observed ones among them."
        ),
        _contenders(result),
        "## Predicted and observed",
        f"{SLICES[SERVED].capitalize()}, in bins of equal expected positives.",
        _reliability(result),
        "## By group of actions",
        figures_by_group(result.groups),
        "## Gates",
        _gates_told(result.gates, result.champion),
        gates_table(result.gates),
        "## Segments",
        "Answers for each one expected: above 1, propensities are too low.",
        _segments(result),
        "## Most moved features",
        "Population stability index, test period against training period, bins of the training period.",
        _drift(result),
        "## Settings",
        table(["setting", "value"], [[name, str(value)] for name, value in result.parameters.items()]),
    ]
    return "\n\n".join(blocks) + "\n"


def _made_of(result: PropensityResult) -> str:
    return table(
        ["", "value"],
        [
            ["model", f"{result.kind}, bundle `{result.version}`, MLflow version {result.registered}"],
            ["trained on", _rows_used(result.train)],
            ["tested on", _rows_used(result.test)],
            ["split", f"{result.split_at:%Y-%m-%d}: windows closed before it train, campaigns after test"],
            ["data", f"`{result.data_digest[:12]}` (lake, features and catalogue), seed {result.seed}"],
            ["approval", "none"],
        ],
    )


def _reliability(result: PropensityResult) -> str:
    return table(
        ["predicted", "observed", "rows"],
        [[f"{one.predicted:.3%}", f"{one.observed:.3%}", f"{one.rows:,}"] for one in result.reliability],
    )


def _drift(result: PropensityResult) -> str:
    moved = list(result.drift.items())[:_MOST_MOVED]
    return table(["feature", "PSI"], [[name, interval(value)] for name, value in moved])


def figures_by_group(groups: Mapping[str, Evaluation]) -> str:
    """Return a table with one line per group."""
    shown = (Metric.AUC, Metric.AVERAGE_PRECISION, Metric.TOP_DECILE_LIFT, Metric.CALIBRATION_INTERCEPT)
    head = ["group", "rows", "positives", *(METRICS[metric] for metric in shown)]
    return table(
        head,
        [
            [
                name,
                f"{item.rows:,}",
                f"{item.positives:,}",
                *(interval(item.metrics.get(metric), digits(metric)) for metric in shown),
            ]
            for name, item in groups.items()
        ],
    )


def _contenders(result: PropensityResult) -> str:
    shown = (Metric.LOG_LOSS, Metric.AUC, Metric.AVERAGE_PRECISION, Metric.TOP_DECILE_LIFT)
    rows = []
    for name, figures in result.contenders.items():
        mark = " **(chosen)**" if name == result.selection.winner else ""
        cells = [
            f"{interval(figures.closed.metrics[metric], digits(metric))}; "
            f"{figures.observed.metrics[metric].value:.{digits(metric)}f}"
            for metric in shown
        ]
        difference = result.selection.differences.get(name)
        rows.append([f"{name}{mark}", interval(difference, 5), *cells])
    head = [
        "contender",
        "log-loss minus the best's, held-out training rows",
        *(METRICS[item] for item in shown),
    ]
    return table(head, rows)


def _rows_used(used: RowsUsed) -> str:
    return (
        f"{used.rows:,} presentations ({used.observed:,} observed), {used.positives:,} answered, of "
        f"{used.customers:,} customers, {used.first:%Y-%m-%d} to {used.last:%Y-%m-%d}"
    )


def gates_table(gates: Sequence[GateVerdict], accepted: Sequence[tuple[str, Actor, str]] = ()) -> str:
    """Return a table of what gates found, with what somebody took upon themselves and why.

    Parameters
    ----------
    gates
        In order.
    accepted
        Gate, who accepted what it found, and the reason; as `serving.lifecycle.Version.accepted`.
    """
    head = ["gate", "asks", "value", "verdict", "note"]
    by_gate = {gate: f"accepted by {named(by)} because {_cell(reason)}" for gate, by, reason in accepted}
    return table(
        head,
        [
            [
                f"`{one.gate}`",
                _cell(one.title),
                gate_value(one),
                one.verdict if one.verdict is Verdict.PASS else f"**{one.verdict}**",
                "; ".join(part for part in (_cell(one.note), by_gate.get(one.gate, "")) if part),
            ]
            for one in gates
        ],
        numbers=False,
    )


def gate_value(gate: GateVerdict) -> str:
    """Return ``0.813 [0.77, 0.855]`` in as many digits as it asks for; a dash where there is none."""
    if gate.value is None:
        return "-"
    if gate.low is None or gate.high is None:
        return f"{gate.value:.4g}"
    return f"{gate.value:.3g} [{gate.low:.3g}, {gate.high:.3g}]"


def named(actor: Actor) -> str:
    """Return who acted, for a report: the person with their role, or the machine."""
    if actor.person is None:
        return "the machine"
    return f"{actor.person} ({actor.role})" if actor.role else actor.person


def _cell(text: str) -> str:
    """Return text that stays within its cell of a table."""
    return " ".join(text.split()).replace("|", "/")


def _gates_told(gates: Sequence[GateVerdict], champion: str) -> str:
    counts = Counter(one.verdict for one in gates)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    against = f"compared with champion `{champion}`" if champion else "there was no champion to compare with"
    return (
        f"{told}; {against}. An interval that spans a bound is inconclusive: it may become a challenger, and "
        "a champion only once somebody takes it upon themselves by name. A missing number fails."
    )


def _segments(result: PropensityResult) -> str:
    return table(
        ["segment", "rows", "answers", "expected", "answers for each one expected"],
        [
            [name, f"{item.rows:,}", f"{item.observed:,}", f"{item.expected:.1f}", interval(item.ratio, 2)]
            for name, item in sorted(result.by_segment.items(), key=lambda pair: -pair[1].expected)
        ],
    )


def segmentation_card(result: SegmentationResult) -> str:
    """Return the segmentation's card: the personas, how stable they are, and what to beware of."""
    blocks = [
        f"# Segmentation {result.version}",
        (
            f"{len(result.personas)} personas of {result.customers:,} customers as they were on "
            f"{result.as_of:%Y-%m-%d}."
        ),
        table(
            ["", "value"],
            [
                ["model", f"bundle `{result.version}`, MLflow version {result.registered}"],
                ["data", f"`{result.data_digest[:12]}` (lake and features), seed {result.seed}"],
                ["approval", "none"],
            ],
        ),
        "## Read first",
        "\n".join(f"- {note}" for note in result.notes),
        "## Personas",
        table(
            ["persona", "customers", "share", "what sets it apart"],
            [
                [item.name, f"{item.customers:,}", f"{item.share:.1%}", "; ".join(item.traits)]
                for item in result.personas
            ],
        ),
        "## How many",
        "Mean adjusted Rand index over pairs of resamples: 1 is the same personas every time, 0 is chance.",
        table(
            ["personas", "stability"],
            [
                [f"{count}{' **(chosen)**' if count == len(result.personas) else ''}", interval(value)]
                for count, value in sorted(result.stability.items())
            ],
        ),
        "## Staying",
        (
            f"Of the customers known {result.compare_weeks} weeks earlier, {interval(result.stayed)} would "
            "have been given the same persona then."
        ),
        "## Gates",
        _gates_told(result.gates, result.champion),
        gates_table(result.gates),
    ]
    return "\n\n".join(blocks) + "\n"
