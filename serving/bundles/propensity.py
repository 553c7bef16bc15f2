"""The propensity model as serving opens it: verified, then scored in one call for all candidates."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from features.contract import FeatureContract
from moment.errors import InvariantViolation
from serving.bundles.calibration import Calibration, sigmoid
from serving.bundles.linear import LinearModel
from serving.bundles.manifest import (
    UNREADABLE,
    About,
    BundleFiles,
    BundleRefused,
    Manifest,
    Refusal,
    brief,
    canonical_json,
    current,
    sha256,
    write_bundle,
)
from serving.bundles.reading import check_read_as, read_bundle
from serving.bundles.trees import TreeModel

if TYPE_CHECKING:
    from features.rows import RowLayout
    from serving.bundles.signing import Trust

MODEL = "propensity"

GOLDEN_TOLERANCE = 1e-5
"""Largest difference, in log-odds, between a golden prediction and its recomputation."""


class Kind(StrEnum):
    """Which contender won, and so how the model file is read."""

    XGBOOST = "xgboost"
    LOGISTIC = "logistic"
    PRIOR = "prior"

    @property
    def file(self) -> str:
        """Name of the model file. No kind's format can run code."""
        return "model.ubj" if self is Kind.XGBOOST else "model.json"


@dataclass(frozen=True, slots=True)
class PropensityScores:
    """Scores of the rows asked for, aligned to them.

    Parameters
    ----------
    raw
        Uncalibrated probabilities, shape ``(n,)``.
    calibrated
        Propensities, shape ``(n,)``.
    """

    raw: NDArray[np.float64]
    calibrated: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GoldenRows:
    """Rows whose scores the bundle must reproduce wherever it is opened.

    Parameters
    ----------
    matrix
        Shape ``(n, columns)``, float32, missing as NaN.
    groups, actions
        Of each row.
    """

    matrix: NDArray[np.float32]
    groups: tuple[str, ...]
    actions: tuple[str, ...]


class Margins(Protocol):
    """What turns model rows into log-odds."""

    def margins(
        self, matrix: NDArray[np.float32], counts: Sequence[int] | None = None
    ) -> NDArray[np.float64]:
        """Return log-odds, shape ``(n,)``, of rows of shape ``(n, columns)``.

        ``counts``: how many rows each customer has, one customer after another; what a model adds for a
        customer need then be computed once. None where each row may be another's.
        """

    def read_as(self) -> str:
        """Return the SHA-256 of the model as it was read."""


@dataclass(frozen=True, slots=True)
class PriorModel:
    """The base rate for everybody: the contender every other must beat."""

    margin: float

    def margins(
        self,
        matrix: NDArray[np.float32],
        counts: Sequence[int] | None = None,  # noqa: ARG002 - all rows are one to it
    ) -> NDArray[np.float64]:
        """Return the same log-odds for every row, shape ``(n,)``."""
        return np.full(len(matrix), self.margin, dtype=np.float64)

    def to_json(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"margin": self.margin}

    def read_as(self) -> str:
        """Return the SHA-256 of the rate as it was read."""
        return sha256(canonical_json(self.to_json()))


@dataclass(frozen=True, slots=True)
class PropensityBundle:
    """An opened propensity model.

    Parameters
    ----------
    folder
        Where it was opened.
    manifest
        What it states about itself.
    layout
        The columns of a row, in order.
    contract
        The customer features it was trained on.
    calibration
        From margin to propensity.
    model
        From row to margin.
    """

    folder: Path
    manifest: Manifest
    layout: RowLayout
    contract: FeatureContract
    calibration: Calibration
    model: Margins

    @property
    def version(self) -> str:
        """Short id made from the digest."""
        return self.manifest.version

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides its scores."""
        return self.manifest.digest

    @property
    def kind(self) -> Kind:
        """Which contender it is."""
        return Kind(self.manifest.kind)

    def score(
        self, matrix: NDArray[np.float32], groups: Sequence[str], actions: Sequence[str]
    ) -> PropensityScores:
        """Score rows in one call.

        Parameters
        ----------
        matrix
            As ``features.rows.request_matrix`` makes it for ``layout``: shape ``(n, columns)``, C-contiguous.
        groups, actions
            Group and action id of each row, ``n`` of each.

        Raises
        ------
        InvariantViolation
            The matrix is not of this layout: xgboost itself would score it all the same.
        """
        return self.score_rows(matrix, self.calibration.offsets(groups, actions))

    def score_rows(
        self,
        matrix: NDArray[np.float32],
        offsets: NDArray[np.float64],
        counts: Sequence[int] | None = None,
    ) -> PropensityScores:
        """Do the same for rows whose offsets of the calibration are known, one for each.

        ``counts``: how many rows each customer has, one customer after another; no score depends on it.
        """
        if matrix.ndim != 2 or matrix.shape[1] != len(self.layout.columns) or matrix.dtype != np.float32:
            raise InvariantViolation(
                f"a {matrix.dtype} matrix of shape {matrix.shape} was scored by a propensity model of "
                f"{len(self.layout.columns)} float32 columns; build it with features.rows.request_matrix"
            )
        if not len(matrix):
            return PropensityScores(np.empty(0), np.empty(0))
        return self.calibrated(self.model.margins(matrix, counts), offsets)

    def calibrated(self, margins: NDArray[np.float64], offsets: NDArray[np.float64]) -> PropensityScores:
        """Return the scores of rows of these log-odds and offsets, ``n`` of each."""
        # Both in one go: numpy takes longer to start than to compute
        both = np.array((margins, self.calibration.shifted(margins, offsets)))
        return PropensityScores(*sigmoid(both))


@dataclass(frozen=True, slots=True)
class PropensityContent:
    """All that decides the scores of a propensity model, ready to be written.

    Parameters
    ----------
    kind
        Which contender it is.
    model
        The model file: UBJSON of the booster, or JSON of :class:`LinearModel` or :class:`PriorModel`.
    layout, contract, calibration
        See :class:`PropensityBundle`.
    golden
        Rows to keep the scores of, some with missing values.
    libraries
        Version by library the scores depend on.
    """

    kind: Kind
    model: bytes
    layout: RowLayout
    contract: FeatureContract
    calibration: Calibration
    golden: GoldenRows
    libraries: Mapping[str, str]

    @classmethod
    def of_linear(cls, model: LinearModel) -> bytes:
        """Return the model file of a logistic model."""
        return canonical_json(model.to_json())

    @classmethod
    def of_prior(cls, model: PriorModel) -> bytes:
        """Return the model file of a base rate."""
        return canonical_json(model.to_json())


@dataclass(frozen=True, slots=True)
class _Golden:
    """Rows, what they come out as, and what had been read when they did (nothing before format 2)."""

    rows: GoldenRows
    margins: NDArray[np.float64]
    calibrated: NDArray[np.float64]
    read_as: Mapping[str, str] | None

    def dumps(self) -> bytes:
        return canonical_json(
            {
                "matrix": [
                    [None if math.isnan(cell) else cell for cell in row] for row in self.rows.matrix.tolist()
                ],
                "groups": self.rows.groups,
                "actions": self.rows.actions,
                "margins": self.margins.tolist(),
                "calibrated": self.calibrated.tolist(),
                "read_as": self.read_as,
            }
        )

    @classmethod
    def loads(cls, content: bytes) -> Self:
        data = json.loads(content)
        matrix = np.array(
            [[math.nan if cell is None else cell for cell in row] for row in data["matrix"]], dtype=np.float32
        )
        rows = GoldenRows(matrix, tuple(data["groups"]), tuple(data["actions"]))
        return cls(rows, np.array(data["margins"]), np.array(data["calibrated"]), data.get("read_as"))


def write_propensity(bundles: Path, content: PropensityContent, about: About, *, name: str = MODEL) -> Path:
    """Write a propensity bundle, keep its golden predictions, and return its folder."""
    model = _model(content.kind, content.model, content.layout)
    margins = model.margins(content.golden.matrix)
    calibrated = content.calibration.apply(margins, content.golden.groups, content.golden.actions)
    read_as = _read_as(model, content.layout, content.contract, content.calibration)
    return write_bundle(
        bundles,
        model=name,
        kind=content.kind,
        files={
            content.kind.file: content.model,
            "layout.json": content.layout.dumps().encode(),
            "contract.json": content.contract.dumps().encode(),
            "calibration.json": canonical_json(content.calibration.to_json()),
            "golden.json": _Golden(content.golden, margins, calibrated, read_as).dumps(),
        },
        libraries=content.libraries,
        about=about,
    )


def read_propensity(
    folder: Path, *, trusted: Trust | None = None, digest: str | None = None, name: str = MODEL
) -> BundleFiles:
    """Verify a propensity bundle without parsing any of its files.

    Raises
    ------
    BundleRefused
        As of `read_bundle`.
    """
    return read_bundle(folder, model=name, files=_files_of, trusted=trusted, digest=digest)


def propensity_of(files: BundleFiles, *, proved: bool = False) -> PropensityBundle:
    """Parse a verified propensity bundle and reproduce its golden predictions.

    Parameters
    ----------
    files
        The bundle.
    proved
        Whether a child did all this with the very bytes. Then every node of the trees is not written out once
        more: of large models that takes a fifth of a second, in which nothing else here goes on.

    Raises
    ------
    BundleRefused
        ``format`` or ``golden``. A file made to harm may end the process instead: ``serving.bundles.proving``
        runs this in a child first.
    """
    from features.rows import RowLayout

    kind, contents = Kind(files.manifest.kind), files.contents
    try:
        layout = RowLayout.loads(contents["layout.json"].decode())
        bundle = PropensityBundle(
            folder=files.folder,
            manifest=files.manifest,
            layout=layout,
            contract=FeatureContract.loads(contents["contract.json"].decode()),
            calibration=Calibration.from_json(json.loads(contents["calibration.json"])),
            model=_model(kind, contents[kind.file], layout),
        )
        golden = _Golden.loads(contents["golden.json"])
        read_as = {} if proved else _read_as(bundle.model, bundle.layout, bundle.contract, bundle.calibration)
    except UNREADABLE as error:
        raise BundleRefused(
            files.folder, Refusal.FORMAT, f"a file cannot be parsed ({brief(error)})"
        ) from error
    _check_width(bundle)
    if not proved:
        check_read_as(files, golden.read_as, read_as)
    _check_golden(bundle, golden)
    return bundle


def open_propensity(folder: Path, *, trusted: Trust | None = None, name: str = MODEL) -> PropensityBundle:
    """Verify and open a propensity bundle.

    Digests come first, then the signature where trusted keys are given, then parsing, then the golden
    predictions.

    Raises
    ------
    BundleRefused
        With the reason.
    """
    return propensity_of(read_propensity(folder, trusted=trusted, name=name))


def open_current_propensity(bundles: Path) -> PropensityBundle:
    """Open the model that ``CURRENT`` names; :class:`~moment.errors.StepMissing` where there is none."""
    return open_propensity(current(bundles, MODEL))


def _files_of(kind: str) -> frozenset[str] | None:
    if kind not in tuple(Kind):
        return None
    return frozenset({Kind(kind).file, "layout.json", "contract.json", "calibration.json", "golden.json"})


def _model(kind: Kind, content: bytes, layout: RowLayout) -> Margins:
    if kind is Kind.XGBOOST:
        return TreeModel(content)
    data: dict[str, Any] = json.loads(content)
    if kind is Kind.LOGISTIC:
        return LinearModel.from_json(data, layout.customer_columns)
    return PriorModel(float(data["margin"]))


def _read_as(
    model: Margins, layout: RowLayout, contract: FeatureContract, calibration: Calibration
) -> dict[str, str]:
    return {
        "model": model.read_as(),
        "layout": sha256(layout.dumps().encode()),
        "contract": sha256(contract.dumps().encode()),
        "calibration": sha256(canonical_json(calibration.to_json())),
    }


def _check_width(bundle: PropensityBundle) -> None:
    names = tuple(column.name for column in bundle.layout.columns)
    model = bundle.model
    if isinstance(model, TreeModel) and model.width != len(names):
        detail = f"its trees take {model.width} columns and its layout has {len(names)}"
        raise BundleRefused(bundle.folder, Refusal.FORMAT, detail)
    if isinstance(model, LinearModel) and tuple(column.name for column in model.columns) != names:
        detail = "its weights are not for the columns of its layout"
        raise BundleRefused(bundle.folder, Refusal.FORMAT, detail)


def _check_golden(bundle: PropensityBundle, golden: _Golden) -> None:
    rows = golden.rows
    if rows.matrix.ndim != 2 or rows.matrix.shape[1] != len(bundle.layout.columns):
        raise BundleRefused(bundle.folder, Refusal.FORMAT, "its golden rows are not of its layout")
    try:
        margins = bundle.model.margins(rows.matrix)
        calibrated = bundle.calibration.apply(margins, rows.groups, rows.actions)
    except UNREADABLE as error:
        raise BundleRefused(bundle.folder, Refusal.FORMAT, f"it cannot be scored ({brief(error)})") from error
    worst = max(_difference(margins, golden.margins), _difference(calibrated, golden.calibrated))
    if not worst <= GOLDEN_TOLERANCE:
        detail = f"a golden prediction differs by {worst:.2g}, allowed is {GOLDEN_TOLERANCE:.0e}"
        raise BundleRefused(bundle.folder, Refusal.GOLDEN, detail)


def _difference(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    return float(np.abs(left - right).max()) if left.shape == right.shape and left.size else math.inf
