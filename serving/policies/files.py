"""Decision policies on the disk of this home: what decides now, versions' catalogues, recorded requests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from moment.errors import ConfigurationError
from moment.home import Home
from serving.bundles.policy import PolicyBundle, open_policy
from serving.commands.models_view import folder_of
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column
from serving.lifecycle import Book, Model, Version

if TYPE_CHECKING:
    from serving.records import DecisionRecord


def columns_served() -> dict[str, Column]:
    """Return what rules may name of the customer: the features that are defined here."""
    from features.definitions import customer_contract
    from serving.bootstrap import catalogue_columns

    return catalogue_columns(customer_contract())


def read_catalogue(path: Path, columns: Mapping[str, Column]) -> Catalogue:
    """Read a catalogue that is to decide.

    Raises
    ------
    ConfigurationError
        It is wrong, every fault is listed; or it reads what the features lack.
    """
    from serving.catalogue import load
    from serving.catalogue.feature_columns import missing_columns

    catalogue = load(path, columns)
    missing = missing_columns(catalogue, columns)
    if missing:
        raise ConfigurationError(
            f"{path.name} reads {', '.join(missing)} of the customer, which the features do not have: define "
            "them as features first"
        )
    return catalogue


def policy_of(home: Home, version: Version) -> PolicyBundle:
    """Open a version of the decision policy."""
    return open_policy(folder_of(home, version))


def champion_policy(home: Home) -> PolicyBundle | None:
    """Open the decision policy that the ledger names champion; None where it names none.

    A home that has no ledger yet is left as it is.
    """
    from serving.life_room import open_life

    if not home.database.is_file():
        return None
    with open_life(home) as life:
        champion = life.book().champion(Model.NEXT_BEST_ACTION)
    return None if champion is None else policy_of(home, champion)


def live_catalogue(home: Home, book: Book, columns: Mapping[str, Column] | None = None) -> Catalogue:
    """Return the catalogue that decides: the champion's, or the one of the settings where there is none."""
    champion = book.champion(Model.NEXT_BEST_ACTION)
    if champion is not None:
        return policy_of(home, champion).catalogue
    from serving.bootstrap import catalogue_path
    from serving.settings import Settings

    return read_catalogue(catalogue_path(Settings.read()), columns_served() if columns is None else columns)


def recorded_requests(home: Home, most: int) -> tuple[DecisionRecord, ...]:
    """Return the newest decisions that counted, with what was known then.

    One whose personal part is gone cannot be decided again, and is not among them.
    """
    from contextlib import closing

    from serving.adapters.sqlite_journal import SqliteJournal, Wanted
    from serving.adapters.sqlite_records import SqliteRecords
    from serving.adapters.vault import Vault
    from serving.records import Mode

    vault = Vault.open(home)
    with (
        closing(SqliteJournal(home.database, vault)) as journal,
        closing(SqliteRecords(home.database, vault)) as kept,
    ):
        newest = journal.newest(Wanted(mode=Mode.LIVE), most)
        found = (kept.find(one.record.decision_id) for one in newest)
        return tuple(record for record in found if record is not None and record.personal is not None)
