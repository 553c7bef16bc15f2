"""Making a segmentation again: its recipe and customers kept when it was made, its bundle made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from features import kept_rows
from features.contract import DType, FeatureContract
from moment.home import Home
from serving.bundles import About, SegmentationBundle, write_segmentation
from training import archive
from training.archive import Recipe
from training.models.segmentation import Phrase, SegmentationModel
from training.pipelines.segmentation import nodes
from training.pipelines.segmentation.settings import PhraseSettings, SegmentationSettings

MODEL = "segmentation"

_COLUMN = "column."


class _Fit(msgspec.Struct, frozen=True):
    """The part of the settings that decides what the personas are, their number being known."""

    features: tuple[str, ...]
    categorical_weight: float
    noun: str
    weights: Mapping[str, float]
    phrases: tuple[PhraseSettings, ...]


def keep(
    home: Home,
    identities: Sequence[str],
    customers: pd.DataFrame,
    *,
    model: SegmentationModel,
    settings: SegmentationSettings,
    bundle: SegmentationBundle,
    data_digest: str,
) -> None:
    """Keep the customers a segmentation was fitted on, and how it was made of them.

    Parameters
    ----------
    identities, customers
        Who they are and the model's columns, aligned, in the order in which it saw them.
    """
    fit = _Fit(
        settings.features,
        settings.categorical_weight,
        settings.noun,
        dict(settings.weights),
        settings.phrases,
    )
    recipe = Recipe(
        model=MODEL,
        digest=bundle.digest,
        kind=bundle.manifest.kind,
        rows=kept_rows.keep(home, _to_table(identities, customers)),
        seed=settings.seed,
        settings=msgspec.Raw(msgspec.json.encode(fit)),
        found={"personas": model.n_clusters_},
        contract=bundle.contract.dumps(),
        data_digest=data_digest,
        libraries=archive.libraries(),
        machine=archive.machine(),
        code=archive.code(),
    )
    archive.keep_recipe(home, recipe)


def rebuild(recipe: Recipe, rows: pa.Table, bundles: Path) -> Path:
    """Fit what a recipe says on kept rows, write the bundle among ``bundles``, and return its folder."""
    fit = msgspec.json.decode(recipe.settings, type=_Fit)
    contract = FeatureContract.loads(recipe.contract)
    customers = _from_table(rows, fit.features, contract)
    model = SegmentationModel(
        clusters=(int(str(recipe.found["personas"])),),
        pairs=2,
        categorical_weight=fit.categorical_weight,
        weights=dict(fit.weights) or None,
        phrases=phrases(fit.phrases),
        noun=fit.noun,
        random_state=recipe.seed,
    ).fit(customers)
    return write_segmentation(
        bundles,
        model=model.to_state(),
        contract=contract,
        golden=nodes.golden_customers(customers, seed=recipe.seed),
        about=About(created_at=""),
    )


def phrases(told: Sequence[PhraseSettings]) -> tuple[Phrase, ...]:
    """Return phrases as the model takes them."""
    return tuple(
        Phrase(item.column, item.high, item.low, item.topic, item.levels, item.noun) for item in told
    )


def _to_table(identities: Sequence[str], customers: pd.DataFrame) -> pa.Table:
    """Return customers as they are kept: words as words, their categories are the contract's."""
    columns = {
        f"{_COLUMN}{name}": values.astype(object).where(values.notna(), None)
        if isinstance(values.dtype, pd.CategoricalDtype)
        else values
        for name, values in customers.items()
    }
    named = pd.Series(list(identities), index=customers.index, dtype=object)
    return pa.Table.from_pandas(pd.DataFrame({kept_rows.CUSTOMER: named, **columns}), preserve_index=False)


def _from_table(rows: pa.Table, names: Sequence[str], contract: FeatureContract) -> pd.DataFrame:
    whole = rows.to_pandas()
    specs = {spec.name: spec for spec in contract}
    columns = {}
    for name in names:
        values = whole[f"{_COLUMN}{name}"]
        if specs[name].dtype is DType.STRING:
            words = pd.Categorical(values.astype(object), categories=list(specs[name].categories))
            columns[name] = pd.Series(words, index=whole.index)
        else:
            columns[name] = values.astype(np.float64)
    return pd.DataFrame(columns)
