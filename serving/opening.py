"""The catalogue and the models that decide: where they lie, and what makes them fit what is served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from moment.errors import ConfigurationError, DependencyError
from moment.home import Home
from serving.lifecycle import Book, Model
from serving.settings import Settings

if TYPE_CHECKING:
    from features.contract import FeatureContract
    from serving.adapters.vault import Vault
    from serving.decision.catalogue import Catalogue
    from serving.decision.columns import Column
    from serving.use_cases.tracking import Tracking

PACKAGED_CATALOGUE = Path(__file__).parent / "catalogue" / "examples" / "groceries.yaml"
"""What decides where no other catalogue is named, and no next-best-action version is the champion."""


def catalogue_path(settings: Settings) -> Path:
    """Return the file of the catalogue that decides where no next-best-action version is the champion."""
    return settings.catalogue or PACKAGED_CATALOGUE


def load_catalogue(settings: Settings, contract: FeatureContract) -> Catalogue:
    """Return the catalogue of the settings, which must read nothing of the customer that no feature computes.

    Raises
    ------
    ConfigurationError
        It is wrong, every fault is listed; or it reads what the features lack.
    """
    from serving.catalogue import load

    path, columns = catalogue_path(settings), catalogue_columns(contract)
    catalogue = load(path, columns)
    missing = lacking(catalogue, columns)
    if missing:
        raise ConfigurationError(
            f"{path.name} reads {', '.join(missing)} of the customer, which the features do not have: define "
            "them as features, or name another catalogue with MOMENT_CATALOGUE"
        )
    return catalogue


def lacking(catalogue: Catalogue, columns: dict[str, Column]) -> tuple[str, ...]:
    """Return what a catalogue reads of the customer, and no feature computes."""
    from serving.catalogue.feature_columns import missing_columns

    return missing_columns(catalogue, columns)


def catalogue_columns(contract: FeatureContract) -> dict[str, Column]:
    """Return what a catalogue's rules may name of the customer, with these features in the store."""
    from features.realtime_features import REALTIME_V1
    from serving.catalogue.feature_columns import feature_columns

    return feature_columns(contract) | feature_columns(REALTIME_V1)


def open_tracking(vault: Vault) -> Tracking:
    """Return what signs tracking ids: the same in every process of a home."""
    from serving.use_cases.tracking import LABEL, Tracking

    return Tracking(vault.derived_key(LABEL))


def check_database(home: Home) -> None:
    """Refuse a home that has served and has lost its database: an empty one must not take its place.

    Raises
    ------
    DependencyError
        There is no database, but there are bundles.
    """
    if home.database.exists() or not any(home.bundles.glob("*/CURRENT")):
        return
    raise DependencyError(
        f"{home.database.name} is gone from {home.root}; restore it, or mount where it lies (where there was "
        "none yet, `moment keys create` makes it)"
    )


def ledger_decides(book: Book) -> bool:
    """Whether the ledger says which catalogue decides: it has a champion, or a person in charge."""
    return Model.NEXT_BEST_ACTION in book.claimed or book.champion(Model.NEXT_BEST_ACTION) is not None


def check_catalogue_choice(settings: Settings, book: Book) -> None:
    """Refuse a catalogue from the environment where the ledger says which one decides.

    Raises
    ------
    ConfigurationError
        MOMENT_CATALOGUE is set, and the ledger has a next-best-action champion or a person in charge.
    """
    if settings.catalogue is not None and ledger_decides(book):
        raise ConfigurationError(
            f"MOMENT_CATALOGUE names {settings.catalogue.name}, but the ledger of models says what "
            "decides; unset it, and bring changes in by `moment catalogue submit` and `… publish`"
        )
