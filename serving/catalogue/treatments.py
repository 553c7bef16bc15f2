"""Treatments: what is written of them, and whether their channel, placements and templates exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from serving.catalogue.names import among
from serving.catalogue.section import Section
from serving.decision.actions import Treatment
from serving.decision.columns import Column
from serving.decision.parsing import nearest
from serving.decision.templates import is_well_formed, places
from serving.decision.values import TreatmentId

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class DraftTreatment:
    """A treatment as written; actions below inherit it by its key."""

    key: str
    channel: str
    placements: tuple[str, ...]
    language: str
    content: Mapping[str, str]
    section: Section

    def of(self, action_id: str) -> Treatment:
        """Return it as the treatment of an action."""
        return Treatment(
            treatment_id=TreatmentId(f"{action_id}-{self.key}"),
            channel=self.channel,
            placements=self.placements,
            language=self.language,
            content=self.content,
        )


def read_language(section: Section, default: str) -> str:
    """Return a language tag such as ``en`` or ``pt-BR``."""
    language = section.text("language", default)
    if "language" in section and not _LANGUAGE.fullmatch(language):
        section.fault("language", f"`{language}` is no language tag; write one such as en or pt-BR")
    return language


def read_treatments(above: Section, language: str) -> Iterator[tuple[str, DraftTreatment]]:
    """Yield the treatments an issue, group, action or the defaults write, by key."""
    for key, section in above.sections("treatments", f"{above.where}, treatment", required=False):
        content = section.section("content", f"{section.where}, content")
        treatment = DraftTreatment(
            key=key,
            channel=section.text("channel"),
            placements=tuple(sorted({name for name, _ in section.texts("placements")})),
            language=read_language(section, language),
            content={name: content.text(name) for name in content.names()},
            section=section,
        )
        if not treatment.placements:
            section.fault("placements", "needs at least one placement")
        if not treatment.content and "content" in section:
            section.fault("content", "needs at least one entry such as title")
        section.finish()
        yield key, treatment


def check_treatments(
    treatments: Iterable[DraftTreatment],
    places_of: Mapping[str, Iterable[str]],
    columns: Mapping[str, Column],
    *,
    closed: bool,
) -> None:
    """Check channel, placements and templates; a treatment many actions inherit is wrong once."""
    for treatment in {id(one): one for one in treatments}.values():
        _check_placements(treatment, places_of)
        _check_templates(treatment, columns, closed=closed)


def _check_placements(treatment: DraftTreatment, places_of: Mapping[str, Iterable[str]]) -> None:
    known = places_of.get(treatment.channel)
    if known is None:
        if treatment.channel:
            hint = nearest(treatment.channel, places_of) or among(places_of)
            treatment.section.fault("channel", f"there is no channel `{treatment.channel}`{hint}")
        return
    for name in treatment.placements:
        if name not in known:
            hint = nearest(name, known) or among(known)
            treatment.section.fault("placements", f"channel {treatment.channel} has no `{name}`{hint}")


def _check_templates(treatment: DraftTreatment, columns: Mapping[str, Column], *, closed: bool) -> None:
    for field, template in treatment.content.items():
        if not is_well_formed(template):
            treatment.section.fault("content", f"{field}: a place is written {{{{ action.label }}}}")
        for name in places(template):
            source, _, rest = name.partition(".")
            if source not in ("action", "context", "customer") or not rest:
                message = f"{field}: `{name}` begins with none of action., context., customer."
                treatment.section.fault("content", message)
            elif source == "customer" and not closed:
                continue
            elif (rest if source == "customer" else name) not in columns:
                names = [f"customer.{known}" if "." not in known else known for known in columns]
                treatment.section.fault("content", f"{field}: there is no `{name}`{nearest(name, names)}")
