"""Plots of reports. Each function returns a figure of its own; nothing here touches a display."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from serving.bundles import Persona
from training.evaluation.calibration import ReliabilityBin
from training.evaluation.discrimination import GainsPoint
from training.evaluation.intervals import MetricInterval

_INK = "#1f4e79"
_PALE = "#b8cce4"
_WARN = "#c55a11"


def reliability_plot(bins: Sequence[ReliabilityBin], *, title: str) -> Figure:
    """Draw observed against predicted rates, both on a logarithmic scale where rates are rare.

    The whiskers are 95 % Wilson intervals of each bin by itself, rows taken as independent.
    """
    figure, axes = _figure(title)
    predicted = [item.predicted for item in bins]
    observed = [item.observed for item in bins]
    bounds = [_wilson(item.observed, item.rows) for item in bins]
    below = [max(rate - low, 0.0) for rate, (low, _) in zip(observed, bounds, strict=True)]
    above = [max(high - rate, 0.0) for rate, (_, high) in zip(observed, bounds, strict=True)]
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


def _wilson(rate: float, rows: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a rate over ``rows`` rows."""
    z = 1.96
    centre = (rate + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * ((rate * (1 - rate) + z * z / (4 * rows)) / rows) ** 0.5 / (1 + z * z / rows)
    return max(centre - half, 0.0), centre + half


def _at_tenths(points: Sequence[GainsPoint]) -> list[float]:
    shares = [0.0, *(point.share for point in points)]
    captured = [0.0, *(point.captured for point in points)]
    return [
        captured[min(range(len(shares)), key=lambda index: abs(shares[index] - tenth / 10))]
        for tenth in range(11)
    ]
