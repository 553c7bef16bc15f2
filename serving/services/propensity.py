"""The BentoML service `Propensity`: how likely customers are to answer to actions.

The supervising process imports this module too: heavy libraries come in when a worker makes the service.
"""

from __future__ import annotations

from typing import Any, cast

import bentoml

from serving.lifecycle import Model
from serving.services.batching import MAX_BATCH_ROWS, MAX_LATENCY_MS, ROUTE
from serving.services.front import Front, InFront
from serving.services.opening import check_door, options, scoring_settings

_settings = scoring_settings()
_front = Front()


@bentoml.service(name="Propensity", **options(_settings))
class Propensity:
    """How likely customers are to answer to actions."""

    def __init__(self) -> None:
        from serving.logs import configure
        from serving.services.app import build, watched
        from serving.services.opening import open_model
        from serving.services.operations import PROPENSITY

        self._opened = open_model(Model.PROPENSITY, _settings)
        app = build("Propensity", PROPENSITY, self._opened.scoring, self._opened.door, _settings, _front.rows)
        _front.move_in(*watched(app, _settings.most_in_flight))
        self._log = configure(_settings.log)

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Refuse to start where no key opens the door."""
        from serving.supervising import supervise

        supervise(_settings.log)
        check_door(_settings)

    @bentoml.api(
        route=ROUTE, batchable=True, batch_dim=0, max_batch_size=MAX_BATCH_ROWS, max_latency_ms=MAX_LATENCY_MS
    )
    def score(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answer the rows of all requests that wait, in one call of the model."""
        return self._opened.score(rows)

    @bentoml.on_shutdown
    def close(self) -> None:
        """Close what is open."""
        self._opened.door.close()
        self._log.close()


cast("Any", Propensity).add_asgi_middleware(InFront, front=_front, drain_seconds=_settings.drain_seconds)
