"""How this deployment runs: read from the environment once, then frozen.

Decision policy is not here: it is the catalogue.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypedDict, TypeVar

from moment.errors import ConfigurationError, Fault
from serving.logs import LogForm
from serving.ports import UNBOUNDED, Bounds

ALGORITHMS = ("ES256", "EdDSA", "RS256")
"""How a token may be signed: with a key of its own each, never with a shared secret."""

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """Deployment settings.

    Parameters
    ----------
    host
        IP address to listen on (``MOMENT_HOST``). Loopback unless told otherwise.
    port
        TCP port (``MOMENT_PORT``).
    workers
        Worker processes (``MOMENT_WORKERS``).
    catalogue
        The catalogue that decides (``MOMENT_CATALOGUE``); None for the packaged groceries.
    max_body_bytes
        Largest request body accepted (``MOMENT_MAX_BODY_BYTES``).
    body_seconds
        How long a client may take to send the head of a request, and its body (``MOMENT_BODY_SECONDS``).
    admin_host, admin_port
        Where the Admin service listens (``MOMENT_ADMIN_HOST``, ``MOMENT_ADMIN_PORT``); None is the port after
        `port`.
    log
        How the log is written (``MOMENT_LOG``): ``text`` says what went wrong, ``json`` every request too.
    bounds
        How much a key may ask that says nothing else of itself (``MOMENT_RATE_PER_KEY`` requests a second,
        ``MOMENT_RATE_BURST`` at once, ``MOMENT_CUSTOMERS_PER_HOUR`` different customers). Unbounded if unset.
    jwks, jwt_issuer, jwt_audience, jwt_algorithms
        Whose tokens are accepted beside keys (``MOMENT_JWKS``, ``MOMENT_JWT_ISSUER``,
        ``MOMENT_JWT_AUDIENCE``, ``MOMENT_JWT_ALGORITHMS``); nobody's unless the first three are set.
    browser_origins, browser_posts_per_minute
        Pages whose browsers may report outcomes without a key (``MOMENT_BROWSER_ORIGINS``, e.g.
        ``https://shop.example``, several with commas; nobody's unless set), and how often one address may
        (``MOMENT_BROWSER_POSTS_PER_MINUTE``, in each worker).
    deadline_ms
        Within so many milliseconds a decision is answered, without what does not answer by then
        (``MOMENT_DEADLINE_MS``).
    most_in_flight
        How many requests one worker has at a time; more are refused at once (``MOMENT_MOST_IN_FLIGHT``).
    drain_seconds
        How long a worker told to stop goes on answering before its address refuses connections
        (``MOMENT_DRAIN_SECONDS``); an hour at most.
    retention_days_personal, retention_days_records, retention_days_test
        How long `moment records prune` leaves the personal part of live records, live records as a whole,
        and those of test traffic (``MOMENT_RETENTION_DAYS_PERSONAL``, ``…_RECORDS``, ``…_TEST``). Limits
        look back no further than records are kept.
    """

    host: str = "127.0.0.1"
    port: int = 3000
    workers: int = 1
    catalogue: Path | None = None
    max_body_bytes: int = 64 * 1024
    body_seconds: float = 5.0
    deadline_ms: int = 100
    most_in_flight: int = 256
    drain_seconds: float = 1.0
    retention_days_personal: int = 365
    retention_days_records: int = 3 * 365
    retention_days_test: int = 30
    browser_origins: tuple[str, ...] = ()
    browser_posts_per_minute: int = 600
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
    log: LogForm = LogForm.TEXT
    bounds: Bounds = UNBOUNDED
    jwks: Path | None = None
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_algorithms: tuple[str, ...] = ALGORITHMS

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the environment; every wrong value is reported at once.

        Raises
        ------
        ConfigurationError
            With one fault per variable that cannot be read.
        """
        reader = _Reader(os.environ if environment is None else environment)
        settings = cls._read(reader)
        if reader.faults:
            raise ConfigurationError("the environment is wrong", faults=reader.faults)
        return settings

    @classmethod
    def _read(cls, reader: _Reader) -> Self:
        default = cls()
        return cls(
            host=reader.read("MOMENT_HOST", address, default.host),
            port=reader.read("MOMENT_PORT", _between(0, 65535), default.port),
            workers=reader.read("MOMENT_WORKERS", _between(1, 64), default.workers),
            catalogue=reader.read("MOMENT_CATALOGUE", _existing_file, default.catalogue),
            max_body_bytes=reader.read(
                "MOMENT_MAX_BODY_BYTES", _between(1024, 2**26), default.max_body_bytes
            ),
            body_seconds=reader.read("MOMENT_BODY_SECONDS", _up_to(300), default.body_seconds),
            deadline_ms=reader.read("MOMENT_DEADLINE_MS", _between(10, 60_000), default.deadline_ms),
            most_in_flight=reader.read("MOMENT_MOST_IN_FLIGHT", _between(1, 100_000), default.most_in_flight),
            drain_seconds=reader.read("MOMENT_DRAIN_SECONDS", _up_to(3600), default.drain_seconds),
            retention_days_personal=reader.read(
                "MOMENT_RETENTION_DAYS_PERSONAL", _between(1, 36_500), default.retention_days_personal
            ),
            retention_days_records=reader.read(
                "MOMENT_RETENTION_DAYS_RECORDS", _between(1, 36_500), default.retention_days_records
            ),
            retention_days_test=reader.read(
                "MOMENT_RETENTION_DAYS_TEST", _between(1, 36_500), default.retention_days_test
            ),
            browser_origins=reader.read("MOMENT_BROWSER_ORIGINS", _origins, default.browser_origins),
            browser_posts_per_minute=reader.read(
                "MOMENT_BROWSER_POSTS_PER_MINUTE", _between(1, 1_000_000), default.browser_posts_per_minute
            ),
            admin_host=reader.read("MOMENT_ADMIN_HOST", address, default.admin_host),
            admin_port=reader.read("MOMENT_ADMIN_PORT", _between(0, 65535), default.admin_port),
            log=reader.read("MOMENT_LOG", _log_form, default.log),
            bounds=_read_bounds(reader),
            **_read_jwt(reader),
        )


_PREFIX = "MOMENT_"

_ELSEWHERE = (
    "MOMENT_HOME",
    "MOMENT_MLRUNS",
    "MOMENT_VAULT_KEY",
    "MOMENT_BUNDLE_KEYS",
    "MOMENT_PERSON_KEY",
    "MOMENT_PACKAGED",
    "MOMENT_SCORING_KEY_SHA256",
)
"""What others read of the environment."""


def unknown_names(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return a line for each variable that is named as ours are and that nobody reads."""
    environment = os.environ if environment is None else environment
    reader = _Reader({})
    Settings._read(reader)  # noqa: SLF001 - to learn what it reads
    known = [*sorted(reader.names), *_ELSEWHERE]
    lines = []
    for name in sorted(environment):
        if name.startswith(_PREFIX) and name not in known:
            # The prefix, which all share, would make all of them alike
            near = difflib.get_close_matches(
                name[len(_PREFIX) :], [one[len(_PREFIX) :] for one in known], n=1
            )
            hint = f"; {_PREFIX}{near[0]} is one." if near else "."
            lines.append(f"{name} is no setting and is ignored{hint}")
    return tuple(lines)


class _Jwt(TypedDict):
    jwks: Path | None
    jwt_issuer: str
    jwt_audience: str
    jwt_algorithms: tuple[str, ...]


def _read_jwt(reader: _Reader) -> _Jwt:
    """Read whose tokens are accepted: file, issuer and audience together, or none of them."""
    found = _Jwt(
        jwks=reader.read("MOMENT_JWKS", _existing_file, None),
        jwt_issuer=reader.read("MOMENT_JWT_ISSUER", str, ""),
        jwt_audience=reader.read("MOMENT_JWT_AUDIENCE", str, ""),
        jwt_algorithms=reader.read("MOMENT_JWT_ALGORITHMS", _algorithms, ALGORITHMS),
    )
    names = ("MOMENT_JWKS", "MOMENT_JWT_ISSUER", "MOMENT_JWT_AUDIENCE")
    unset = [name for name in names if not reader.environment.get(name)]
    if 0 < len(unset) < len(names):
        reader.faults += [
            Fault(name, "is not set, but the others of tokens are; set all or none") for name in unset
        ]
    return found


def _read_bounds(reader: _Reader) -> Bounds:
    """Read how much each key may ask; a burst not named is two seconds' worth."""
    rate = reader.read("MOMENT_RATE_PER_KEY", _positive, None)
    burst = reader.read("MOMENT_RATE_BURST", _between(1, 1_000_000), None)
    if rate is None and burst is not None:
        reader.faults.append(
            Fault("MOMENT_RATE_BURST", "has no effect without MOMENT_RATE_PER_KEY; set both or only that")
        )
    if rate is not None and burst is None:
        burst = max(1, round(2 * rate))
    return Bounds(
        per_second=rate,
        burst=burst if rate is not None else None,
        customers_per_hour=reader.read("MOMENT_CUSTOMERS_PER_HOUR", _between(1, 1_000_000), None),
    )


@dataclass(slots=True)
class _Reader:
    environment: Mapping[str, str]
    names: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """Return the parsed variable, or the default where it is unset or wrong."""
        self.names.add(name)
        text = self.environment.get(name, "")
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.faults.append(Fault(name, f"{text!r} {error}"))
            return default


def address(text: str) -> str:
    """Return an IP address; ``localhost`` is 127.0.0.1."""
    if text == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("is no IP address; write e.g. 127.0.0.1") from None


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"is no whole number from {low} to {high}")
        return int(text)

    return parse


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError("is no positive number")
    return number


def _up_to(most: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if _positive(text) > most:
            raise ValueError(f"is more than {most}")
        return float(text)

    return parse


def _origins(text: str) -> tuple[str, ...]:
    """Read origins as browsers send them."""
    named = tuple(origin.strip() for origin in text.split(","))
    if not all(_ORIGIN.fullmatch(origin) for origin in named):
        raise ValueError("is no list of origins; write e.g. https://shop.example")
    return named


def _log_form(text: str) -> LogForm:
    try:
        return LogForm(text)
    except ValueError:
        raise ValueError("is neither json nor text") from None


def _algorithms(text: str) -> tuple[str, ...]:
    named = tuple(name.strip() for name in text.split(","))
    if not set(named) <= set(ALGORITHMS):
        raise ValueError(f"is not some of {', '.join(ALGORITHMS)}")
    return named


def _existing_file(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if not path.is_file():
        raise ValueError("is no file")
    return path
