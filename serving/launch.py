"""Starting the service: everything it needs is looked at first, so that it starts whole or says why not."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moment.errors import DependencyError, StepMissing
from moment.home import Home
from serving.adapters.file_rates import forget_old
from serving.adapters.vault import Vault
from serving.admin_process import AdminProcess
from serving.bootstrap import load_catalogue, open_keys, open_tokens
from serving.life_room import open_life
from serving.opening import check_catalogue_choice
from serving.settings import Settings
from serving.telemetry import metrics_folder
from serving.use_cases.keys import PREFIX

if TYPE_CHECKING:
    from serving.lifecycle import Book, Model
    from serving.ports import ApiKey

_POLL_SECONDS = 0.25
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def check(home: Home, settings: Settings) -> tuple[ApiKey, ...]:
    """Return the usable keys, having found models, features and catalogue; importing nothing that is slow.

    Raises
    ------
    StepMissing
        A command must be run first: the models, the features, a key.
    ConfigurationError
        The catalogue is wrong, every fault is listed; or it reads what the features lack. The vault's secret
        is gone, or not the one the records are sealed under.
    DependencyError
        The address is taken.
    """
    from features.contract import FeatureContract
    from serving.adapters.identifiers import utc_now
    from serving.lifecycle import Model

    book = _book(home)
    _serving(home, book, Model.SEGMENTATION)
    propensity = _serving(home, book, Model.PROPENSITY)
    if not any(home.feast.glob("*")):
        raise StepMissing("no features are online", run="moment features materialize")
    contract = FeatureContract.loads((propensity / "contract.json").read_text(encoding="utf-8"))
    check_catalogue_choice(settings, book)
    if _champion(home, book, Model.NEXT_BEST_ACTION) is None:
        load_catalogue(settings, contract)
    keys = open_keys(home)
    try:
        usable = tuple(key for key in keys.all() if key.opens(utc_now()))
    finally:
        keys.close()
    if not usable:
        raise StepMissing(
            "no API key exists, and the service never starts open",
            run="moment keys create --mode test --scope all --out-file",
        )
    Vault.open(home)
    open_tokens(settings)
    _check_address(settings.host, settings.port, "--host or --port")
    _check_address(settings.admin_host, admin_port(settings), "MOMENT_ADMIN_HOST or --admin-port")
    return usable


def _book(home: Home) -> Book:
    """Return what the ledger of models comes to; an empty book where there is no database yet."""
    from serving.lifecycle import Book

    if not home.database.exists():
        return Book()
    with open_life(home) as life:
        return life.book()


def _serving(home: Home, book: Book, model: Model) -> Path:
    """Return the bundle that is to serve: the champion's, else the last good one; StepMissing for neither."""
    from serving.bundles import current

    return _champion(home, book, model) or current(home.bundles, model)


def _champion(home: Home, book: Book, model: Model) -> Path | None:
    """Return the champion's bundle; None where the ledger has none, or it is not on this machine."""
    champion = book.champion(model)
    folder = None if champion is None else home.bundles / model / champion.version
    return folder if folder is not None and folder.is_dir() else None


def serve(home: Home, settings: Settings) -> None:
    """Run the service until it is told to stop (SIGINT or SIGTERM)."""
    keys = check(home, settings)
    click.echo(f"Opening stores and models; {len(keys)} key(s) open the door. Ctrl+C stops.", err=True)
    _pass_on(home, settings)
    stopping = threading.Event()
    announcing = threading.Thread(target=_announce, args=(settings, home, stopping), daemon=True)
    announcing.start()

    from serving.service import run

    forget_old(home.root / "allowances")
    try:
        with AdminProcess():
            run(settings.host, settings.port, metrics_folder(home, settings.port))
    finally:
        stopping.set()
        announcing.join()
    click.echo("Stopped.", err=True)


def address_of(settings: Settings) -> str:
    """Return the URL under which this machine reaches the service."""
    return _url(settings.host, settings.port)


def admin_address_of(settings: Settings) -> str:
    """Return the URL under which this machine reaches the Admin service."""
    return _url(settings.admin_host, admin_port(settings))


def _url(host: str, port: int) -> str:
    reached = _WILDCARDS.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def with_port(settings: Settings) -> Settings:
    """Return the settings with a free port where they say 0; the Admin service's too, unless it has one."""
    if settings.port and settings.admin_port != 0:
        return settings
    port = settings.port or _free_port(settings.host)
    return replace(settings, port=port, admin_port=settings.admin_port or _free_port(settings.admin_host))


def admin_port(settings: Settings) -> int:
    """Return the port of the Admin service: the one after the decision service's unless another is named."""
    return settings.port + 1 if settings.admin_port is None else settings.admin_port


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _check_address(host: str, port: int, options: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no such port"
            raise DependencyError(
                f"cannot listen on {host} port {port} ({reason}); name another with {options}"
            ) from error


def _pass_on(home: Home, settings: Settings) -> None:
    """Tell the worker processes, which read the environment, what this process was told."""
    told = {
        "MOMENT_HOME": str(home.root),
        "MOMENT_MLRUNS": str(home.mlruns),
        "MOMENT_HOST": settings.host,
        "MOMENT_PORT": str(settings.port),
        "MOMENT_WORKERS": str(settings.workers),
        "MOMENT_ADMIN_HOST": settings.admin_host,
        "MOMENT_ADMIN_PORT": str(admin_port(settings)),
        "MOMENT_MAX_BODY_BYTES": str(settings.max_body_bytes),
        "MOMENT_BODY_SECONDS": str(settings.body_seconds),
        "MOMENT_DEADLINE_MS": str(settings.deadline_ms),
        "MOMENT_MOST_IN_FLIGHT": str(settings.most_in_flight),
        "MOMENT_DRAIN_SECONDS": str(settings.drain_seconds),
        # Nobody is believed who says whom they ask for: uvicorn would believe this machine
        "FORWARDED_ALLOW_IPS": "",
        # BentoML keeps its own state somewhere in the user's home otherwise, and talks about itself
        "BENTOML_HOME": str(home.root / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_QUIET": "True",
    }
    # Feast names a folder of its own to the process that imports it, and to all below: ours is BentoML's
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if settings.catalogue is not None:
        told["MOMENT_CATALOGUE"] = str(settings.catalogue)
    os.environ.update(told)


def _announce(settings: Settings, home: Home, stopping: threading.Event) -> None:
    """Say where the service is once it answers; what keeps it from answering is said once."""
    started = time.monotonic()
    told = ""
    while not stopping.wait(_POLL_SECONDS):
        status, problem = _readiness(settings)
        if status == HTTPStatus.OK:
            break
        if problem not in ("", told):
            click.echo(f"Not ready: {problem}", err=True)
            told = problem
    else:
        return
    url = address_of(settings)
    files = sorted(filter(_is_api_key, home.keys.glob("*.key")), key=lambda file: file.stat().st_mtime)
    key = str(files[-1]) if files else "KEYFILE"
    body = '{"customer_id": "CUSTOMER", "channel": "web", "placements": [{"name": "home"}]}'
    click.echo(f"Moment answers at {url} (ready after {time.monotonic() - started:.1f} s)")
    click.echo(f"  docs  {url}/docs, for machines {url}/openapi.json")
    click.echo(f"  key   {key if files else '`moment keys create` makes one, `moment keys list` shows all'}")
    click.echo(f"  admin {admin_address_of(settings)}/metrics (a key with the scope metrics:read)")
    click.echo(f"  try   curl {url}/v1/decisions -H 'Content-Type: application/json' \\")
    click.echo(f"          -H \"Authorization: Bearer $(cat {key})\" -d '{body}'")


def _is_api_key(file: Path) -> bool:
    """Whether a file holds a key to ask with: others beside it sign and seal, and are never sent anywhere."""
    try:
        return file.read_text(encoding="ascii").startswith(PREFIX)
    except (OSError, UnicodeDecodeError):
        return False


def _readiness(settings: Settings) -> tuple[int, str]:
    """Ask whether the service is ready; return the status (0: no answer) and what it says is missing."""
    host = _WILDCARDS.get(settings.host, settings.host)
    # Not urllib, which would ask a proxy that the environment names
    connection = http.client.HTTPConnection(host, settings.port, timeout=30)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
    if answer.status == HTTPStatus.OK:
        return answer.status, ""
    return answer.status, str(json.loads(content).get("detail", "")) if content else ""
