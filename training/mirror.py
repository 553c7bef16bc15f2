"""Shows the ledger in MLflow's registry: aliases and tags. MLflow is told, never asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moment.errors import DependencyError
from moment.home import Home
from moment.progress import step
from serving.lifecycle import Actor, Book, GateVerdict, Model, State, Version
from training.registry import register
from training.tracking import DATABASE, connect, failures, run

ALIASES = (State.CANDIDATE, State.CHALLENGER, State.CHAMPION)
"""What MLflow calls a version: the champion, and the newest candidate and challenger."""

_LONGEST_TAG = 4000


def mirror(home: Home, book: Book) -> None:
    """Make MLflow's registry say of every version what the book says; repeating it changes nothing.

    A version that MLflow does not know is registered, where its bundle is on this machine. Where nothing was
    ever trained there is no MLflow to tell, and none is made.

    Raises
    ------
    DependencyError
        MLflow cannot be told. The ledger stays as it is, and the next time tells all of it.
    """
    if not book.versions or not (home.mlruns / DATABASE).is_file():
        return
    with step("Show it in MLflow"):
        mlflow = connect(home)
        try:
            for model in Model:
                _show(home, mlflow.MlflowClient(), book, model)
        except failures(mlflow) as error:
            said = str(error).partition("\n")[0]
            raise DependencyError(
                f"MLflow cannot be told ({said}); `moment models mirror` tries again"
            ) from error


def tags_of(book: Book, version: Version, now: datetime) -> dict[str, str]:
    """Return what MLflow shows of a version; an empty text is what there is none of."""
    approval, said = version.approval, version.submitted
    found = [one.finding_id for one in book.findings.values() if one.holds_back(version)]
    tags = {
        "state": version.state.value,
        "gates": version.verdict.value if version.verdict else "never asked",
        "accepted": "; ".join(f"{gate} by {_who(by)}: {why}" for gate, by, why in version.accepted),
        "approval": version.approved(now),
        "approver": "" if approval is None else _who(approval.by),
        "approval_ends": "" if approval is None else f"{approval.expires_at:%Y-%m-%d}",
        "held_back_by": ", ".join(found),
        "made_by": _who(version.made_by),
        "owner": said.owner,
        "tier": str(said.tier),
        "use_class": said.use_class,
        "shadow": f"{version.shadow:g}",
        "routed": f"{version.routed:g}",
    }
    return {name: text[:_LONGEST_TAG] for name, text in tags.items()}


def _show(home: Home, client: Any, book: Book, model: Model) -> None:  # noqa: ANN401 - a vendor without types
    versions = book.of_model(model)
    if not versions:
        return
    known = _known(client, model)
    if missing := [one for one in versions if one.digest not in known and _is_here(home, one)]:
        for version in missing:
            _register(home, version)
        known = _known(client, model)
    now = datetime.now(UTC)
    for version in versions:
        if version.digest in known:
            _tag(client, model, *known[version.digest], tags_of(book, version, now))
    _alias(client, book, model, {digest: number for digest, (number, _) in known.items()})


def _known(client: Any, model: Model) -> dict[str, tuple[str, dict[str, str]]]:  # noqa: ANN401
    """Return number and tags of every version in the registry, by digest."""
    found = client.search_model_versions(f"name='{model}'")
    return {
        one.tags["digest"]: (str(one.version), dict(one.tags))
        for one in sorted(found, key=lambda one: -int(one.version))
        if "digest" in one.tags
    }


def _tag(client: Any, model: Model, number: str, there: dict[str, str], wanted: dict[str, str]) -> None:  # noqa: ANN401
    for name, text in wanted.items():
        if text and there.get(name) != text:
            client.set_model_version_tag(model.value, number, name, text)
        elif not text and name in there:
            client.delete_model_version_tag(model.value, number, name)


def _alias(client: Any, book: Book, model: Model, numbers: dict[str, str]) -> None:  # noqa: ANN401
    there = dict(client.get_registered_model(model.value).aliases) if numbers else {}
    for state in ALIASES:
        newest = next((one for one in reversed(book.of_model(model)) if one.state is state), None)
        wanted = None if newest is None else numbers.get(newest.digest)
        found = there.get(state.value)
        if wanted is not None and str(found) != wanted:
            client.set_registered_model_alias(model.value, state.value, wanted)
        elif wanted is None and found is not None:
            client.delete_registered_model_alias(model.value, state.value)


def _is_here(home: Home, version: Version) -> bool:
    return (home.bundles / version.model / version.version / "manifest.json").is_file()


def _register(home: Home, version: Version) -> None:
    """Register a bundle that no run of this MLflow made: a policy, or one from elsewhere."""
    bundle = home.bundles / version.model / version.version
    with run(home, version.model.value, name=version.version) as record:
        record.tags({"moment.bundle": version.version, "moment.reason": version.submitted.reason or "-"})
        figures = {gate.gate: gate.value for gate in version.gates if gate.value is not None}
        record.metrics(figures)
        record.text("life.md", "\n".join(_card(version)))
        register(home, bundle)


def _card(version: Version) -> Iterator[str]:
    """Yield what is known of a version that no pipeline has written a card for."""
    said = version.submitted
    yield f"# {version.model} {version.version}"
    yield ""
    yield f"Made by {_who(version.made_by)} on {version.submitted_at:%Y-%m-%d}: {said.reason or '-'}."
    yield ""
    yield "| gate | asks | found | verdict |"
    yield "|---|---|---:|---|"
    yield from (f"| {one.gate} | {one.title} | {_number(one)} | {one.verdict} |" for one in version.gates)


def _number(gate: GateVerdict) -> str:
    return "-" if gate.value is None else f"{gate.value:.4g}"


def _who(actor: Actor) -> str:
    return f"{actor.person} ({actor.role})" if actor.is_person else "the machine"
