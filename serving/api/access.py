"""The key of a request: ``Authorization: Bearer <key or token>``."""

from __future__ import annotations

from collections.abc import Callable

from moment.errors import InvalidRequest
from serving.api.metrics import noted
from serving.api.problems import AnyRequest
from serving.use_cases.access import Caller


def caller_of(request: AnyRequest, access: Callable[[str], Caller]) -> Caller:
    """Return who asks, as the door (`Access`) tells by their key or token.

    Raises
    ------
    InvalidRequest
        ``key-missing`` without one plain bearer token, ``key-unknown`` for a wrong one, ``rate-limited`` for
        one that asks too often.
    """
    headers = request.headers.getall("authorization", [])
    scheme, _, secret = (headers[0] if len(headers) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise InvalidRequest("send one header Authorization: Bearer <key>", code="key-missing")
    caller = access(secret.strip())
    noted(request.scope).key_id = caller.key_id
    return caller
