"""The report of a version, Markdown: its life first, then what was measured when it was made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from moment.home import Home
from serving.commands.life import who
from serving.commands.models_tell import number_of, signature_of
from serving.commands.models_view import findings, report_of, warnings
from serving.lifecycle import Book, Version


def life_report(home: Home, book: Book, version: Version, now: datetime) -> str:
    """Return the report: what people must know first comes first."""
    told = list(_life(home, book, version, now))
    measured = report_of(home, version)
    told.append(measured or "No report of its training is kept on this machine.")
    return "\n".join(told).rstrip()


def _life(home: Home, book: Book, version: Version, now: datetime) -> Iterator[str]:
    said = version.submitted
    yield f"# {version.model} {version.version}: {version.state}"
    yield ""
    yield f"As of {now:%Y-%m-%d %H:%M} UTC, act {book.seq} of the ledger."
    yield ""
    for warning in warnings(home, book, version, now):
        yield f"- **Look at this:** {warning}"
    for gate, by, why in version.accepted:
        yield f"- **Overridden:** gate `{gate}`, by {who(by)}: {why}"
    yield f"- Digest `{version.digest}`, {signature_of(home, version)}"
    yield f"- Made by {who(version.made_by)} on {version.submitted_at:%Y-%m-%d}: {said.reason or 'no reason'}"
    yield f"- Tier {said.tier}, used for {said.use_class}, owned by {said.owner or 'nobody by name'}"
    yield f"- Approval: {_approval(version, now)}"
    yield ""
    yield from _gates(version)
    yield from _findings(book, version)


def _approval(version: Version, now: datetime) -> str:
    one = version.approval
    if one is None:
        return "none"
    until = f"{'until' if one.holds(now) else 'ended'} {one.expires_at:%Y-%m-%d}"
    return (
        f"{version.approved(now)}, by {who(one.by)} as validator on {one.at:%Y-%m-%d}, {until}: {one.reason}"
    )


def _gates(version: Version) -> Iterator[str]:
    yield f"## Gates: {version.verdict or 'never asked'}"
    yield ""
    if not version.gates:
        return
    accepted = {gate for gate, _, _ in version.accepted}
    yield "| gate | asks | found | verdict |"
    yield "|---|---|---:|---|"
    for one in version.gates:
        verdict = f"{one.verdict}, overridden" if one.gate in accepted else one.verdict.value
        note = f" ({one.note})" if one.note else ""
        yield f"| `{one.gate}` | {one.title}{note} | {number_of(one)} | {verdict} |"
    yield ""


def _findings(book: Book, version: Version) -> Iterator[str]:
    found = findings(book, version)
    if not found:
        return
    yield "## Findings"
    yield ""
    for one in found:
        ended = "open" if one.closed is None else f"closed by {who(one.closed[0])}: {one.closed[2]}"
        blocks = ", **holds it back**" if one.holds_back(version) else ""
        yield f"- `{one.finding_id}` ({one.severity}, {one.section}{blocks}): {one.text} ({ended})"
    yield ""
