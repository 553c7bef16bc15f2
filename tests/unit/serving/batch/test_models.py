"""What a batch decides by: the ledger's champions as it began, whatever is promoted meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from moment.errors import DependencyError
from moment.home import Home
from serving.adapters.database import migrate
from serving.batch.models import Models
from serving.bundles.signing import BundleKey, sign_bundle
from serving.lifecycle import Model
from tests.service.kit import CONTRACT
from tests.service.more_versions import at_work
from tests.unit.serving.life_kit import NOW
from tests.unit.serving.test_succession import Place, digest_of


def test_a_batch_decides_by_the_champions_it_began_with(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    home.root.mkdir()
    place, key = Place(home.root), BundleKey.of_home(home.keys)
    for folder in (place.propensity(0), place.segmentation(0)):
        sign_bundle(folder, key)

    without = Models.open(home, CONTRACT)
    assert (without.policy, without.propensity.digest) == (None, digest_of(place.propensity(0)))
    assert set(without.approved(NOW).values()) == {"none"}

    migrate(home.database)
    with at_work(home) as staff:
        scorer = staff.champion(place.propensity(1))
        policy = staff.champion(place.policy(1))
        begun = Models.open(home, CONTRACT)
        assert begun.policy is not None
        versions = begun.versions(begun.policy.catalogue)
        assert (versions.propensity, versions.policy) == (scorer.digest, policy.digest)
        approval = staff.life.book().champion(Model.PROPENSITY)
        assert approval is not None
        assert approval.approval is not None
        assert begun.approved(approval.approval.at) == {
            "segmentation": "none",
            "propensity": "approved",
            "next-best-action": "approved",
        }
        assert begun.approved(approval.approval.expires_at)["propensity"] == "expired"

        staff.champion(place.propensity(2))
        again = Models.reopen(home, CONTRACT, versions)
        assert again.policy is not None
        assert again.versions(again.policy.catalogue) == versions

        # The last good one decides where the champion is damaged; what a batch began with must be whole
        folder = place.propensity(3)
        staff.champion(folder)
        (folder / "model.json").write_bytes(b"{}")
        assert Models.open(home, CONTRACT).propensity.digest == digest_of(place.propensity(0))
    (place.propensity(1) / "model.json").write_bytes(b"{}")
    with pytest.raises(DependencyError, match=r"refused \(digest\)"):
        Models.reopen(home, CONTRACT, versions)
