"""An identity provider whose tokens the service accepts."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

ISSUER = "https://login.example"
AUDIENCE = "moment"


@dataclass(frozen=True)
class Issuer:
    """Signs tokens with a key of its own, whose public half is in `jwks`."""

    jwks: Path
    private: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, folder: Path) -> Issuer:
        """Make a key and write its public half."""
        issuer = cls(folder / "jwks.json", ec.generate_private_key(ec.SECP256R1()))
        public = ECAlgorithm.to_jwk(issuer.private.public_key(), as_dict=True)
        issuer.jwks.write_text(json.dumps({"keys": [{**public, "kid": "one"}]}))
        return issuer

    @property
    def environment(self) -> dict[str, str]:
        """What a service must be told to accept its tokens."""
        return {
            "MOMENT_JWKS": str(self.jwks),
            "MOMENT_JWT_ISSUER": ISSUER,
            "MOMENT_JWT_AUDIENCE": AUDIENCE,
        }

    def sign(self, headers: dict[str, object] | None = None, **changes: object) -> str:
        """Return a token for a web shop that may decide in test mode, with some claims changed."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "web-shop",
            "nbf": now - 5,
            "exp": now + 300,
            "scope": "decisions:write decisions:read",
            "moment_mode": "test",
            "moment_channel": "web",
        }
        return jwt.encode(claims | changes, self.private, "ES256", headers={"kid": "one", **(headers or {})})
