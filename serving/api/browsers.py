"""Browsers that hold no key: from which pages they may report, how often, and how many at a time.

A page's browser sends its `Origin`, which anybody can forge; only pages the deployment names are answered. No
address is kept: posts are counted under a hash of it whose key lives as long as the process, and forgotten
every minute.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from moment.errors import InvalidRequest
from serving.api.problems import RETRY_SECONDS, AnyRequest

_WINDOW_SECONDS = 60.0
_MOST_CLIENTS = 100_000
_PREFLIGHT_SECONDS = 600
_PREFIX_OF_A_CLIENT = 64

_SHARE = 4
"""One in so many places of a worker may be theirs, and one in so many of those one address's."""


@dataclass(slots=True)
class Browsers:
    """Who among browsers may post, in one worker.

    Parameters
    ----------
    origins
        Pages that may, as ``https://shop.example``.
    per_minute
        How many posts one address may send a minute.
    most_in_flight
        How many requests the worker has at a time, those of keys among them.
    clock
        Seconds that only rise.
    """

    origins: frozenset[str]
    per_minute: int
    most_in_flight: int
    clock: Callable[[], float] = time.monotonic
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _posts: Counter[bytes] = field(default_factory=Counter, repr=False)
    _since: float = float("-inf")
    _under_way: Counter[bytes] = field(default_factory=Counter, repr=False)

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

    @contextmanager
    def admitted(self, request: AnyRequest) -> Iterator[None]:
        """Count a post of a browser, which is under way while the block runs.

        Raises
        ------
        InvalidRequest
            ``rate-limited``: its address sends too many, or too many are under way.
        """
        client = hmac.digest(self._secret, _network(request).encode(), "sha256")
        self._count(client)
        most = max(1, self.most_in_flight // _SHARE)
        if self._under_way.total() >= most or self._under_way[client] >= max(1, most // _SHARE):
            raise InvalidRequest(
                "too many posts without a key are under way; wait as long as Retry-After says",
                code="rate-limited",
                retry_after=RETRY_SECONDS,
            )
        self._under_way[client] += 1
        try:
            yield
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _count(self, client: bytes) -> None:
        now = self.clock()
        if now - self._since >= _WINDOW_SECONDS:
            self._posts.clear()
            self._since = now
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
