"""Tokens of an identity provider: what opens, and everything that must not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from moment.errors import ConfigurationError
from serving.adapters.jwt_tokens import LEEWAY_SECONDS, LONGEST, PATIENCE, JwtTokens, Trust
from serving.ports import Scope, TokenClaims
from serving.records import Mode

NOW = datetime(2026, 5, 1, 18, 30, tzinfo=UTC)
LEEWAY = timedelta(seconds=LEEWAY_SECONDS)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE: Mapping[str, Any] = {"ec": EC_KEY, "ec-2": OTHER_EC_KEY, "ed": ED_KEY, "rsa": RSA_KEY}
ALGORITHM = {"ec": "ES256", "ec-2": "ES256", "ed": "EdDSA", "rsa": "RS256"}


def public(kid: str, **changes: object) -> dict[str, Any]:
    key = PRIVATE[kid].public_key()
    match ALGORITHM[kid]:
        case "ES256":
            described = ECAlgorithm.to_jwk(key, as_dict=True)
        case "EdDSA":
            described = OKPAlgorithm.to_jwk(key, as_dict=True)
        case _:
            described = RSAAlgorithm.to_jwk(key, as_dict=True)
    return {**described, "kid": kid, **changes}


def write(path: Path, *keys: Mapping[str, Any]) -> Path:
    """Replace the file at once, as an operator should."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"keys": list(keys)}))
    new.replace(path)
    return path


def claims(**changes: object) -> dict[str, Any]:
    usual = {
        "iss": "https://login.example",
        "aud": "moment",
        "sub": "web-shop",
        "nbf": int(NOW.timestamp()) - 60,
        "exp": int(NOW.timestamp()) + 300,
        "scope": "openid decisions:write scores:read",
        "moment_mode": "live",
        "moment_channel": "web",
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def signed(kid: str = "ec", headers: Mapping[str, object] | None = None, **changes: object) -> str:
    return jwt.encode(
        claims(**changes), PRIVATE[kid], ALGORITHM[kid], headers={"kid": kid, **(headers or {})}
    )


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    jwks = write(tmp_path / "jwks.json", public("ec"), public("ed"), public("rsa"))
    return Trust(jwks, issuer="https://login.example", audience="moment")


@pytest.fixture
def tokens(trust: Trust) -> JwtTokens:
    return JwtTokens(trust)


@pytest.mark.parametrize("kid", ["ec", "ed", "rsa"])
def test_a_token_signed_by_a_known_key_says_who_sends_it(tokens: JwtTokens, kid: str) -> None:
    read = tokens.read(signed(kid), NOW)
    assert read is not None
    assert read == TokenClaims(
        read.key_id, Mode.LIVE, frozenset({Scope.DECIDE, Scope.READ_SCORES}), channel="web"
    )


def test_the_sender_is_told_apart_without_being_named(tokens: JwtTokens) -> None:
    first, again, other = (tokens.read(signed(sub=sub), NOW) for sub in ("anna@shop.example",) * 2 + ("ben",))
    assert first is not None
    assert other is not None
    assert first == again
    assert first.key_id != other.key_id
    assert "anna" not in first.key_id


def test_without_a_channel_it_is_any_and_without_scopes_nothing(tokens: JwtTokens) -> None:
    read = tokens.read(signed(moment_channel=None, scope=None), NOW)
    assert read is not None
    assert (read.channel, read.scopes) == (None, frozenset())


WRONG_CLAIMS: list[Mapping[str, object]] = [
    {"iss": "https://evil.example"},
    {"iss": ["https://login.example"]},
    {"iss": None},
    {"aud": "other"},
    {"aud": []},
    {"aud": None},
    {"exp": int((NOW - LEEWAY).timestamp())},
    {"exp": None},
    {"exp": True},
    {"exp": "tomorrow"},
    {"exp": 1e400},
    {"exp": 10**18},
    {"nbf": int((NOW + LEEWAY).timestamp()) + 1},
    {"nbf": None},
    {"nbf": [1]},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"scope": ["decisions:write"]},
    {"moment_mode": None},
    {"moment_mode": "LIVE"},
    {"moment_channel": "web\nadmin"},
    {"moment_channel": ["web"]},
]


@pytest.mark.parametrize("changes", WRONG_CLAIMS, ids=[json.dumps(one) for one in WRONG_CLAIMS])
def test_a_token_that_is_not_for_moment_now_opens_nothing(
    tokens: JwtTokens, changes: Mapping[str, object]
) -> None:
    # jwt.encode refuses to sign some of these, so they are signed by hand
    body = f"{part({'alg': 'ES256', 'typ': 'JWT', 'kid': 'ec'})}.{part(claims(**changes))}"
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(body.encode(), EC_KEY)
    assert tokens.read(f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}", NOW) is None
    assert tokens.read(signed(), NOW) is not None


def test_times_have_a_small_leeway_and_end(tokens: JwtTokens) -> None:
    token = signed(nbf=int(NOW.timestamp()), exp=int(NOW.timestamp()) + 60)
    end = NOW + timedelta(seconds=60)
    instants = [
        NOW - LEEWAY - timedelta(seconds=1),
        NOW - LEEWAY,
        NOW,
        end + LEEWAY - timedelta(seconds=1),
        end + LEEWAY,
    ]
    # Asked of what remembers the token, and of what sees it first
    expected = [False, True, True, True, False]
    assert [tokens.read(token, instant) is not None for instant in instants] == expected
    fresh = [JwtTokens(tokens._trust).read(token, instant) is not None for instant in instants]
    assert fresh == expected


def test_no_algorithm_at_all_opens_nothing(tokens: JwtTokens) -> None:
    for name in ("none", "None", "NONE", ""):
        body = f"{part({'alg': name, 'typ': 'JWT', 'kid': 'ec'})}.{part(claims())}"
        assert tokens.read(f"{body}.", NOW) is None
        assert tokens.read(f"{body}.{signed().rpartition('.')[2]}", NOW) is None


@pytest.mark.parametrize("kid", ["ec", "ed", "rsa"])
def test_a_public_key_is_no_shared_secret(tokens: JwtTokens, trust: Trust, kid: str) -> None:
    key = PRIVATE[kid].public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, json.dumps(public(kid)).encode(), trust.jwks.read_bytes()):
        body = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{part(claims())}"
        tag = hmac.digest(secret, body.encode(), hashlib.sha256)
        assert tokens.read(f"{body}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}", NOW) is None


def test_kids_are_not_confused(tokens: JwtTokens) -> None:
    assert tokens.read(signed("ec-2", {"kid": "ec"}), NOW) is None  # another's signature under a known name
    assert tokens.read(signed("ec-2"), NOW) is None  # a name that is not in the file
    assert tokens.read(signed("ec", {"kid": "rsa"}), NOW) is None  # a known key of another kind
    for kid in ("", "EC", "ec ", "../jwks.json", "None", "0"):
        assert tokens.read(signed("ec", {"kid": kid}), NOW) is None
    assert tokens.read(jwt.encode(claims(), EC_KEY, "ES256"), NOW) is None  # no name
    body = f"{part({'alg': 'ES256', 'typ': 'JWT', 'kid': ['ec']})}.{part(claims())}"
    assert tokens.read(f"{body}.{signed().rpartition('.')[2]}", NOW) is None


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"jwk": public("ec-2")},
        {"crit": ["exp"]},
        {"b64": True},
        {"zip": "DEF"},
        {"typ": "JWE"},
        {"typ": "id+jwt"},
    ],
    ids=",".join,
)
def test_a_header_that_brings_keys_or_rules_of_its_own_opens_nothing(
    tokens: JwtTokens, header: dict[str, object]
) -> None:
    head = {"alg": "ES256", "typ": "JWT", "kid": "ec", **header}
    body = f"{part(head)}.{part(claims())}"
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(body.encode(), EC_KEY)
    assert tokens.read(f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}", NOW) is None
    assert tokens.read(signed(headers={"typ": "at+jwt"}), NOW) is not None


def test_what_was_tampered_with_opens_nothing(tokens: JwtTokens) -> None:
    head, body, signature = signed().split(".")
    more = part(claims(scope="customers:erase"))
    assert tokens.read(f"{head}.{more}.{signature}", NOW) is None
    for place in range(0, len(signature) - 2, 7):
        other = "A" if signature[place] != "A" else "B"
        assert tokens.read(f"{head}.{body}.{signature[:place]}{other}{signature[place + 1 :]}", NOW) is None
    for rubbish in (
        "",
        ".",
        "..",
        "a.b.c",
        f"{head}.{body}",
        f"{head}.{body}.{signature}.x",
        "é.é.é",
        "\0.\0.\0",
    ):
        assert tokens.read(rubbish, NOW) is None
    assert tokens.read("[" * 1000 + "." + "[" * 1000 + ".x", NOW) is None


def test_a_token_that_is_too_long_is_not_even_read(tokens: JwtTokens) -> None:
    fits, too_long = signed(pad="x" * 1000), signed(pad="x" * LONGEST)
    assert tokens.read(fits, NOW) is not None
    assert tokens.read(too_long, NOW) is None


def test_a_key_taken_out_ends_its_tokens_and_one_put_in_opens(tokens: JwtTokens, trust: Trust) -> None:
    first, second = signed("ec"), signed("ec-2")
    assert tokens.read(first, NOW) is not None
    assert tokens.read(second, NOW) is None
    write(trust.jwks, public("ec-2"))
    assert tokens.read(first, NOW) is None
    assert tokens.read(second, NOW) is not None


def test_a_file_that_cannot_be_read_leaves_the_earlier_keys(
    tokens: JwtTokens, trust: Trust, caplog: pytest.LogCaptureFixture
) -> None:
    trust.jwks.write_text("{")
    assert tokens.read(signed(), NOW) is not None
    assert tokens.read(signed(sub="other"), NOW) is not None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    trust.jwks.unlink()
    assert tokens.read(signed(sub="third"), NOW + PATIENCE) is not None
    assert tokens.read(signed(), NOW + PATIENCE + timedelta(seconds=1)) is None
    write(trust.jwks, public("ec"))
    assert tokens.read(signed(), NOW) is not None


@pytest.mark.parametrize(
    "left", [[], [public("ed")], [public("ed"), {"kid": "new", "kty": "EC", "crv": "P-384"}], [{}]]
)
def test_a_key_the_file_does_not_name_opens_nothing_whatever_else_the_file_holds(
    tokens: JwtTokens, trust: Trust, left: list[dict[str, Any]]
) -> None:
    token = signed("ec")
    assert tokens.read(token, NOW) is not None
    write(trust.jwks, *left)
    assert tokens.read(token, NOW) is None
    assert (tokens.read(signed("ed"), NOW) is not None) == (public("ed") in left)


def test_nobody_is_the_same_sender_in_another_mode_or_on_another_channel(tokens: JwtTokens) -> None:
    tellings: tuple[dict[str, Any], ...] = (
        {},
        {"moment_mode": "test"},
        {"moment_channel": "app"},
        {"moment_channel": None},
    )
    read = [tokens.read(signed(**changes), NOW) for changes in tellings]
    assert len({one.key_id for one in read if one is not None}) == len(tellings)


def test_only_the_algorithms_that_are_set_open(trust: Trust) -> None:
    only = Trust(write(trust.jwks, public("ed")), trust.issuer, trust.audience, ("EdDSA",))
    assert JwtTokens(only).read(signed("ed"), NOW) is not None
    write(trust.jwks, public("ec"))
    with pytest.raises(ConfigurationError, match="only keys for EdDSA"):
        JwtTokens(only)


SMALL_RSA = RSAAlgorithm.to_jwk(
    rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key(),  # noqa: S505
    as_dict=True,
)
WRONG_KEYS = {
    "a private one": (ECAlgorithm.to_jwk(EC_KEY, as_dict=True) | {"kid": "a"}, "private key"),
    "a shared secret": ({"kty": "oct", "k": "c2VjcmV0", "kid": "a"}, "only keys for"),
    "another curve": ({**public("ec"), "crv": "P-384"}, "only keys for"),
    "another algorithm": (public("rsa", alg="RS512"), "its alg must be RS256"),
    "one to encrypt": (public("ec", use="enc"), "use sig"),
    "a small RSA key": ({**SMALL_RSA, "kid": "a"}, "2048"),
    "a nameless one": ({name: value for name, value in public("ec").items() if name != "kid"}, "kid"),
    "a broken one": ({**public("ec"), "x": "AA"}, "keys\\[0\\]"),
}


@pytest.mark.parametrize(("key", "words"), WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_keys_that_cannot_be_used_are_said_at_the_start(
    trust: Trust, key: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        JwtTokens(Trust(write(trust.jwks, key), trust.issuer, trust.audience))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"keys": 1}', '{"keys": []}', '{"keys": [1]}', "{}"])
def test_a_file_that_holds_no_keys_is_said_at_the_start(trust: Trust, text: str) -> None:
    trust.jwks.write_text(text)
    with pytest.raises(ConfigurationError, match="keys"):
        JwtTokens(trust)


def test_two_keys_of_one_name_are_refused(trust: Trust) -> None:
    with pytest.raises(ConfigurationError, match="a kid of its own"):
        JwtTokens(Trust(write(trust.jwks, public("ec"), public("ec")), trust.issuer, trust.audience))


def test_a_file_that_is_touched_alone_changes_nothing(tokens: JwtTokens, trust: Trust) -> None:
    assert tokens.read(signed(), NOW) is not None
    os.utime(trust.jwks, ns=(1, 1))
    assert tokens.read(signed(), NOW) is not None
