"""From a fitted model to what its bundle holds: the same for a model just trained and for one made again."""

from __future__ import annotations

import numpy as np

from features.contract import FeatureContract
from features.rows import RowLayout
from serving.bundles import Kind, PriorModel, PropensityContent
from training.models.base import CalibratedContender
from training.models.linear import RegularizedLogistic
from training.models.propensity import PropensityModel
from training.pipelines.propensity import nodes
from training.pipelines.propensity.fitting import Part


def content_of(
    winner: CalibratedContender, test: Part, layout: RowLayout, contract: FeatureContract, *, seed: int
) -> PropensityContent:
    """Return all that decides a fitted model's scores; its golden rows are some of the test's."""
    groups, actions = test.groups.tolist(), test.actions.tolist()
    kind, model = model_file(winner)
    return PropensityContent(
        kind=kind,
        model=model,
        layout=layout,
        contract=contract,
        calibration=winner.calibration_,
        golden=nodes.golden_rows(winner.encode(test.frame), groups, actions, seed=seed),
        libraries=libraries(kind),
    )


def model_file(winner: CalibratedContender) -> tuple[Kind, bytes]:
    """Return how a model's file is read, and the file; trees that fell back are a base rate."""
    if isinstance(winner, PropensityModel) and winner.booster_ is not None:
        return Kind.XGBOOST, bytes(winner.booster_.save_raw("ubj"))
    linear = winner.linear_
    if isinstance(winner, RegularizedLogistic):
        return Kind.LOGISTIC, PropensityContent.of_linear(linear)
    return Kind.PRIOR, PropensityContent.of_prior(PriorModel(linear.intercept))


def libraries(kind: Kind) -> dict[str, str]:
    """Return the version by library whose numbers a model of this kind depends on."""
    import xgboost

    trees = {"xgboost": xgboost.__version__} if kind is Kind.XGBOOST else {}
    return {"numpy": np.__version__, **trees}
