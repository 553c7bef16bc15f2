"""Plots of reports. Each function returns a figure of its own; nothing here touches a display."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from serving.bundles import Persona
from serving.lifecycle import GateVerdict, Verdict
from training.evaluation.calibration import ReliabilityBin
from training.evaluation.discrimination import GainsPoint
from training.evaluation.intervals import MetricInterval, wilson_interval

_INK = "#1f4e79"
_PALE = "#b8cce4"
_WARN = "#c55a11"
_VERDICTS = {Verdict.PASS: "#2e7d32", Verdict.INCONCLUSIVE: "#b8860b", Verdict.FAIL: "#b00020"}


def reliability_plot(bins: Sequence[ReliabilityBin], *, title: str) -> Figure:
    """Draw observed against predicted rates, both on a logarithmic scale where rates are rare.

    The whiskers are 95 % Wilson intervals of each bin by itself, rows taken as independent.
    """
    figure, axes = _figure(title)
    predicted = [item.predicted for item in bins]
    observed = [item.observed for item in bins]
    bounds = [wilson_interval(item.observed, item.rows) for item in bins]
    below = [max(rate - bound.low, 0.0) for rate, bound in zip(observed, bounds, strict=True)]
    above = [max(bound.high - rate, 0.0) for rate, bound in zip(observed, bounds, strict=True)]
    top = max([*predicted, *observed, 1e-6]) * 1.3
    bottom = min([value for value in (*predicted, *observed) if value > 0] or [1e-6]) / 1.5
    axes.plot([bottom, top], [bottom, top], color=_PALE, label="perfect")
    axes.errorbar(predicted, observed, yerr=[below, above], fmt="o", color=_INK, capsize=3, label="bins")
    if top / bottom > 20:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel("predicted rate")
    axes.set_ylabel("observed rate")
    axes.legend(frameon=False)
    return figure


def gains_plot(points: Sequence[GainsPoint], *, title: str) -> Figure:
    """Draw which part of all positives the best-scored part of the rows holds."""
    figure, axes = _figure(title)
    axes.plot([0, 1], [0, 1], color=_PALE, label="by chance")
    axes.plot(
        [0.0, *(point.share for point in points)],
        [0.0, *(point.captured for point in points)],
        color=_INK,
        label="model",
    )
    axes.set_xlabel("share of rows, best scores first")
    axes.set_ylabel("share of positives")
    axes.legend(frameon=False)
    return figure


def lift_plot(points: Sequence[GainsPoint], *, title: str) -> Figure:
    """Draw how many times the base rate each tenth of the rows holds, best scores first."""
    figure, axes = _figure(title)
    edges = _at_tenths(points)
    lifts = [(after - before) * 10 for before, after in itertools.pairwise(edges)]
    axes.bar(range(1, len(lifts) + 1), lifts, color=_INK)
    axes.axhline(1.0, color=_WARN, linewidth=1, label="base rate")
    axes.set_xticks(range(1, len(lifts) + 1))
    axes.set_xlabel("tenth of the rows, best scores first")
    axes.set_ylabel("rate relative to the base rate")
    axes.legend(frameon=False)
    return figure


def intervals_plot(values: Mapping[str, MetricInterval], *, title: str, label: str) -> Figure:
    """Draw values with their intervals, one line each, first on top."""
    figure, axes = _figure(title, height=1.2 + 0.35 * len(values))
    for place, (name, interval) in enumerate(reversed(list(values.items()))):
        axes.plot([interval.low, interval.high], [place, place], color=_PALE, linewidth=4)
        axes.plot([interval.value], [place], "o", color=_INK)
        axes.annotate(
            name,
            (0.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(-6, 0),
            ha="right",
            va="center",
            textcoords="offset points",
        )
    axes.set_yticks([])
    axes.set_xlabel(label)
    return figure


def drift_plot(
    values: Mapping[str, MetricInterval], *, at_most: float | None, title: str, most: int = 20
) -> Figure:
    """Draw the stability index of the first ``most`` columns, and where the bound is."""
    shown = dict(list(values.items())[:most])
    figure = intervals_plot(shown, title=title, label="population stability index")
    if at_most is not None:
        figure.axes[0].axvline(
            at_most, color=_WARN, linewidth=1, label=f"bound {at_most:g}, but where one of its own"
        )
        figure.axes[0].legend(frameon=False, loc="lower right")
    return figure


def gates_plot(gates: Sequence[GateVerdict], *, title: str) -> Figure:
    """Draw each gate on a scale of its own: its interval, its bounds, and its verdict as a colour."""
    figure, axes = _figure(title, height=1.2 + 0.35 * len(gates))
    for place, gate in enumerate(reversed(gates)):
        colour = _VERDICTS[gate.verdict]
        numbers = [gate.value, gate.low, gate.high, gate.at_least, gate.at_most]
        known = [number for number in numbers if number is not None]
        start, width = min(known, default=0.0), (max(known, default=1.0) - min(known, default=0.0)) or 1.0
        value, low, high, least, most = (
            None if number is None else (number - start) / width for number in numbers
        )
        axes.plot([0, 1], [place, place], color="#eeeeee", linewidth=1, zorder=0)
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=colour, linewidth=5, alpha=0.35)
        for bound, marker in ((least, "$[$"), (most, "$]$")):
            if bound is not None:
                axes.plot([bound], [place], marker=marker, color="black", markersize=11)
        if value is not None:
            axes.plot([value], [place], "o", color=colour)
        text = f"{gate.verdict}" if gate.value is None else f"{gate.value:.3g} {gate.verdict}"
        axes.annotate(
            gate.gate, (0.0, place), xytext=(-8, 0), ha="right", va="center", textcoords="offset points"
        )
        axes.annotate(
            text,
            (1.0, place),
            xytext=(8, 0),
            ha="left",
            va="center",
            textcoords="offset points",
            color=colour,
        )
    axes.set_yticks([])
    axes.set_xticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("each on a scale of its own; brackets are bounds")
    return figure


def personas_plot(personas: Sequence[Persona], *, title: str) -> Figure:
    """Draw the personas' shares of all customers."""
    figure, axes = _figure(title, height=1.2 + 0.5 * len(personas))
    names = [persona.name for persona in reversed(personas)]
    shares = [100 * persona.share for persona in reversed(personas)]
    bars = axes.barh(names, shares, color=_INK)
    axes.bar_label(bars, fmt="%.0f %%", padding=3)
    axes.set_xlabel("% of customers")
    axes.margins(x=0.12)
    return figure


def _figure(title: str, *, height: float = 4.5) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _at_tenths(points: Sequence[GainsPoint]) -> list[float]:
    shares = [0.0, *(point.share for point in points)]
    captured = [0.0, *(point.captured for point in points)]
    return [
        captured[min(range(len(shares)), key=lambda index: abs(shares[index] - tenth / 10))]
        for tenth in range(11)
    ]
