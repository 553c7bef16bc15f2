"""How a catalogue becomes a version of next-best-action: read, bundled, held against its gates, entered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from moment.errors import ConfigurationError
from moment.home import Home
from serving.bundles import About
from serving.bundles.policy import write_policy
from serving.bundles.signing import Trust
from serving.catalogue.golden import golden_beside, read_golden
from serving.catalogue.show import summary
from serving.decision.catalogue import Catalogue
from serving.lifecycle import Book, GateVerdict
from serving.policies.files import columns_served, live_catalogue, read_catalogue, recorded_requests
from serving.policies.gates import PACKAGED_BOUNDS, policy_gates, read_bounds


@dataclass(frozen=True, slots=True)
class Drafted:
    """A catalogue as a bundle, and what its gates found."""

    bundle: Path
    gates: tuple[GateVerdict, ...]
    summary: str


def draft(
    home: Home, book: Book, file: Path, *, golden: Path | None = None, gates: Path | None = None
) -> Drafted:
    """Write the bundle of a catalogue and ask its gates.

    Parameters
    ----------
    home, book
        What decides now: the catalogue is held against it, on recorded requests.
    file
        The catalogue.
    golden
        Its golden decisions; None for ``NAME.golden.yaml`` beside it, where there is one.
    gates
        The bounds; None for those that come with Moment.

    Raises
    ------
    ConfigurationError
        Catalogue, golden decisions or bounds are wrong; every fault is listed.
    """
    from serving.adapters.catalogue_files import CatalogueFiles
    from serving.adapters.model_archive import BundleArchive

    columns = columns_served()
    catalogue = read_catalogue(file, columns)
    beside = golden_beside(file)
    path = golden or (beside if beside.is_file() else None)
    decisions = None if path is None else read_golden(path, catalogue, columns)
    bounds = read_bounds(gates or PACKAGED_BOUNDS)
    found = policy_gates(
        catalogue,
        golden=decisions,
        champion=_champion(home, book),
        recorded=recorded_requests(home, bounds.requests),
        scorer=BundleArchive(home.bundles, Trust.of_home(home.keys)).scorer,
        bounds=bounds,
        features=columns,
        catalogues=CatalogueFiles(home.root / "catalogues").find,
    )
    told = summary(catalogue)
    about = About(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics=_figures(found) | {"actions": float(len(catalogue.actions))},
        notes=(f"{catalogue.name}: {told}.",),
    )
    text = b"" if path is None else path.read_bytes()
    return Drafted(
        write_policy(home.bundles, file, catalogue, columns, golden=text, about=about), found, told
    )


def _champion(home: Home, book: Book) -> Catalogue | None:
    """Return what decides now; None where that cannot be read: then nothing is held against it."""
    try:
        return live_catalogue(home, book)
    except ConfigurationError:
        return None


def _figures(gates: Sequence[GateVerdict]) -> dict[str, float]:
    """Return what the gates measured, as figures of the bundle."""
    figures: dict[str, float] = {}
    for gate in gates:
        parts = {"": gate.value, "_low": gate.low, "_high": gate.high}
        figures |= {f"{gate.gate}{part}": value for part, value in parts.items() if value is not None}
    return figures
