"""Nobody's bundle is opened but that of a key on the list; what else it is, its refusal says by name."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moment.errors import ConfigurationError
from serving.bundles import (
    About,
    BundleKey,
    BundleRefused,
    Kind,
    Refusal,
    Trust,
    open_propensity,
    read_manifest,
    sign_bundle,
    verify_signature,
    write_propensity,
)
from serving.bundles.signing import KEY_FILE, TRUST_FILE, TRUST_VARIABLE
from tests.unit.serving.bundle_kit import ABOUT, content, segmentation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_propensity(tmp_path / "bundles", content(Kind.LOGISTIC), ABOUT)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def refusal(folder: Path, trusted: Trust) -> Refusal:
    with pytest.raises(BundleRefused) as caught:
        open_propensity(folder, trusted=trusted)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def trust_of(*keys: BundleKey) -> Trust:
    return Trust({key.public_key: f"key {number}" for number, key in enumerate(keys)})


def test_what_a_trusted_key_signed_opens_and_says_whose_key_it_was(folder: Path) -> None:
    mine, yours = BundleKey.new(), BundleKey.new()
    before = read_manifest(folder).digest
    sign_bundle(folder, yours)
    assert verify_signature(folder, read_manifest(folder), trust_of(mine, yours)) == "key 1"
    assert open_propensity(folder, trusted=trust_of(mine, yours)).digest == before
    sign_bundle(folder, mine)
    assert verify_signature(folder, read_manifest(folder), trust_of(mine, yours)) == "key 0"


def test_an_unsigned_bundle_is_refused_with_the_command_that_signs_it(folder: Path) -> None:
    assert refusal(folder, trust_of(BundleKey.new())) is Refusal.UNSIGNED
    with pytest.raises(BundleRefused, match=f"moment models sign propensity {folder.name}"):
        open_propensity(folder, trusted=trust_of())


def test_a_key_that_is_not_listed_is_refused(folder: Path) -> None:
    sign_bundle(folder, BundleKey.new())
    assert refusal(folder, trust_of(BundleKey.new())) is Refusal.UNTRUSTED


def test_the_signature_of_another_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    key = BundleKey.new()
    other = segmentation(tmp_path / "bundles")
    sign_bundle(other, key)
    (folder / "signature.json").write_bytes((other / "signature.json").read_bytes())
    assert refusal(folder, trust_of(key)) is Refusal.SIGNATURE


def test_what_is_told_about_a_bundle_is_signed_though_it_is_not_in_its_digest(folder: Path) -> None:
    key = BundleKey.new()
    sign_bundle(folder, key)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["about"]["metrics"]["auc"] = 0.99
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert refusal(folder, trust_of(key)) is Refusal.SIGNATURE


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"public_key": 1, "signature": 2}',
        b'{"public_key": "AAAA", "signature": "AAAA"}',
        b"[" * 4000,
        b"{" + b" " * 5000 + b"}",
        b"\xff\xfe",
    ],
)
def test_what_is_no_signature_is_refused(folder: Path, text: bytes) -> None:
    (folder / "signature.json").write_bytes(text)
    assert refusal(folder, trust_of(BundleKey.new())) in {Refusal.SIGNATURE, Refusal.FORMAT}


def test_the_signature_is_looked_at_before_any_file_is_read(folder: Path) -> None:
    """No file is missed where nobody vouches for the bundle: nothing of it was opened."""
    (folder / "model.json").unlink()
    assert refusal(folder, trust_of(BundleKey.new())) is Refusal.UNSIGNED


def test_a_homes_key_is_made_once_is_its_owners_alone_and_is_trusted(keys: Path, folder: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: BundleKey.of_home(keys).public_key, range(16)))
    assert len(made) == 1
    assert stat.S_IMODE((keys / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert not list(keys.glob(".*"))
    sign_bundle(folder, BundleKey.of_home(keys))
    assert open_propensity(folder, trusted=Trust.of_home(keys, {})).version == folder.name
    assert verify_signature(folder, read_manifest(folder), Trust.of_home(keys, {})) == "this machine"


def test_a_key_taken_off_the_list_stays_off(keys: Path) -> None:
    BundleKey.of_home(keys)
    (keys / TRUST_FILE).write_text("[]")
    BundleKey.of_home(keys)
    assert Trust.of_home(keys, {}).names == {}


def test_another_list_holds_instead_of_the_homes_own(keys: Path, tmp_path: Path, folder: Path) -> None:
    own, trainer = BundleKey.of_home(keys), BundleKey.new()
    named = tmp_path / "trusted.json"
    named.write_bytes(Trust({trainer.public_key: "trainer"}).dumps())
    trusted = Trust.of_home(keys, {TRUST_VARIABLE: str(named)})
    assert trusted.names == {trainer.public_key: "trainer"}
    sign_bundle(folder, own)
    assert refusal(folder, trusted) is Refusal.UNTRUSTED
    sign_bundle(folder, trainer)
    assert open_propensity(folder, trusted=trusted).version == folder.name


def test_a_home_that_never_signed_trusts_nobody_and_says_so(keys: Path) -> None:
    assert Trust.of_home(keys, {}).names == {}
    assert Trust.of_home_if_any(keys, {}) is None
    BundleKey.of_home(keys)
    assert Trust.of_home_if_any(keys, {}) == Trust.of_home(keys, {})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda keys: (keys / KEY_FILE).write_text("not a key"),
        lambda keys: (keys / KEY_FILE).write_bytes(b"\xff" * 44),
        lambda keys: (keys / TRUST_FILE).write_text('{"name": "me"}'),
        lambda keys: (keys / TRUST_FILE).write_text('[{"name": "me", "public_key": "AAAA"}]'),
    ],
)
def test_what_is_no_key_and_no_list_says_so(keys: Path, spoil: Callable[[Path], object]) -> None:
    BundleKey.of_home(keys)
    spoil(keys)
    with pytest.raises(ConfigurationError, match=r"bundles\.(key|trusted\.json)"):
        _ = BundleKey.of_home(keys), Trust.of_home(keys, {})


def test_a_list_that_is_named_must_be_there(keys: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=TRUST_VARIABLE):
        Trust.of_home(keys, {TRUST_VARIABLE: str(tmp_path / "nowhere.json")})


def test_signing_changes_no_version(folder: Path, tmp_path: Path) -> None:
    sign_bundle(folder, BundleKey.new())
    again = write_propensity(tmp_path / "bundles", content(Kind.LOGISTIC), About(created_at="2027-01-01"))
    assert again == folder
    assert (folder / "signature.json").exists()
