"""What single models take, refuse and answer; who opens them; what a Bento brings where it runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from features.contract import DType, FeatureContract, FeatureSpec, Purpose
from moment.errors import ConfigurationError, DependencyError, InvalidRequest, MomentError, Overloaded
from moment.home import Home
from serving.adapters.database import migrate
from serving.adapters.identifiers import utc_now
from serving.adapters.sqlite_keys import SqliteKeys
from serving.bundles import (
    Kind,
    PropensityBundle,
    current,
    make_current,
    open_propensity,
    open_segmentation,
    write_propensity,
)
from serving.bundles.signing import TRUST_FILE, BundleKey
from serving.lifecycle import Book, Model
from serving.packaging.packaged import VARIABLE, Packaged, in_service, move_in, or_refuse, settle
from serving.packaging.reach import reach
from serving.packaging.requirements import Lock
from serving.ports import Scope
from serving.records import Mode
from serving.services.batching import answer, batched
from serving.services.columns import facts_of
from serving.services.doors import VARIABLE as KEY_VARIABLE
from serving.services.doors import open_door
from serving.services.opening import open_shelf
from serving.services.scoring import NextBestActionScoring, PropensityScoring, Scoring, SegmentationScoring
from serving.settings import Settings
from serving.use_cases.keys import create_key
from tests.service.kit import catalogue
from tests.unit.serving.bundle_kit import ABOUT, CONTRACT, content, segmentation

NOW = datetime(2026, 5, 1, 18, 30, tzinfo=UTC)
ANNA = {"spend": 80.0, "age": 40, "size": "large"}
ROW: dict[str, Any] = {"features": ANNA, "actions": ["coupon-tea", "coupon-ham"]}
MOMENT: dict[str, Any] = {
    "features": ANNA,
    "channel": "web",
    "placements": [{"name": "home"}],
    "purposes": ["profiling"],
    "at": "2026-05-01T18:30:00Z",
    "seed": 7,
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> PropensityBundle:
    return open_propensity(write_propensity(tmp_path_factory.mktemp("bundles"), content(), ABOUT))


@pytest.fixture
def propensity(trees: PropensityBundle) -> PropensityScoring:
    return PropensityScoring(trees, catalogue())


@pytest.fixture
def personas(tmp_path: Path) -> SegmentationScoring:
    return SegmentationScoring(open_segmentation(segmentation(tmp_path)))


@pytest.fixture
def policy(trees: PropensityBundle, tmp_path: Path) -> NextBestActionScoring:
    bundle = open_segmentation(segmentation(tmp_path))
    return NextBestActionScoring(catalogue(), trees, bundle, lambda: NOW)


def asked(scoring: Scoring, *rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Check rows, and answer them as BentoML hands them over."""
    body = json.dumps({"rows": rows}).encode()
    scoring.check(body)
    answers: list[dict[str, Any]] = json.loads(msgspec.json.encode(scoring.score(json.loads(body)["rows"])))
    return answers


def refused(scoring: Scoring, row: Mapping[str, Any]) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as caught:
        scoring.check(json.dumps({"rows": [row]}).encode())
    return caught.value.code, caught.value.field


def test_a_score_is_the_bundles_whoever_else_is_in_the_batch(
    trees: PropensityBundle, propensity: PropensityScoring
) -> None:
    others = [{"features": ANNA | {"spend": float(n)}, "actions": ["coupon-jam"]} for n in range(20)]
    alone, among = asked(propensity, ROW), asked(propensity, *others, ROW, {**ROW, "features": None})
    matrix = np.array([[80.0, 40.0, 2.0]] * 2, dtype=np.float32)
    expected = trees.score(matrix, ["grocery", "deli"], ["coupon-tea", "coupon-ham"])
    assert alone[0] == among[20] != among[21]
    assert [one["raw"] for one in alone[0]["scores"]] == expected.raw.tolist()
    assert [one["propensity"] for one in alone[0]["scores"]] == expected.calibrated.tolist()
    assert [one["action"] for one in alone[0]["scores"]] == ROW["actions"]
    assert propensity.versions == {"version": trees.digest, "catalogue": catalogue().digest}


def test_the_order_of_features_means_nothing(propensity: PropensityScoring) -> None:
    turned = dict(reversed(ANNA.items()))
    assert asked(propensity, ROW) == asked(propensity, ROW | {"features": turned})


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        ({"features": {"spend": 1.0, "age": 2}}, "missing-field", "rows[0].features.size"),
        ({"features": ANNA | {"shoes": 44}}, "unknown-field", "rows[0].features.shoes"),
        ({"features": ANNA | {"age": 40.5}}, "invalid-value", "rows[0].features.age"),
        ({"features": ANNA | {"age": True}}, "invalid-value", "rows[0].features.age"),
        ({"features": ANNA | {"spend": "80"}}, "invalid-value", "rows[0].features.spend"),
        ({"features": ANNA | {"size": ["large"]}}, "invalid-value", "rows[0].features.size"),
        ({"actions": ["coupon-nothing"]}, "unknown-action", "rows[0].actions[0]"),
        ({"actions": ["coupon-tea", "coupon-tea"]}, "invalid-value", "rows[0].actions[1]"),
        ({"actions": []}, "invalid-value", "rows[0].actions"),
        ({"slots": 0}, "invalid-value", "rows[0].slots"),
        ({"customer_id": "anna"}, "unknown-field", "rows[0].customer_id"),
    ],
)
def test_a_wrong_column_is_an_error_with_its_path(
    propensity: PropensityScoring, row: dict[str, Any], code: str, field: str
) -> None:
    found, where = refused(propensity, ROW | row)
    assert (found, (where or "").replace("[]", "[0]")) == (code, field.replace("[]", "[0]"))


def test_numbers_without_a_point_are_numbers_and_null_is_missing(propensity: PropensityScoring) -> None:
    whole = asked(propensity, ROW | {"features": ANNA | {"spend": 80}})
    assert whole == asked(propensity, ROW)
    unknown = asked(propensity, ROW | {"features": dict.fromkeys(ANNA)})
    assert unknown == asked(propensity, ROW | {"features": None})


def test_lists_must_belong_together() -> None:
    def spec(name: str, dtype: DType) -> FeatureSpec:
        return FeatureSpec(name, dtype, "", Purpose.PROFILING, "", "", "view", timedelta(days=1))

    contract = FeatureContract(
        "c", (spec("category_names", DType.STRING_LIST), spec("category_spend", DType.FLOAT_LIST))
    )
    facts = facts_of({"category_names": ["TEA", "JAM"], "category_spend": [1, 2.5]}, contract, "f")
    assert facts.values == {"category_names": ("TEA", "JAM"), "category_spend": (1, 2.5)}
    for wrong in (
        {"category_names": ["TEA"], "category_spend": [1.0, 2.0]},
        {"category_names": ["TEA", "TEA"], "category_spend": [1.0, 2.0]},
        {"category_names": ["TEA"], "category_spend": ["1"]},
    ):
        with pytest.raises(InvalidRequest) as caught:
            facts_of(wrong, contract, "f")
        assert caught.value.code == "invalid-value"


def test_a_persona_comes_with_the_distance_to_all(personas: SegmentationScoring) -> None:
    rich, poor, unknown = asked(
        personas,
        {"features": ANNA | {"spend": 200.0}},
        {"features": ANNA | {"spend": 4.0, "size": "small"}},
        {"features": {**ANNA, "spend": None, "size": None}},
    )
    assert (rich["persona"], poor["persona"]) == ("Large families", "Small baskets")
    assert [one["persona"] for one in rich["nearest"]] == ["Large families", "Small baskets"]
    assert rich["nearest"][0]["distance"] < rich["nearest"][1]["distance"]
    assert unknown == {"persona": None, "nearest": []}
    assert refused(personas, {"features": {}}) == ("missing-field", "rows[0].features.spend")


def test_a_policy_picks_by_the_row_alone(policy: NextBestActionScoring) -> None:
    first, again, other = asked(policy, MOMENT, MOMENT, MOMENT | {"features": None})
    assert first == again
    offers = first["placements"][0]["offers"]
    assert first["segment"] == "Large families"
    assert [one["rank"] for one in offers] == [1, 2]
    assert offers[0]["priority"] >= offers[1]["priority"]
    assert all(one["action_probability"] == 1.0 for one in offers)
    assert {one["action"] for one in offers} <= {"coupon-tea", "coupon-jam", "coupon-ham", "coupon-soup"}
    assert (other["profile"], other["segment"]) == ("none", None)


def test_what_is_not_consented_to_is_unknown_to_a_policy(policy: NextBestActionScoring) -> None:
    masked = asked(policy, MOMENT | {"purposes": []})[0]
    assert masked["segment"] is None
    assert {one["action"] for one in masked["placements"][0]["offers"]} <= {"coupon-jam", "hello"}


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"channel": "fax"}, "unknown-channel", "rows[0].channel"),
        ({"placements": [{"name": "roof"}]}, "unknown-placement", "rows[0].placements[0].name"),
        ({"context": {"mood": "good"}}, "unknown-context", "rows[0].context.mood"),
        ({"context": {"weather": ["rain"]}}, "invalid-value", "rows[0].context.weather"),
        ({"at": "tomorrow"}, "invalid-value", "rows[0].at"),
        ({"at": "1812-01-01T00:00:00Z"}, "time-out-of-range", "rows[0].at"),
    ],
)
def test_what_a_policy_cannot_be_asked_is_named(
    policy: NextBestActionScoring, change: dict[str, Any], code: str, field: str
) -> None:
    assert refused(policy, MOMENT | change) == (code, field)


@pytest.mark.parametrize(("status", "error"), [(503, Overloaded), (500, DependencyError), (400, MomentError)])
def test_bentomls_own_answers_never_come_through(status: int, error: type[Exception]) -> None:
    async def inside(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        assert scope["path"] == "/rows"
        assert (await receive())["body"] == b"{}"
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"its own words"})

    with pytest.raises(error) as caught:
        asyncio.run(batched(inside, b"{}", None))
    assert "its own words" not in str(caught.value)
    assert json.loads(answer({"version": "v"}, b'[{"a": 1}]')) == {"version": "v", "rows": [{"a": 1}]}


def test_no_key_no_start(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "mlruns")
    with pytest.raises(ConfigurationError, match="never starts open"):
        open_door(home, Settings(), {})
    with pytest.raises(ConfigurationError, match="64 hexadecimal"):
        open_door(home, Settings(), {KEY_VARIABLE: "secret"})
    assert not home.database.exists()


def test_a_key_named_by_its_digest_reads_scores_and_nothing_else(tmp_path: Path) -> None:
    digests = ",".join(hashlib.sha256(one.encode()).hexdigest() for one in ("old", "new"))
    door = open_door(Home(tmp_path, tmp_path), Settings(), {KEY_VARIABLE: digests})
    assert door("new").scopes == door("old").scopes == {Scope.READ_SCORES}
    with pytest.raises(InvalidRequest, match=KEY_VARIABLE):
        door("newer")


def test_a_homes_key_with_the_scope_opens_too(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "mlruns")
    migrate(home.database)
    keys = SqliteKeys(home.database)

    def make(scope: Scope) -> str:
        made = create_key(
            keys, mode=Mode.LIVE, scopes=frozenset({scope}), channel=None, label="", now=utc_now()
        )
        return made.secret

    make(Scope.DECIDE)
    with pytest.raises(ConfigurationError, match="never starts open"):
        open_door(home, Settings(), {})
    secret = make(Scope.READ_SCORES)
    door = open_door(home, Settings(), {})
    assert Scope.READ_SCORES in door(secret).scopes
    door.close()
    keys.close()


@pytest.fixture
def brought(tmp_path: Path) -> Packaged:
    """A Bento's folder with both models, and who vouches for them."""
    root = tmp_path / "src" / "packaged"
    make_current(write_propensity(root / "bundles", content(Kind.LOGISTIC), ABOUT))
    make_current(segmentation(root / "bundles"))
    keys = tmp_path / "elsewhere"
    BundleKey.of_home(keys)
    (root / TRUST_FILE).write_bytes((keys / TRUST_FILE).read_bytes())
    (root / "catalogue.yaml").write_text("catalogue: shop\n")
    return Packaged(root)


def test_a_home_without_champions_takes_what_a_bento_brought(tmp_path: Path, brought: Packaged) -> None:
    home, told = Home(tmp_path / "home", tmp_path / "mlruns"), dict[str, str]()
    assert move_in(home, {}) == ()
    settle(brought.root.parent, told)
    assert (told[VARIABLE], told["TZ"], told["BENTOML_DO_NOT_TRACK"]) == (str(brought.root), "UTC", "True")
    assert move_in(home, told) == (Model.SEGMENTATION, Model.PROPENSITY)
    assert in_service(home, Book(), Model.PROPENSITY).name == current(brought.bundles, "propensity").name
    assert (home.keys / TRUST_FILE).read_bytes() == brought.trust.read_bytes()
    assert told["MOMENT_CATALOGUE"] == str(brought.catalogue)

    # Another Bento's model takes its place, and the one before stays for the records that cite it
    before = current(home.bundles, "propensity")
    make_current(write_propensity(brought.bundles, content(Kind.PRIOR), ABOUT))
    move_in(home, told)
    assert current(home.bundles, "propensity").name == current(brought.bundles, "propensity").name
    assert before.is_dir()


def test_a_home_that_believes_somebody_goes_on_believing_them(tmp_path: Path, brought: Packaged) -> None:
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    BundleKey.of_home(home.keys)
    own = (home.keys / TRUST_FILE).read_bytes()
    move_in(home, {VARIABLE: str(brought.root)})
    assert (home.keys / TRUST_FILE).read_bytes() == own
    shelf = open_shelf(home, {VARIABLE: str(brought.root)})
    assert shelf.trusted.dumps() == brought.trust.read_bytes()
    with pytest.raises(DependencyError, match="refused"):
        shelf.propensity()


def test_a_refusal_before_the_start_is_one_line() -> None:
    def act() -> None:
        raise DependencyError("something is missing; bring it")

    with pytest.raises(SystemExit, match=r"^moment: something is missing; bring it$"):
        or_refuse(act)


def test_reach_follows_functions_and_leaves_type_checking_out(tmp_path: Path) -> None:
    files = {
        "ours/__init__.py": "",
        "ours/a.py": "from ours import b\nimport json\nif TYPE_CHECKING:\n    import never\n",
        "ours/b.py": "def f():\n    import other.part\n    from theirs import x\n",
        "ours/c.py": "import unseen\n",
        "theirs/__init__.py": "import beyond\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = reach(tmp_path, ["ours.a"], ["ours"])
    assert found.modules == {"ours", "ours.a", "ours.b"}
    assert found.others == {"other"}


def test_a_lock_is_cut_down_to_what_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "requirements.lock"
    path.write_text(
        "big==1\n    # via moment (pyproject.toml)\ncuda-x==2\n    # via big\n"
        "num.py==3 ; python_version < '3.12'\n    # via\n    #   big\n    #   other\n"
        "num.py==4 ; python_version >= '3.12'\n    # via\n    #   big\n"
        "other==5\n    # via moment (pyproject.toml)\n"
    )
    lock = Lock.read(path)
    assert lock.closure({"Big"}, {"cuda_x"}) == (
        "big==1",
        "num.py==3 ; python_version < '3.12'",
        "num.py==4 ; python_version >= '3.12'",
    )
    with pytest.raises(DependencyError, match="does not pin nothing"):
        lock.closure({"nothing"})
    with pytest.raises(DependencyError, match="checkout"):
        Lock.read(tmp_path / "none.lock")


def test_every_contract_feature_is_asked_for(trees: PropensityBundle) -> None:
    assert trees.contract == CONTRACT
    facts = facts_of(ANNA, CONTRACT, "f")
    assert list(facts.values) == list(CONTRACT.names)
