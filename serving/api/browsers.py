"""Browsers that hold no key: from which pages they may report, and how often.

A page's browser sends its `Origin`; only pages the deployment names are answered. No address is kept: posts
are counted under a hash of it whose key lives as long as the process, and forgotten every minute.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from moment.errors import InvalidRequest
from serving.api.problems import AnyRequest

_WINDOW_SECONDS = 60.0
_MOST_CLIENTS = 100_000
_PREFLIGHT_SECONDS = 600
_PREFIX_OF_A_CLIENT = 64


@dataclass(slots=True)
class Browsers:
    """Who among browsers may post, in one worker.

    Parameters
    ----------
    origins
        Pages that may, as ``https://shop.example``.
    per_minute
        How many posts one address may send a minute.
    clock
        Seconds that only rise.
    """

    origins: frozenset[str]
    per_minute: int
    clock: Callable[[], float] = time.monotonic
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _posts: Counter[bytes] = field(default_factory=Counter, repr=False)
    _since: float = float("-inf")

    def origin(self, request: AnyRequest) -> str | None:
        """Return the page a request comes from, None where no page sent it.

        Raises
        ------
        InvalidRequest
            ``origin-not-allowed``: it is of a page that may not post.
        """
        sent = request.headers.getall("origin", [])
        if not sent:
            return None
        if len(sent) == 1 and sent[0] in self.origins:
            return sent[0]
        raise InvalidRequest(
            "pages of this origin may not post here; MOMENT_BROWSER_ORIGINS names those that may",
            code="origin-not-allowed",
        )

    def preflight(self, request: AnyRequest) -> dict[str, str]:
        """Return what a browser is told that asks whether its page may post.

        Raises
        ------
        InvalidRequest
            ``origin-not-allowed``.
        """
        return self.headers(self.origin(request)) | {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "content-type",
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        }

    @staticmethod
    def headers(origin: str | None) -> dict[str, str]:
        """Return what lets a page of this origin read an answer."""
        return {} if origin is None else {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    def admit(self, request: AnyRequest) -> None:
        """Count a post of a browser; InvalidRequest ``rate-limited`` when its address sends too many."""
        now = self.clock()
        if now - self._since >= _WINDOW_SECONDS:
            self._posts.clear()
            self._since = now
        client = hmac.digest(self._secret, _network(request).encode(), "sha256")
        if self._posts[client] >= self.per_minute or len(self._posts) >= _MOST_CLIENTS:
            raise InvalidRequest(
                "too many posts without a key; wait as long as Retry-After says",
                code="rate-limited",
                retry_after=_WINDOW_SECONDS - (now - self._since),
            )
        self._posts[client] += 1


def _network(request: AnyRequest) -> str:
    """Return the client's address, of IPv6 the network: within it a client has as many as it likes.

    Forwarding headers are not read: anybody can write them.
    """
    host = "" if request.client is None else request.client.host
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, _PREFIX_OF_A_CLIENT), strict=False))
