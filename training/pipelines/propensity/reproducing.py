"""Making a propensity model again: its recipe and rows kept when it was trained, its bundle made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow as pa

from features import kept_rows
from features.contract import FeatureContract
from features.rows import ColumnKind, RowLayout
from moment.home import Home
from serving.bundles import About, Kind, PropensityBundle, write_propensity
from training import archive
from training.archive import Found, Recipe
from training.models.base import CalibratedContender
from training.models.linear import PriorRate, RegularizedLogistic
from training.models.propensity import PropensityModel
from training.pipelines.propensity import fitting
from training.pipelines.propensity.bundling import content_of
from training.pipelines.propensity.fitting import Part
from training.pipelines.propensity.settings import ModelSettings, PropensitySettings
from training.pipelines.propensity.training_set import TrainingSet

MODEL = "propensity"

_COLUMN = "column."
_ROUNDS = "rounds"


def keep(
    home: Home,
    data: TrainingSet,
    *,
    winner: CalibratedContender,
    kind: Kind,
    settings: PropensitySettings,
    bundle: PropensityBundle,
) -> None:
    """Keep the rows of a training set, training and test, and how the winner was made of them."""
    recipe = Recipe(
        model=MODEL,
        digest=bundle.digest,
        kind=kind.value,
        rows=kept_rows.keep(home, _to_table(data)),
        seed=settings.seed,
        settings=msgspec.Raw(msgspec.json.encode(settings.model)),
        found=found_by(winner),
        layout=data.layout.dumps(),
        contract=data.contract.dumps(),
        data_digest=data.digest,
        libraries=archive.libraries(),
        machine=archive.machine(),
        code=archive.code(),
    )
    archive.keep_recipe(home, recipe)


def found_by(winner: CalibratedContender) -> dict[str, Found]:
    """Return what a contender searched for and found: what makes it again without a search."""
    if isinstance(winner, PropensityModel) and winner.booster_ is not None:
        return {**winner.best_params_, _ROUNDS: winner.best_rounds_}
    if isinstance(winner, RegularizedLogistic) and not winner.fallback_reason_:
        return {"strength": winner.strength_}
    return {}


def rebuild(recipe: Recipe, rows: pa.Table, bundles: Path) -> Path:
    """Fit what a recipe says on kept rows, write the bundle among ``bundles``, and return its folder."""
    layout, contract = RowLayout.loads(recipe.layout), FeatureContract.loads(recipe.contract)
    whole = rows.to_pandas()
    tests = (whole["part"] == "test").to_numpy()
    train, test = _part(whole.loc[~tests], layout), _part(whole.loc[tests], layout)
    winner = fitting.fitted_on(_contender(recipe), train)
    content = content_of(winner, test, layout, contract, seed=recipe.seed)
    return write_propensity(bundles, content, About(created_at=""))


def _contender(recipe: Recipe) -> CalibratedContender:
    model = msgspec.json.decode(recipe.settings, type=ModelSettings)
    kind = Kind(recipe.kind)
    if kind is Kind.PRIOR:
        return PriorRate()
    if kind is Kind.LOGISTIC:
        strength, monotone = recipe.found.get("strength"), dict(model.monotone) or None
        if not isinstance(strength, float):
            return RegularizedLogistic(monotone=monotone, random_state=recipe.seed)
        return RegularizedLogistic(strengths=(strength,), monotone=monotone, random_state=recipe.seed)
    return PropensityModel(
        trials=1,
        folds=model.folds,
        max_rounds=model.max_rounds,
        max_rows=model.max_rows,
        min_offset_positives=model.min_offset_positives,
        monotone=dict(model.monotone) or None,
        parameters=_parameters(recipe.found) or None,
        random_state=recipe.seed,
    )


def _parameters(found: Mapping[str, Found]) -> dict[str, float | int]:
    return {
        name: value
        for name, value in found.items()
        if name != _ROUNDS and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _to_table(data: TrainingSet) -> pa.Table:
    """Return rows and columns as they are kept: words as words, their categories are the layout's."""
    rows = data.rows
    identity = {
        kept_rows.CUSTOMER: rows["customer_id"].astype(str),
        "at": rows["at"],
        "window_ends_at": rows["window_ends_at"],
        "answered": rows["answered"],
        "exposure": rows["exposure"].astype(str),
        "action_id": rows["action_id"].astype(str),
        "action_group": rows["action_id"].map({name: facts.group for name, facts in data.actions.items()}),
        "part": pd.Series("training", index=rows.index).mask(pd.Series(data.split.test), "test"),
    }
    columns = {
        f"{_COLUMN}{name}": values.astype(object).where(values.notna(), None)
        if isinstance(values.dtype, pd.CategoricalDtype)
        else values
        for name, values in data.frame.items()
    }
    return pa.Table.from_pandas(pd.DataFrame({**identity, **columns}), preserve_index=False)


def _part(rows: pd.DataFrame, layout: RowLayout) -> Part:
    columns = {}
    for column in layout.columns:
        values = rows[f"{_COLUMN}{column.name}"]
        if column.kind is ColumnKind.CATEGORICAL:
            words = pd.Categorical(values.astype(object), categories=list(column.categories))
            values = pd.Series(words, index=rows.index)
        columns[column.name] = values
    return Part(
        rows=rows[[kept_rows.CUSTOMER, "at", "window_ends_at", "answered", "exposure", "action_id"]],
        frame=pd.DataFrame(columns, columns=list(layout.names)),
        groups=rows["action_group"].to_numpy(dtype=object),
        actions=rows["action_id"].to_numpy(dtype=object),
    )
