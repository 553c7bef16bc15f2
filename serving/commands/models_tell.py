"""What the commands on models tell: versions in lines, a version whole, and what is next in its life."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from serving.commands.life import columns, who

if TYPE_CHECKING:
    from datetime import datetime

    from moment.home import Home
    from serving.commands.models_view import Figure, Line
    from serving.lifecycle import Book, GateVerdict, Version


def name_of(version: Version) -> str:
    """Return model and version."""
    return f"{version.model} {version.version}"


def cells(line: Line) -> tuple[str, ...]:
    """Return a version's cells in the list."""
    shares = shares_of(line.shadow, line.routed)
    return (
        line.model,
        line.version,
        line.kind,
        f"{line.state}, {shares}" if shares else line.state,
        "-" if line.since is None else f"{line.since:%Y-%m-%d %H:%M}",
        line.verdict or "-",
        _approval(line.approval, line.approval_ends, line.days_left),
        ", ".join(f"{title} {value:.3g}" for title, value in line.figures.items()) or "-",
    )


def shares_of(shadow: float, routed: float) -> str:
    """Return a challenger's shares in words; nothing where it rests."""
    parts = {"shadow": shadow, "routed": routed}
    return ", ".join(f"{name} {share:.3g}" for name, share in parts.items() if share)


def _approval(said: str, ends: datetime | None, days: int | None) -> str:
    if ends is None:
        return said
    return f"until {ends:%Y-%m-%d} ({days} days)" if said == "approved" else f"expired {ends:%Y-%m-%d}"


def signature_of(home: Home, version: Version) -> str:
    """Return who vouches for a version's bundle, or why nobody does."""
    from serving.bundles import BundleRefused, read_manifest
    from serving.bundles.signing import Trust, verify_signature
    from serving.commands.models_view import folder_of

    folder = folder_of(home, version)
    try:
        manifest = read_manifest(folder)
        if manifest.digest != version.digest:
            return "the bundle here is another one"
        return f"signed by {verify_signature(folder, manifest, Trust.of_home(home.keys))}"
    except BundleRefused as refused:
        return str(refused)


def whole(home: Home, book: Book, version: Version, signature: str, now: datetime) -> Iterator[str]:
    """Yield all there is to tell about a version."""
    from serving.commands.models_view import figures, findings, manifest_of, warnings

    manifest, said = manifest_of(home, version), version.submitted
    kind = "" if manifest is None else f" ({manifest.kind})"
    shares = shares_of(version.shadow, version.routed)
    yield click.style(
        f"{name_of(version)}{kind}, {version.state} since {version.since:%Y-%m-%d %H:%M}", bold=True
    )
    made = f"{version.submitted_at:%Y-%m-%d %H:%M}: {said.reason or 'no reason'}"
    facts = {
        "digest": version.digest,
        "made by": f"{who(version.made_by)}, {made}",
        "owner": said.owner or "nobody by name",
        "tier, use": f"{said.tier}, {said.use_class}",
        "approval": _approval_line(version, now),
        "bundle": signature,
        "shares": shares or "none",
        "MLflow": f"run {said.run_id}, version {said.registered or '-'}" if said.run_id else "-",
        "data": said.data_digest[:12] or "-",
    }
    yield from (f"  {name:<10} {text}" for name, text in facts.items())
    yield from (f"  ! {warning}" for warning in warnings(home, book, version, now))
    if manifest is not None:
        yield from (f"  - {note}" for note in manifest.about.notes)
    yield from gate_lines(version)
    for one in findings(book, version):
        ended = "open" if one.closed is None else f"closed by {who(one.closed[0])}: {one.closed[2]}"
        blocks = ", blocks" if one.blocks else ""
        yield f"finding {one.finding_id} ({one.severity}{blocks}, {one.section}): {one.text}; {ended}"
    if manifest is not None and manifest.about.metrics:
        yield ""
        yield from columns(("figure", "value", "95 % interval"), [_figure(one) for one in figures(manifest)])


def _approval_line(version: Version, now: datetime) -> str:
    if version.approval is None:
        return "none"
    one = version.approval
    ends = f"{'until' if one.holds(now) else 'ended'} {one.expires_at:%Y-%m-%d}"
    return f"{version.approved(now)} by {who(one.by)} on {one.at:%Y-%m-%d}, {ends}: {one.reason}"


def gate_lines(version: Version) -> Iterator[str]:
    """Yield what the gates found, and who answers for what did not pass."""
    if not version.gates:
        return
    borne = {gate: f"accepted by {who(by)}: {why}" for gate, by, why in version.accepted}
    rows = [
        (one.gate, one.verdict.value, number_of(one), borne.get(one.gate, "") or one.note or one.title)
        for one in version.gates
    ]
    yield ""
    yield from columns(("gate", "verdict", "value", ""), rows)
    yield ""


def number_of(gate: GateVerdict) -> str:
    """Return what a gate found, with its interval."""
    if gate.value is None:
        return "-"
    spread = "" if gate.low is None or gate.high is None else f" [{gate.low:.3g}, {gate.high:.3g}]"
    return f"{gate.value:.3g}{spread}"


def _figure(one: Figure) -> tuple[str, str, str]:
    name, value, low, high = one
    return name, f"{value:.4g}", "" if low is None or high is None else f"{low:.4g} to {high:.4g}"


def approve_command(version: Version) -> str:
    """Return the command that approves a version."""
    return f"moment models approve {version.model} {version.version} --reason WHY --key FILE"


def after_approval(version: Version) -> str:
    """Return what comes after an approval."""
    if version.state == "challenger" and version.model == "next-best-action":
        return f"moment catalogue publish {version.version} --key FILE"
    if version.state == "challenger":
        return f"moment models promote {version.model} {version.version} --key FILE"
    return "moment models list"


def next_step(book: Book, now: datetime) -> str:
    """Return what somebody could do next, for the list."""
    waiting = [one for one in book.versions.values() if one.state == "challenger"]
    return (
        next_of(book, waiting[-1], now) if waiting else "moment models show MODEL [VERSION], or moment serve"
    )


def next_of(book: Book, version: Version, now: datetime) -> str:
    """Return what is next in a version's life."""
    from serving.lifecycle import Model, State

    approved = version.approved(now) == "approved"
    match version.state:
        case State.CHALLENGER if version.unaccepted:
            gates = " ".join(f"--gate {one.gate}" for one in version.unaccepted)
            return f"moment models accept {version.model} {version.version} {gates} --reason WHY --key FILE"
        case State.CHALLENGER | State.CHAMPION if not approved:
            following = approve_command(version)
        case State.CHALLENGER:
            following = after_approval(version)
        case State.CANDIDATE if version.model is Model.NEXT_BEST_ACTION:
            following = "its gates failed; mend the catalogue and `moment catalogue submit` it again"
        case State.CANDIDATE:
            following = f"its gates failed; moment train {version.model} with better data"
        case State.CHAMPION if book.former(version.model) is not None:
            following = f"moment models rollback {version.model} --reason WHY goes back to the one before"
        case _:
            following = "moment models list"
    return following
