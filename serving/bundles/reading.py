"""Reading a bundle: digest and signature of its bytes, nothing parsed; and what parsing must come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from serving.bundles.manifest import BundleFiles, BundleRefused, Refusal, read_files, read_manifest
from serving.bundles.signing import Trust, verify_signature


def read_bundle(
    folder: Path,
    *,
    model: str,
    files: Callable[[str], frozenset[str] | None],
    trusted: Trust | None,
    digest: str | None,
) -> BundleFiles:
    """Return the bytes of a bundle, verified.

    Parameters
    ----------
    model
        What it must be.
    files
        From its kind to the names of its files; None where the kind is not known.
    trusted
        Whose signatures are believed; None asks for none.
    digest
        What its digest must be; None takes any.

    Raises
    ------
    BundleRefused
        ``missing_file``, ``format`` or ``digest``; where trusted keys are given, also ``unsigned``,
        ``signature`` or ``untrusted``.
    """
    manifest = read_manifest(folder)
    if digest is not None and manifest.digest != digest:
        detail = f"it is version {manifest.version}, asked for is {digest[:12]}"
        raise BundleRefused(folder, Refusal.DIGEST, detail)
    signed_by = "" if trusted is None else verify_signature(folder, manifest, trusted)
    expected = files(manifest.kind)
    if expected is None:
        raise BundleRefused(folder, Refusal.FORMAT, f"it is of an unknown kind, {manifest.kind!r}")
    return BundleFiles(
        folder, manifest, read_files(folder, manifest, model=model, expected=expected), signed_by
    )


def check_read_as(files: BundleFiles, stated: Mapping[str, str] | None, found: Mapping[str, str]) -> None:
    """Refuse a bundle of which something else was read than when its golden predictions were made.

    Raises
    ------
    BundleRefused
        ``golden``.
    """
    if stated is None and files.manifest.format == 1:
        return
    if stated is None or not isinstance(stated, Mapping):
        raise BundleRefused(files.folder, Refusal.FORMAT, "its golden predictions do not say what was read")
    wrong = ", ".join(sorted(name for name, digest in found.items() if stated.get(name) != digest))
    if wrong:
        detail = f"its {wrong} is not what its golden predictions were made of"
        raise BundleRefused(files.folder, Refusal.GOLDEN, detail)
