"""MLflow shows what the ledger says, and is never asked what it is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.realtime_features import REALTIME_V1
from moment.home import Home
from serving.adapters.identifiers import utc_now
from serving.bootstrap import open_keys
from serving.bundles import About, Axis, Persona, Personas, write_segmentation
from serving.bundles.policy import write_policy
from serving.catalogue import load
from serving.catalogue.feature_columns import feature_columns
from serving.life_room import open_life
from serving.lifecycle import Model, Version
from serving.ports import Role
from serving.ports.life import Signer
from serving.use_cases.keys import create_personal_key
from serving.use_cases.life import Life
from tests.service.kit import CATALOGUE, CONTRACT
from tests.unit.serving.life_kit import PASSED, UNSURE
from training.mirror import mirror
from training.registry import register
from training.tracking import connect, run


class Registry:
    """MLflow's registry, read as somebody at its pages would."""

    def __init__(self, home: Home) -> None:
        self.client: Any = connect(home).MlflowClient()

    def aliases(self, model: Model) -> dict[str, str]:
        """Return the digest each alias stands for."""
        aliases = self.client.get_registered_model(model.value).aliases
        return {name: self.tags(model, number)["digest"] for name, number in aliases.items()}

    def tags(self, model: Model, number: str) -> dict[str, str]:
        return dict(self.client.get_model_version(model.value, number).tags)

    def tags_of(self, version: Version) -> dict[str, str]:
        (found,) = self.client.search_model_versions(
            f"name='{version.model}' and tag.digest='{version.digest}'"
        )
        return dict(found.tags)

    def changes(self, model: Model) -> list[int]:
        """Return when each version was last changed."""
        found = self.client.search_model_versions(f"name='{model}'")
        return [one.last_updated_timestamp for one in found]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory() as folder:
        yield Home(Path(folder) / "home", Path(folder) / "mlruns")


@pytest.fixture
def life(home: Home) -> Iterator[Life]:
    with open_life(home) as opened:
        yield opened


@pytest.fixture
def ada(home: Home) -> Signer:
    return person(home, "Ada Byron", Role.RISK_OFFICER)


@pytest.fixture
def carl(home: Home) -> Signer:
    return person(home, "Carl Gauss", Role.DATA_SCIENTIST)


def person(home: Home, name: str, role: Role) -> Signer:
    from serving.adapters.personal_signing import PersonalSigner

    keys = open_keys(home)
    return PersonalSigner(create_personal_key(keys, person=name, role=role, now=utc_now()).secret, keys)


def segments(home: Home, scale: float) -> Path:
    """Write two personas along the customer's spending."""
    return write_segmentation(
        home.bundles,
        model=Personas(
            axes=(Axis("spend", scale=scale),),
            centres=((0.0,), (2.0,)),
            personas=(Persona("Small", 0.5, 4), Persona("Large", 0.5, 4)),
        ),
        contract=CONTRACT,
        golden=[{"spend": 1.0}, {"spend": 90.0}],
        about=About("2026-05-01T00:00:00+00:00"),
    )


def trained(home: Home, life: Life, scale: float, carl: Signer, *, unsure: bool = False) -> Version:
    """Do what a training does: register within a run, submit, tell the gates."""
    folder = segments(home, scale)
    with run(home, "segmentation", name=f"scale {scale}") as record:
        number = register(home, folder).number
    made = life.submit(folder, carl, run_id=record.run_id, registered=number, owner="Segments team")
    return life.judge(made.model, made.digest, UNSURE if unsure else PASSED, carl)


def test_where_nothing_was_trained_there_is_nothing_to_tell(
    tmp_path: Path, home: Home, life: Life, carl: Signer
) -> None:
    life.submit(segments(home, 1.0), carl)
    elsewhere = Home(home.root, tmp_path / "mlruns")
    mirror(elsewhere, life.book())
    assert not elsewhere.mlruns.exists()


def test_aliases_and_tags_follow_the_ledger(home: Home, life: Life, ada: Signer, carl: Signer) -> None:
    first = trained(home, life, 4.0, carl)
    registry = Registry(home)
    assert "champion" not in registry.aliases(first.model)

    mirror(home, life.book())
    assert registry.aliases(first.model)["challenger"] == first.digest
    life.approve(first.model, first.digest, reason="read", by=ada)
    life.promote(first.model, first.digest, "first", carl)
    second = trained(home, life, 8.0, carl, unsure=True)
    life.accept(second.model, second.digest, ["slope"], "few answers", ada)
    mirror(home, life.book())
    aliases = registry.aliases(first.model)
    assert (aliases["champion"], aliases["challenger"]) == (first.digest, second.digest)
    tags = registry.tags_of(first)
    assert (tags["state"], tags["approval"], tags["gates"]) == ("champion", "approved", "pass")
    assert (tags["approver"], tags["made_by"]) == ("Ada Byron (risk_officer)", "Carl Gauss (data_scientist)")
    assert (tags["owner"], tags["tier"], tags["use_class"]) == ("Segments team", "2", "marketing")
    assert registry.tags_of(second)["accepted"] == "slope by Ada Byron (risk_officer): few answers"

    life.approve(second.model, second.digest, reason="read", by=ada)
    life.promote(second.model, second.digest, "better", carl)
    life.roll_back(second.model, None, "worse", carl)
    mirror(home, life.book())
    aliases = registry.aliases(first.model)
    assert (aliases["champion"], "challenger" in aliases) == (first.digest, False)
    assert registry.tags_of(second)["state"] == "former"

    acts, changed = life.seq(), registry.changes(first.model)
    mirror(home, life.book())
    assert registry.changes(first.model) == changed
    assert life.seq() == acts


def test_a_policy_is_registered_with_its_files(home: Home, life: Life, carl: Signer, tmp_path: Path) -> None:
    columns = feature_columns(CONTRACT) | feature_columns(REALTIME_V1)
    (tmp_path / "shop.yaml").write_text(CATALOGUE)
    catalogue = load(tmp_path / "shop.yaml", columns)
    about = About("2026-05-01T00:00:00+00:00", notes=("A shop.",))
    folder = write_policy(home.bundles, tmp_path / "shop.yaml", catalogue, columns, about=about)
    made = life.submit(folder, carl, reason="May")
    life.judge(made.model, made.digest, PASSED, carl)
    mlflow = connect(home)
    mirror(home, life.book())

    registry = Registry(home)
    assert registry.aliases(made.model) == {"challenger": made.digest}
    (registered,) = registry.client.search_model_versions("name='next-best-action'")
    files = {Path(one.path).name for one in registry.client.list_artifacts(registered.run_id, "bundle")}
    assert {"catalogue.yaml", "manifest.json", "signature.json"} <= files
    assert mlflow.artifacts.load_text(f"{registered.source}/catalogue.yaml") == CATALOGUE
    shown = registry.client.get_run(registered.run_id)
    assert shown.data.metrics["auc"] == 0.8
    mirror(home, life.book())
    assert len(registry.client.search_model_versions("name='next-best-action'")) == 1
