"""A channel that decides, reports and tries again, and remembers what was acknowledged."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime

_ATTEMPTS = 200


class Channel(threading.Thread):
    """One connection at a time, until `done` is set; `seed` says whom it asks for and what it reports.

    What breaks is asked again under the same ids, as ``docs/api.md`` tells channels to.
    """

    def __init__(self, address: str, secret: str, seed: str, customers: int = 30) -> None:
        super().__init__(name=seed)
        self.done = threading.Event()
        self.decisions: dict[str, str] = {}
        self.outcomes: set[tuple[str, str]] = set()
        self.events: set[str] = set()
        self.seen: Counter[str] = Counter()
        self._address = address
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._random = random.Random(seed)  # noqa: S311
        self._customers = customers
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Ask again and again."""
        number = 0
        while not self.done.is_set():
            number += 1
            self._visit(f"{self.name}-{number}")
        self._close()

    def _visit(self, visit: str) -> None:
        customer = f"c{self._random.randrange(self._customers)}"
        placements = [{"name": "home", "slots": 1}]
        asked: dict[str, object] = {
            "request_id": visit, "customer_id": customer, "channel": "web", "placements": placements
        }  # fmt: skip
        answer = self._ask("/v1/decisions", asked)
        if answer is None:
            return
        assert self.decisions.setdefault(visit, str(answer["decision_id"])) == answer["decision_id"]
        offers = answer["placements"][0]["offers"]  # type: ignore[index]
        now = datetime.now(UTC).isoformat()
        if offers and self._random.random() < 0.7:
            outcome = {
                "tracking_id": offers[0]["tracking_id"],
                "kind": "presented",
                "event_id": f"{visit}-shown",
                "occurred_at": now,
            }
            told = self._ask("/v1/outcomes", {"outcomes": [outcome]})
            if told is not None:
                verdict = told["outcomes"][0]["verdict"]  # type: ignore[index]
                assert verdict in {"recorded", "duplicate"}, told
                self.outcomes.add((offers[0]["tracking_id"], f"{visit}-shown"))
        event = {
            "event_id": f"{visit}-view",
            "customer_id": customer,
            "kind": "page_view",
            "occurred_at": now,
            "channel": "web",
        }
        told = self._ask("/v1/events", {"events": [event]})
        if told is not None:
            assert told["events"][0]["verdict"] in {"recorded", "duplicate"}, told  # type: ignore[index]
            self.events.add(f"{visit}-view")

    def _ask(self, path: str, body: dict[str, object]) -> dict[str, object] | None:
        """Return the answer, asked for again and again; None when there is none till the end."""
        for _ in range(_ATTEMPTS):
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(self._address, timeout=30)
                    self._connection.connect()
            except ConnectionRefusedError:
                self._again("refused")
            except OSError as error:
                self._again(f"no connection: {type(error).__name__}")
            else:
                found = self._exchange(path, json.dumps(body))
                if found is not None:
                    return found
            if self.done.is_set():
                return None
        raise AssertionError(f"{path} was never answered: {self.seen}")

    def _exchange(self, path: str, body: str) -> dict[str, object] | None:
        assert self._connection is not None
        try:
            self._connection.request("POST", path, body, self._headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._again(f"broken: {type(error).__name__}")
            return None
        self.seen[str(response.status)] += 1
        if response.getheader("connection") == "close":
            self._close()
        if response.status in {429, 503}:
            assert response.getheader("retry-after")
            time.sleep(0.02)
            return None
        assert response.status == 200, content
        answer: dict[str, object] = json.loads(content)
        return answer

    def _again(self, why: str) -> None:
        self.seen[why] += 1
        self._close()
        time.sleep(0.02)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
