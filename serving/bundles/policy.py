"""The next-best-action model: a decision policy as a bundle, the whole catalogue and how it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import yaml

from moment.errors import ConfigurationError, MomentError
from serving.bundles.manifest import (
    UNREADABLE,
    About,
    BundleFiles,
    BundleRefused,
    Manifest,
    Refusal,
    brief,
    current,
    sha256,
    write_bundle,
)
from serving.bundles.reading import check_read_as, read_bundle
from serving.bundles.signing import Trust

if TYPE_CHECKING:
    # The core reads rules with sqlglot, which takes long to import: who opens no policy does not pay
    from serving.decision.catalogue import Catalogue
    from serving.decision.columns import Column

MODEL = "next-best-action"
KIND = "catalogue"

CATALOGUE_FILE = "catalogue.yaml"
GOLDEN_FILE = "golden.yaml"

_COLUMNS_FILE = "columns.json"
_ANSWERS_FILE = "answers.json"
_FILES = frozenset({CATALOGUE_FILE, GOLDEN_FILE, _COLUMNS_FILE, _ANSWERS_FILE})
_WAY_OUT = "submit the catalogue again with `moment catalogue submit`"


@dataclass(frozen=True, slots=True)
class PolicyBundle:
    """An opened decision policy.

    Parameters
    ----------
    folder
        Where it was opened; ``catalogue.yaml`` lies in it as it was written.
    manifest
        What it states about itself.
    catalogue
        Checked and compiled for `columns`.
    columns
        The customer's columns its rules read, with their types: what serves it must have them alike.
    source
        The text of the catalogue.
    golden
        The golden decisions (YAML, ``serving.catalogue.golden``); empty where there are none.
    """

    folder: Path
    manifest: Manifest
    catalogue: Catalogue
    columns: Mapping[str, Column]
    source: bytes
    golden: bytes

    @property
    def version(self) -> str:
        """Short id made from the digest."""
        return self.manifest.version

    @property
    def digest(self) -> str:
        """SHA-256 of everything the policy decides by."""
        return self.manifest.digest


def write_policy(
    bundles: Path,
    source: Path,
    catalogue: Catalogue,
    columns: Mapping[str, Column],
    *,
    golden: bytes = b"",
    about: About,
) -> Path:
    """Write a policy bundle, keep what some fixed requests come out as, and return its folder.

    Parameters
    ----------
    source
        The file the catalogue was loaded from.
    columns
        What it was loaded with; the bundle keeps those its rules read, and those it declares itself.
    golden
        The text of its golden decisions.

    Raises
    ------
    ConfigurationError
        The file is no longer the catalogue that was loaded from it.
    """
    from serving.bundles.policy_answers import Answers, answer, questions_for
    from serving.catalogue.loader import parse

    text = source.read_bytes()
    read = _columns_read(text.decode(), source, catalogue, columns)
    again = parse(text.decode(), source, read)
    if again.digest != catalogue.digest:
        raise ConfigurationError(f"catalogue {source} changed while it was submitted; submit it again")
    questions = questions_for(again, read)
    answers = Answers(questions, tuple(answer(again, one) for one in questions), _read_as(again, read))
    return write_bundle(
        bundles,
        model=MODEL,
        kind=KIND,
        files={
            CATALOGUE_FILE: text,
            GOLDEN_FILE: golden,
            _COLUMNS_FILE: msgspec.json.encode(read),
            _ANSWERS_FILE: msgspec.json.encode(answers),
        },
        libraries={"numpy": np.__version__},
        about=about,
    )


def read_policy(folder: Path, *, trusted: Trust | None = None, digest: str | None = None) -> BundleFiles:
    """Verify a policy bundle without parsing any of its files; raises as `read_bundle` does."""
    return read_bundle(folder, model=MODEL, files=_files_of, trusted=trusted, digest=digest)


def policy_of(files: BundleFiles) -> PolicyBundle:
    """Parse a verified policy bundle and ask it its fixed requests again.

    Raises
    ------
    BundleRefused
        ``format`` or ``golden``.
    """
    from serving.bundles.policy_answers import Answers, answer
    from serving.catalogue.loader import parse
    from serving.decision.columns import Column

    folder, contents = files.folder, files.contents
    source = contents[CATALOGUE_FILE]
    with _refusing(folder):
        columns = msgspec.json.decode(contents[_COLUMNS_FILE], type=dict[str, Column])
        catalogue = parse(source.decode(), folder / CATALOGUE_FILE, columns)
        kept = msgspec.json.decode(contents[_ANSWERS_FILE], type=Answers)
    check_read_as(files, kept.read_as, _read_as(catalogue, columns))
    with _refusing(folder):
        found = [answer(catalogue, one) for one in kept.questions]
    pairs = zip(found, kept.answers, strict=False)
    if not found or len(found) != len(kept.answers) or not all(mine.is_as(old) for mine, old in pairs):
        detail = "a fixed request comes out otherwise than when it was written"
        raise BundleRefused(folder, Refusal.GOLDEN, detail, way_out=_WAY_OUT)
    return PolicyBundle(folder, files.manifest, catalogue, columns, source, contents[GOLDEN_FILE])


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """Refuse the bundle for whatever reading or deciding finds wrong."""
    try:
        yield
    except (*UNREADABLE, MomentError, yaml.YAMLError) as error:
        detail = f"a file cannot be read ({brief(error)})"
        raise BundleRefused(folder, Refusal.FORMAT, detail, way_out=_WAY_OUT) from error


def open_policy(folder: Path, *, trusted: Trust | None = None) -> PolicyBundle:
    """Verify and open a policy bundle.

    Raises
    ------
    BundleRefused
        With the reason.
    """
    return policy_of(read_policy(folder, trusted=trusted))


def open_current_policy(bundles: Path) -> PolicyBundle:
    """Open the policy that ``CURRENT`` names; :class:`~moment.errors.StepMissing` where there is none."""
    return open_policy(current(bundles, MODEL))


def _files_of(kind: str) -> frozenset[str] | None:
    return _FILES if kind == KIND else None


def _columns_read(
    text: str, source: Path, catalogue: Catalogue, columns: Mapping[str, Column]
) -> dict[str, Column]:
    """Return the customer's columns that the catalogue reads: given, or declared by itself."""
    from serving.catalogue.document import parse_document
    from serving.catalogue.feature_columns import missing_columns
    from serving.catalogue.fields import read_customer
    from serving.catalogue.section import Section

    node, faults = parse_document(text, source)
    known = read_customer(Section(source.name, "", node, faults), columns)
    return {name: known[name] for name in missing_columns(catalogue, ()) if name in known}


def _read_as(catalogue: Catalogue, columns: Mapping[str, Column]) -> dict[str, str]:
    in_order = {name: columns[name] for name in sorted(columns)}
    return {"catalogue": catalogue.digest, "columns": sha256(msgspec.json.encode(in_order))}
