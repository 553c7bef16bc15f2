"""Whether a golden decision speaks of things that exist: a typo must not pass for a free choice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from serving.catalogue.feature_columns import columns_read
from serving.catalogue.golden_case import USUAL_CHANNEL
from serving.catalogue.golden_given import CONTACT, GONE, OUTCOME
from serving.catalogue.golden_told import NOT_OFFERED, REASONS, REFUSED, THEN
from serving.catalogue.names import among
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.parsing import nearest
from serving.decision.reasons import Reason
from serving.decision.stopped import NEXT_BEST_ACTION
from serving.decision.values import Purpose, Stopped, Used

PARTS = frozenset({"concept", "given", "when", "then"})
GIVEN = frozenset(
    {
        "customer",
        "zone",
        "language",
        "unit",
        "consents",
        "opted_out",
        "contacts",
        "outcomes",
        "used",
        "merged",
    }
)
WHEN = frozenset(
    {"at", "channel", "placements", "context", "trusted", "propensities", "evidence", "seed"}
) | {"force", "stopped"}
_MODELS = (NEXT_BEST_ACTION,)
_BY_CANDIDATE = ("why", REASONS, "measured", "priorities", "levers", "context_weights")
_REASONS = tuple(one.name.lower() for one in Reason)
_BY_PLACEMENT = ("offers", "actions", "kinds", "placements", *_BY_CANDIDATE)
_OF_TYPE = {
    ColumnType.BOOL: (bool,),
    ColumnType.INT: (int,),
    ColumnType.FLOAT: (int, float),
    ColumnType.STRING: (str,),
}

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong in a case, and where: the keys and positions that lead there."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'the case'}: {self.message}"


class Check:
    """Checks cases against one catalogue.

    Parameters
    ----------
    catalogue
        What they speak of.
    features
        The customer's columns by name, with their types; None: customers are taken as they are described.
    given
        What ``given`` may name.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        features: Mapping[str, Column] | None = None,
        given: Collection[str] = GIVEN,
    ) -> None:
        self._features, self._given = features, given
        self._columns = None if features is None else {*features, *columns_read(catalogue)}
        everything = (*catalogue.actions, *catalogue.fallbacks)
        self._actions = {str(action.action_id) for action in everything}
        self._treatments = {str(one.treatment_id) for action in everything for one in action.treatments}
        self._issues = {action.issue for action in catalogue.actions}
        self._context = {one.name for one in catalogue.context}
        self._places: dict[str, set[str]] = {}
        for channel, name in catalogue.plan.slates:
            self._places.setdefault(channel, set()).add(name)

    def wrongs(self, case: Any) -> Iterator[Wrong]:  # noqa: ANN401  # YAML
        """Yield everything that is wrong in a case; where its parts are not there, no more than that."""
        found = [*_names((), case, PARTS)]
        if not isinstance(case, dict):
            yield from found
            return
        for part, names in {"given": self._given, "when": WHEN, "then": THEN}.items():
            written = case.get(part)
            if written is not None or part != "given":
                found += _names((part,), written, names)
        yield from found
        if any("must be a mapping" in one.message for one in found):
            return
        if not case["then"]:
            yield Wrong(("then",), "a case states what must come of it")
        yield from self._given_wrongs(case.get("given") or {})
        # What is refused may well ask for what is not there
        refused = REFUSED in case["then"]
        yield from self._when_wrongs(case["when"], refused=refused)
        yield from self._then_wrongs(
            case["then"], {name for name, _ in _items(case["when"].get("placements"))}
        )

    def _given_wrongs(self, given: Mapping[str, Any]) -> Iterator[Wrong]:
        yield from self._customer_wrongs(given.get("customer"))
        consents = given.get("consents", [])
        if consents != GONE:
            yield from _each_known(("given", "consents"), consents, [*Purpose], "purpose")
        yield from self._past_wrongs(("given",), given)
        if "merged" in given:
            yield from _names(("given", "merged"), given["merged"], {"contacts", "outcomes"})
            if isinstance(given["merged"], dict):
                yield from self._past_wrongs(("given", "merged"), given["merged"])
        for name, used in _items(given.get("used")):
            yield from _known(("given", "used", name), name, self._actions, "action")
            yield from _names(("given", "used", name), used, {one.name for one in fields(Used)})
        zone = given.get("zone")
        if zone is not None and not _is_zone(zone):
            yield Wrong(("given", "zone"), f"there is no time zone `{zone}`; write one such as Europe/Berlin")

    def _customer_wrongs(self, customer: Any) -> Iterator[Wrong]:  # noqa: ANN401  # YAML
        if customer is None:
            return
        if not isinstance(customer, dict):
            yield Wrong(("given", "customer"), "must be a mapping of features to values")
            return
        for name, value in customer.items():
            place = ("given", "customer", name)
            if self._columns is not None:
                yield from _known(place, name, self._columns, "feature")
            column = None if self._features is None else self._features.get(name)
            yield from () if column is None else _of_column(place, value, column)

    def _past_wrongs(self, path: Path, part: Mapping[str, Any]) -> Iterator[Wrong]:
        for kind, names in {"contacts": CONTACT, "outcomes": OUTCOME}.items():
            written = part.get(kind) or []
            if written == GONE and kind == "contacts":
                continue
            if not isinstance(written, list):
                yield Wrong((*path, kind), "must be a list")
                continue
            for position, one in enumerate(written):
                place = (*path, kind, position)
                yield from _names(place, one, names)
                if isinstance(one, dict):
                    yield from _known((*place, "action"), one.get("action"), self._actions, "action")
                    yield from _instant((*place, "at"), one.get("at"))
                    if kind == "outcomes" and "kind" not in one:
                        yield Wrong(place, "an outcome has a kind, such as accepted or rejected")

    def _when_wrongs(self, when: Mapping[str, Any], *, refused: bool) -> Iterator[Wrong]:
        yield from _instant(("when", "at"), when.get("at"))
        placements = when.get("placements")
        if not isinstance(placements, dict) or not placements:
            yield Wrong(("when", "placements"), "must be a mapping of placements to slots, such as {home: 3}")
        for name in ("propensities", "evidence"):
            for key, value in _items(when.get(name)):
                place = ("when", name, key)
                yield from _known(place, key, self._actions | self._treatments, "action or treatment")
                top = 1.0 if name == "propensities" else float("inf")
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top:
                    yield Wrong(place, "must be a number, and a propensity one from 0 to 1")
        if "force" in when:
            yield from _names(("when", "force"), when["force"], {"action", "treatment"})
            if isinstance(when["force"], dict) and "action" not in when["force"]:
                yield Wrong(("when", "force"), "names an action")
        yield from self._stop_wrongs(when.get("stopped"))
        if not refused:
            yield from self._asked_wrongs(when)

    def _asked_wrongs(self, when: Mapping[str, Any]) -> Iterator[Wrong]:
        channel = str(when.get("channel", USUAL_CHANNEL))
        yield from _known(("when", "channel"), channel, self._places, "channel")
        for name, _ in _items(when.get("placements")):
            known = self._places.get(channel, {name})
            yield from _known(("when", "placements", name), name, known, "placement")
        for name, _ in _items(when.get("context")):
            yield from _known(("when", "context", name), name, self._context, "context value")
        force = when.get("force") or {}
        if "action" in force:
            yield from _known(("when", "force", "action"), force["action"], self._actions, "action")

    def _stop_wrongs(self, stopped: Any) -> Iterator[Wrong]:  # noqa: ANN401  # YAML
        if stopped is None:
            return
        known = {
            "actions": self._actions,
            "issues": self._issues,
            "channels": self._places,
            "models": _MODELS,
        }
        yield from _names(("when", "stopped"), stopped, {one.name for one in fields(Stopped)})
        for kind, names in _items(stopped):
            if kind in known:
                yield from _each_known(("when", "stopped", kind), names, known[kind], kind.removesuffix("s"))

    def _then_wrongs(self, then: Mapping[str, Any], asked: set[str]) -> Iterator[Wrong]:
        yield from _placement_wrongs(then, asked)
        if NOT_OFFERED in then:
            yield from _each_known(("then", NOT_OFFERED), then[NOT_OFFERED], self._actions, "action")
        for name, known, kind in (
            ("offers", self._treatments, "treatment"),
            ("actions", self._actions, "action"),
        ):
            for placement, listed in _items(then.get(name)):
                yield from _each_known(("then", name, placement), listed, known, kind)
        for name in _BY_CANDIDATE:
            for placement, told in _items(then.get(name)):
                for key, value in _items(told):
                    place = ("then", name, placement, key)
                    yield from _known(place, key, self._actions | self._treatments, "action or treatment")
                    if name == REASONS:
                        yield from _known(place, str(value).partition(": ")[0], _REASONS, "reason")


def _placement_wrongs(then: Mapping[str, Any], asked: set[str]) -> Iterator[Wrong]:
    """Yield what should be told by placement and is not, or of one that is not asked for."""
    for name in _BY_PLACEMENT:
        if not isinstance(then.get(name, {}), dict):
            yield Wrong(("then", name), "must be a mapping of placements to what is there")
        for placement, _ in _items(then.get(name)):
            if placement not in asked:
                yield Wrong(("then", name, placement), f"is not asked for{_hint(placement, asked)}")


def _names(path: Path, written: Any, known: Collection[str]) -> Iterator[Wrong]:  # noqa: ANN401  # YAML
    """Yield what is not a mapping, and every key in one that nothing reads."""
    if not isinstance(written, dict):
        yield Wrong(path, "must be a mapping of names to values")
        return
    for name in written:
        if name not in known:
            yield Wrong((*path, name), f"there is no such thing{_hint(str(name), known)}")


def _known(path: Path, name: object, known: Collection[str], kind: str) -> Iterator[Wrong]:
    if name not in known:
        yield Wrong(path, f"there is no {kind} `{name}`{_hint(str(name), known)}")


def _each_known(path: Path, names: Any, known: Collection[str], kind: str) -> Iterator[Wrong]:  # noqa: ANN401  # YAML
    if not isinstance(names, list):
        yield Wrong(path, "must be a list")
        return
    for position, name in enumerate(names):
        yield from _known((*path, position), name, known, kind)


def _hint(name: str, known: Iterable[str]) -> str:
    return nearest(name, known) or among(known)


def _items(written: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401  # YAML
    return written.items() if isinstance(written, dict) else ()


def _instant(path: Path, value: object) -> Iterator[Wrong]:
    if not isinstance(value, datetime) or value.tzinfo is None:
        yield Wrong(path, "must be an instant such as 2026-11-30T08:00:00Z")


def _of_column(path: Path, value: object, column: Column) -> Iterator[Wrong]:
    if value is None:
        return
    if not isinstance(value, _OF_TYPE[column.type]) or (
        isinstance(value, bool) and column.type is not ColumnType.BOOL
    ):
        yield Wrong(path, f"must be {column.type}, or null where it is not known")
    elif column.categories and value not in column.categories:
        yield Wrong(path, f"must be one of {', '.join(column.categories)}, or null")


def _is_zone(name: object) -> bool:
    try:
        ZoneInfo(str(name))
    except (OSError, ValueError, KeyError):
        return False
    return True
