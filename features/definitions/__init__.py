"""Every feature of the customer, by theme, and the contract they make.

A data scientist's own features need no fork: a package names a `features.definition.View` (or several, in a
tuple) in the entry point group ``moment.features``::

    [project.entry-points."moment.features"]
    loyalty = "our_features.loyalty:VIEW"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.metadata import entry_points

from features.contract import FeatureContract
from features.definition import View
from features.definitions import categories, habits, household, responses, spending
from features.realtime_features import REALTIME_V1, VIEW
from moment.errors import ConfigurationError, Fault

ENTRY_POINTS = "moment.features"

BUILT_IN: tuple[View, ...] = (spending.VIEW, habits.VIEW, household.VIEW, responses.VIEW, categories.VIEW)
"""The views Moment ships, in the contract's order."""


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def contract_of(views: tuple[View, ...]) -> FeatureContract:
    """Return the contract ``customer_v1`` of some views.

    Raises
    ------
    ConfigurationError
        Two features or two views share a name.
    """
    specs = tuple(spec for view in views for spec in view.specs)
    # Rules name real-time features beside these
    names = [*(spec.name for spec in specs), *REALTIME_V1.names]
    faults = [
        *(
            Fault(view, "another view has this name")
            for view in _repeated([*(view.name for view in views), VIEW])
        ),
        *(Fault(name, "another feature has this name") for name in _repeated(names)),
    ]
    if faults:
        raise ConfigurationError("features cannot share a name; rename these", faults=faults)
    return FeatureContract("customer_v1", specs)


CUSTOMER_V1 = contract_of(BUILT_IN)
"""The contract of the views Moment ships."""


def all_views() -> tuple[View, ...]:
    """Return the views Moment ships and, after them, those installed packages add, by entry point name.

    Raises
    ------
    ConfigurationError
        An entry point names something else than views.
    """
    added: list[View] = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        loaded = entry.load()
        views = loaded if isinstance(loaded, tuple) else (loaded,)
        strangers = [view for view in views if not isinstance(view, View)]
        if strangers:
            place = f"{ENTRY_POINTS}: {entry.name} = {entry.value}"
            fault = Fault(place, f"names a {type(strangers[0]).__name__}, not a features.definition.View")
            raise ConfigurationError("own features cannot be loaded", faults=[fault])
        added += views
    return (*BUILT_IN, *added)


def customer_contract() -> FeatureContract:
    """Return the contract of `all_views`: `CUSTOMER_V1` unless installed packages add to it."""
    return contract_of(all_views())
