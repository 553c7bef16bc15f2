"""What a Bento brings along: bundles, a catalogue, who vouches for them; and how it settles where it runs.

Beside its code a Bento holds the folder ``packaged``: ``bundles/<model>/<version>`` with ``CURRENT`` beside
it, ``bundles.trusted.json``, and ``catalogue.yaml`` where no policy's bundle decides. The file it starts with
names that folder in ``MOMENT_PACKAGED``; nothing here does anything where the variable is not set.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from moment.errors import DependencyError, MomentError
from moment.home import Home
from moment.private import keep_private, write
from serving.bundles.manifest import current, make_current
from serving.bundles.signing import TRUST_FILE, TRUST_VARIABLE
from serving.lifecycle import Book, Model

VARIABLE = "MOMENT_PACKAGED"
CATALOGUE_VARIABLE = "MOMENT_CATALOGUE"

FOLDER = "packaged"
CATALOGUE_FILE = "catalogue.yaml"

_SHORT = 12

QUIET: Mapping[str, str] = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "FEAST_USAGE": "False",
    # Nobody is believed who says whom they ask for: uvicorn would believe this machine
    "FORWARDED_ALLOW_IPS": "",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TZ": "UTC",
}
"""What libraries read once, at import: as the ``moment`` command sets it."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """The folder a Bento brought.

    Parameters
    ----------
    root
        The folder ``packaged``.
    """

    root: Path

    @classmethod
    def find(cls, environment: Mapping[str, str] | None = None) -> Self | None:
        """Return what `VARIABLE` names, None where nothing was brought."""
        named = (os.environ if environment is None else environment).get(VARIABLE, "")
        return cls(Path(named)) if named else None

    @property
    def bundles(self) -> Path:
        """The bundles."""
        return self.root / "bundles"

    @property
    def trust(self) -> Path:
        """The public keys whose signatures are believed."""
        return self.root / TRUST_FILE

    @property
    def catalogue(self) -> Path | None:
        """The catalogue that decides; None where a policy's bundle does."""
        path = self.root / CATALOGUE_FILE
        return path if path.is_file() else None

    def models(self) -> tuple[Model, ...]:
        """Return the models it brought."""
        return tuple(model for model in Model if (self.bundles / model / "CURRENT").is_file())


def settle(source: Path, environment: MutableMapping[str, str] | None = None) -> None:
    """Make this process, and those it starts, ready to serve a Bento: its first act, before heavy imports.

    Parameters
    ----------
    source
        Folder of the Bento's code; ``packaged`` lies in it.
    """
    keep_private()
    environment = os.environ if environment is None else environment
    environment.update(QUIET)
    environment[VARIABLE] = str(source / FOLDER)
    if hasattr(time, "tzset"):
        time.tzset()


def or_refuse(act: Callable[[], object]) -> None:
    """Do what comes before a service starts; where it fails, end this process with one line that says why."""
    try:
        act()
    except MomentError as refusal:
        raise SystemExit(f"moment: {refusal}") from None


def in_service(home: Home, book: Book, model: Model) -> Path:
    """Return the folder of the version that serves: the ledger's champion, else ``CURRENT``.

    Raises
    ------
    StepMissing
        There is neither.
    DependencyError
        The champion's folder is gone.
    """
    champion = book.champion(model)
    if champion is None:
        return current(home.bundles, model)
    folder = home.bundles / model / champion.version
    if not folder.is_dir():
        raise DependencyError(
            f"the champion of {model}, {champion.version}, is not in {folder.parent}; restore it from "
            "a backup"
        )
    return folder


def move_in(home: Home, environment: MutableMapping[str, str] | None = None) -> tuple[Model, ...]:
    """Let what a Bento brought serve from a home whose ledger names no champion; return those models.

    A home with a champion keeps it: who may serve there is decided in its ledger. Bundles are copied, so that
    records can be replayed after another Bento has taken this one's place.
    """
    environment = os.environ if environment is None else environment
    packaged = Packaged.find(environment)
    if packaged is None:
        return ()
    book = book_of(home)
    _believe(home, packaged, environment)
    taken = tuple(model for model in packaged.models() if book.champion(model) is None)
    for model in taken:
        make_current(_copied(current(packaged.bundles, model), home.bundles / model))
    if book.champion(Model.NEXT_BEST_ACTION) is None and not environment.get(CATALOGUE_VARIABLE):
        catalogue = packaged.catalogue or _of_bundle(packaged)
        if catalogue is not None:
            environment[CATALOGUE_VARIABLE] = str(catalogue)
    return taken


def _of_bundle(packaged: Packaged) -> Path | None:
    if Model.NEXT_BEST_ACTION not in packaged.models():
        return None
    return current(packaged.bundles, Model.NEXT_BEST_ACTION) / CATALOGUE_FILE


def book_of(home: Home) -> Book:
    """Return the home's book; an empty one where there is no ledger yet."""
    if not home.database.is_file():
        return Book()
    from serving.life_room import open_life

    with open_life(home) as life:
        return life.book()


def _believe(home: Home, packaged: Packaged, environment: Mapping[str, str]) -> None:
    """Let a home that believes nobody yet believe who vouched for what the Bento brought."""
    own = home.keys / TRUST_FILE
    if environment.get(TRUST_VARIABLE) or own.is_file() or not packaged.trust.is_file():
        return
    home.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    write(own, packaged.trust.read_bytes())


def _copied(folder: Path, beside: Path) -> Path:
    """Copy a bundle at once or not at all; one that is there already is left as it is."""
    target = beside / folder.name
    if not target.is_dir():
        beside.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".moving-", dir=beside))
        try:
            shutil.copytree(folder, scratch / folder.name)
            (scratch / folder.name).rename(target)
        except OSError:
            # Another process of the same home was first
            if not target.is_dir():
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target
