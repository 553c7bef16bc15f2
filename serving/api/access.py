"""The key of a request: ``Authorization: Bearer <key or token>``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from moment.errors import InvalidRequest
from serving.api.metrics import noted
from serving.api.problems import AnyRequest
from serving.ports.life import Signer
from serving.records import Mode
from serving.use_cases.access import Caller


class Signing(Protocol):
    """Turns the secret of a person's own key into who signs with it."""

    def signer(self, secret: str) -> Signer:
        """Return the person whose own key has this secret."""
        ...


def caller_of(request: AnyRequest, access: Callable[[str], Caller]) -> Caller:
    """Return who asks, as the door (`Access`) tells by their key or token.

    Raises
    ------
    InvalidRequest
        ``key-missing`` without one plain bearer token, ``key-unknown`` for a wrong one, ``rate-limited`` for
        one that asks too often.
    """
    caller = access(_secret_of(request))
    noted(request.scope).key_id = caller.key_id
    return caller


def signer_of(request: AnyRequest, caller: Caller, office: Signing) -> Signer:
    """Return who signs what this request does: the person whose own key it came with.

    The secret is looked up in the request again, used to make the signer, and left where it was.

    Raises
    ------
    InvalidRequest
        ``role-missing`` where the key is nobody's own, ``live-only`` for a test key.
    """
    if caller.person is None:
        raise InvalidRequest(
            "only people do this: ask with a personal key (`moment keys create --person NAME --role ROLE`)",
            code="role-missing",
        )
    if caller.mode is not Mode.LIVE:
        raise InvalidRequest(
            "only a live key does this: there is one life of models, for live and test alike",
            code="live-only",
        )
    return office.signer(_secret_of(request))


def _secret_of(request: AnyRequest) -> str:
    headers = request.headers.getall("authorization", [])
    scheme, _, secret = (headers[0] if len(headers) == 1 else "").partition(" ")
    secret = secret.strip(" \t")  # what HTTP calls space; other characters of its kind are the key's own
    if scheme.lower() != "bearer" or not secret:
        raise InvalidRequest("send one header Authorization: Bearer <key>", code="key-missing")
    return secret
