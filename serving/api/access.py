"""The key of a request: ``Authorization: Bearer <key>``."""

from __future__ import annotations

from moment.errors import InvalidRequest
from serving.api.problems import AnyRequest
from serving.ports import Keys
from serving.use_cases.access import Caller, authenticate


def caller_of(request: AnyRequest, keys: Keys) -> Caller:
    """Return who asks.

    Raises
    ------
    InvalidRequest
        ``key-missing`` without one plain bearer token, ``key-unknown`` for a wrong one.
    """
    headers = request.headers.getall("authorization", [])
    scheme, _, secret = (headers[0] if len(headers) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise InvalidRequest("send one header Authorization: Bearer <key>", code="key-missing")
    return authenticate(keys, secret.strip())
