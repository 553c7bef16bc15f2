"""A state as text, and back: what the operational database and Feast keep."""

from __future__ import annotations

import json

from features.realtime import Counter, Latest, Memory, State
from moment.errors import DependencyError

FORMAT = 1


def dumps(state: State) -> str:
    """Return a state as text; equal states have equal texts."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for (code, number, counter), count in state.counts.items():
        counts.setdefault(counter, {}).setdefault(code, {})[str(number)] = count
    latest = {memory: [told.at, told.event_id, told.value] for memory, told in state.latest.items()}
    content = {"format": FORMAT, "newest": state.newest, "counts": counts, "latest": latest}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def loads(text: str | bytes) -> State:
    """Read a state back.

    Raises
    ------
    DependencyError
        A newer Moment wrote it.
    """
    content = json.loads(text)
    if content["format"] > FORMAT:
        raise DependencyError(
            f"a real-time state is kept in format {content['format']}, this Moment reads up to {FORMAT}; "
            "upgrade Moment"
        )
    counts = {
        (code, int(number), Counter(counter)): count
        for counter, codes in content["counts"].items()
        for code, numbers in codes.items()
        for number, count in numbers.items()
    }
    latest = {Memory(memory): Latest(*told) for memory, told in content["latest"].items()}
    return State(content["newest"], counts, latest)
