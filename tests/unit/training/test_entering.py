"""How a trained model enters its life, on a real ledger."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from moment.home import Home
from moment.life import offices
from moment.offices import Offices
from moment.retrain_plan import Plan
from serving.adapters.identifiers import utc_now
from serving.bootstrap import open_keys
from serving.bundles import make_current
from serving.life_room import open_life, personal_signer
from serving.lifecycle import Book, Model, State
from serving.ports import Role
from serving.use_cases.keys import create_personal_key
from tests.unit.serving.life_kit import FAILED, PASSED, PROPENSITY, UNSURE, bundle
from training.entering import About, champion_bundle, enter, told
from training.gates.figures import score_champion
from training.retrain import Asked, Journal, Reason


@dataclass
class Workshop:
    """A home, its offices, and what MLflow was told."""

    home: Home
    shown: list[Book] = field(default_factory=list)

    @property
    def offices(self) -> Offices:
        return replace(offices(), mirror=lambda _, book: self.shown.append(book))

    def key(self, person: str, role: Role) -> Path:
        with closing(open_keys(self.home)) as keys:
            new = create_personal_key(keys, person=person, role=role, now=utc_now())
        path = self.home.keys / f"{role}.key"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(new.secret)
        return path


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(Home(tmp_path / "home", tmp_path / "mlruns"))


def test_the_first_of_a_model_is_installed_by_the_machine_and_says_so(shop: Workshop) -> None:
    made = bundle(shop.home.bundles, "1")
    entered = enter(shop.offices, shop.home, made, UNSURE, About(reason="demo", owner="Team"), registered="3")
    version = entered.version
    assert (entered.installed, version.state, version.approval) == (True, State.CHAMPION, None)
    assert [(gate, by.person, why) for gate, by, why in version.accepted] == [("slope", None, "demo")]
    assert (version.submitted.owner, version.submitted.registered) == ("Team", "3")
    assert "installed by the machine; approval: none" in "\n".join(told(entered))
    assert shop.shown[-1].champion(PROPENSITY) == version


def test_the_next_one_waits_for_people(shop: Workshop) -> None:
    first = enter(shop.offices, shop.home, bundle(shop.home.bundles, "1"), PASSED, About())
    second = enter(shop.offices, shop.home, bundle(shop.home.bundles, "2"), PASSED, About())
    assert (second.installed, second.version.state) == (False, State.CHALLENGER)
    assert f"moment models approve propensity {second.version.version}" in "\n".join(told(second))
    unsure = enter(shop.offices, shop.home, bundle(shop.home.bundles, "3"), UNSURE, About())
    assert f"accept propensity {unsure.version.version} --gate slope" in "\n".join(told(unsure))
    with open_life(shop.home) as life:
        assert life.book().champion(PROPENSITY) == first.version


def test_one_that_fails_its_gates_serves_nowhere(shop: Workshop) -> None:
    entered = enter(shop.offices, shop.home, bundle(shop.home.bundles, "1"), FAILED, About())
    assert (entered.installed, entered.version.state) == (False, State.CANDIDATE)
    assert "stays a candidate: slope (fail)" in "\n".join(told(entered))
    assert shop.shown[-1].champion(PROPENSITY) is None


def test_where_people_are_in_charge_the_machine_installs_nothing(shop: Workshop) -> None:
    ada = shop.key("Ada Byron", Role.RISK_OFFICER)
    with open_life(shop.home) as life:
        made = life.enter(bundle(shop.home.bundles, "1"), PASSED)
        life.reject(made.model, made.digest, "not this one", personal_signer(shop.home, ada))
    entered = enter(shop.offices, shop.home, bundle(shop.home.bundles, "2"), PASSED, About())
    assert (entered.installed, entered.version.state) == (False, State.CHALLENGER)


def test_who_trains_by_name_does_not_approve(shop: Workshop) -> None:
    key = shop.key("Carl Gauss", Role.DATA_SCIENTIST)
    entered = enter(shop.offices, shop.home, bundle(shop.home.bundles, "1"), PASSED, About(key_file=key))
    assert entered.version.made_by.person == "Carl Gauss"


def test_the_same_again_keeps_what_was_said_of_it(shop: Workshop) -> None:
    made = bundle(shop.home.bundles, "1")
    enter(shop.offices, shop.home, made, UNSURE, About(reason="demo"))
    again = enter(shop.offices, shop.home, made, PASSED, About())
    assert (again.installed, again.version.state) == (False, State.CHAMPION)
    assert again.version.gates == UNSURE
    assert "champion already" in "\n".join(told(again))


def test_its_report_is_kept_under_its_version(shop: Workshop) -> None:
    made = bundle(shop.home.bundles, "1")
    shop.home.reports.mkdir(parents=True)
    (shop.home.reports / "propensity.md").write_text(f"Propensity {made.name}")
    (shop.home.reports / "propensity.json").write_text('{"version": "another"}')
    enter(shop.offices, shop.home, made, PASSED, About())
    kept = shop.home.reports / "propensity"
    assert (kept / f"{made.name}.md").read_text() == f"Propensity {made.name}"
    assert not (kept / f"{made.name}.json").exists()


def test_what_a_new_one_is_held_against(shop: Workshop) -> None:
    assert champion_bundle(shop.offices, shop.home, Model.PROPENSITY) is None
    old, new = bundle(shop.home.bundles, "0"), bundle(shop.home.bundles, "1")
    make_current(old)
    assert champion_bundle(shop.offices, shop.home, Model.PROPENSITY) == old
    enter(shop.offices, shop.home, new, PASSED, About())
    assert champion_bundle(shop.offices, shop.home, Model.PROPENSITY) == new


def test_a_champion_that_is_gone_from_here_is_what_a_new_one_is_held_against(shop: Workshop) -> None:
    old, champion = bundle(shop.home.bundles, "0"), bundle(shop.home.bundles, "1")
    enter(shop.offices, shop.home, champion, PASSED, About())
    make_current(old)
    shutil.rmtree(champion)
    asked = Asked(models=("propensity",))
    begun = Journal(retraining_id="r", asked=asked, reason=Reason.HAND, started_at=utc_now(), process=1)

    held = champion_bundle(shop.offices, shop.home, Model.PROPENSITY)

    assert held == champion
    assert Plan(shop.home, shop.offices, begun, None).champion("propensity") == champion
    nobody = np.array([], dtype=object)
    scored = score_champion(held, pd.DataFrame(), nobody, nobody)
    assert scored is not None
    assert scored.probability is None
    assert "cannot be opened (missing_file)" in scored.why
