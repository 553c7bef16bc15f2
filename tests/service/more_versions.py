"""Other versions of the models of a small home, and the people who see to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moment.home import Home
from serving.adapters.sqlite_keys import SqliteKeys
from serving.bootstrap import PACKAGED_CATALOGUE, catalogue_columns
from serving.bundles import (
    About,
    Calibration,
    GoldenRows,
    Kind,
    PriorModel,
    PropensityContent,
    current,
    open_propensity,
    write_policy,
    write_propensity,
)
from serving.bundles.signing import BundleKey, sign_bundle
from serving.catalogue import load
from serving.life_room import open_life
from serving.lifecycle import Model, Version
from serving.ports import Role
from serving.ports.life import Signer
from serving.use_cases.life import Life
from tests.unit.serving.life_kit import PASSED, personal

ABOUT = About(created_at="2018-02-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Staff:
    """The life of a home's models, and three people who take part in it."""

    life: Life
    carl: Signer
    ada: Signer
    olga: Signer

    def approved(self, bundle: Path, *, days: int = 365) -> Version:
        """Bring a bundle to an approval: it is Carl's, Ada approves it."""
        made = self.life.submit(bundle, self.carl)
        self.life.judge(made.model, made.digest, PASSED, self.carl)
        return self.life.approve(made.model, made.digest, days=days, reason="read the report", by=self.ada)

    def champion(self, bundle: Path, *, days: int = 365) -> Version:
        """Bring a bundle to serve."""
        made = self.approved(bundle, days=days)
        return self.life.promote(made.model, made.digest, "better", self.olga)

    def roll_back(self, model: Model) -> Version:
        """Go back to the champion before."""
        return self.life.roll_back(model, None, "worse than it looked", self.olga)


@contextmanager
def at_work(home: Home) -> Iterator[Staff]:
    """Open the life of a home's models to people who have keys of their own."""
    with open_life(home) as life:
        keys = SqliteKeys(home.database)
        try:
            yield Staff(
                life,
                personal(keys, "Carl Gauss", Role.DATA_SCIENTIST),
                personal(keys, "Ada Byron", Role.RISK_OFFICER),
                personal(keys, "Olga Ladyzhenskaya", Role.OPERATOR),
            )
        finally:
            keys.close()


def propensity(home: Home, number: int) -> Path:
    """Write a propensity model that says the same of everything; another number, another version."""
    like = open_propensity(current(home.bundles, "propensity"))
    columns = len(like.layout.columns)
    content = PropensityContent(
        kind=Kind.PRIOR,
        model=PropensityContent.of_prior(PriorModel(-4.0 - number / 100)),
        layout=like.layout,
        contract=like.contract,
        calibration=Calibration(1.0, 0.0),
        golden=GoldenRows(np.zeros((1, columns), np.float32), ("meat",), ("coupon-beef",)),
        libraries={"numpy": np.__version__},
    )
    return signed(home, write_propensity(home.bundles, content, ABOUT))


def policy(home: Home, number: int) -> Path:
    """Write the packaged groceries without chance and limits as a policy; another number, another lever."""
    contract = open_propensity(current(home.bundles, "propensity")).contract
    text = PACKAGED_CATALOGUE.read_text("utf-8")
    text, explored = re.subn(r"^exploration: .*$", "exploration: greedy", text, flags=re.MULTILINE)
    limits = "contact_policies:\n  often: {limit: 100000, window: 7d}\n"
    text, policies = re.subn(r"^contact_policies:\n(?:[ #].*\n)+", limits, text, flags=re.MULTILINE)
    text, named = re.subn(r"^catalogue: .*$", f"catalogue: groceries {number}", text, flags=re.MULTILINE)
    assert (explored, policies, named) == (1, 1, 1)
    source = home.root / f"groceries-{number}.yaml"
    source.write_text(text, "utf-8")
    columns = catalogue_columns(contract)
    return signed(home, write_policy(home.bundles, source, load(source, columns), columns, about=ABOUT))


def signed(home: Home, folder: Path) -> Path:
    """Sign a bundle with the home's own key, and return its folder."""
    sign_bundle(folder, BundleKey.of_home(home.keys))
    return folder
