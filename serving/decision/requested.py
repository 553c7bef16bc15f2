"""What a request asks for: its placements, checked against the catalogue."""

from __future__ import annotations

from moment.errors import InvalidRequest
from serving.decision.catalogue import Catalogue
from serving.decision.parsing import nearest
from serving.decision.slates import Slate
from serving.decision.values import Request


def requested_slates(request: Request, catalogue: Catalogue) -> tuple[Slate, ...]:
    """Return the slates asked for, in their order.

    Raises
    ------
    InvalidRequest
        Unknown channel or placement, one asked for twice, slots out of range; ``code`` and ``field`` are set.
    """
    if not request.placements:
        _require_channel(request, catalogue)
        raise InvalidRequest("ask for at least one placement", code="invalid-placements", field="placements")
    slates: dict[str, Slate] = {}
    for position, asked in enumerate(request.placements):
        slate = catalogue.plan.slates.get((request.channel, asked.name))
        if slate is None:
            raise _unknown(request, catalogue, position)
        if asked.name in slates:
            raise InvalidRequest(
                f"placement `{asked.name}` is asked for twice; ask once with more slots",
                code="duplicate-placement",
                field=f"placements[{position}].name",
            )
        if not 1 <= asked.slots <= slate.placement.slots:
            raise InvalidRequest(
                f"placement `{asked.name}` has 1 to {slate.placement.slots} slots, not {asked.slots}",
                code="invalid-slots",
                field=f"placements[{position}].slots",
            )
        slates[asked.name] = slate
    return tuple(slates.values())


def _unknown(request: Request, catalogue: Catalogue, position: int) -> InvalidRequest:
    """Return that the channel does not have a placement; raise where there is no such channel."""
    _require_channel(request, catalogue)
    name = request.placements[position].name
    names = [name for channel, name in catalogue.plan.slates if channel == request.channel]
    hint = nearest(name, names) or f"; one of {', '.join(names)}"
    return InvalidRequest(
        f"channel `{request.channel}` has no placement `{name}`{hint}",
        code="unknown-placement",
        field=f"placements[{position}].name",
    )


def _require_channel(request: Request, catalogue: Catalogue) -> None:
    if request.channel not in catalogue.channels:
        hint = nearest(request.channel, catalogue.channels) or f"; one of {', '.join(catalogue.channels)}"
        raise InvalidRequest(f"no channel `{request.channel}`{hint}", code="unknown-channel", field="channel")
