"""What a customer allows, as a channel was told: it holds from the next request on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from moment.errors import InvalidRequest
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.parsing import nearest
from serving.decision.values import Purpose
from serving.ports import Clock, Consents, Scope, Told
from serving.use_cases.access import Caller
from serving.use_cases.version_set import LiveState


@dataclass(frozen=True, slots=True)
class Choice:
    """What a customer chose for a purpose, on a channel or on every one (None)."""

    purpose: Purpose
    channel: str | None
    status: ConsentStatus


@dataclass(frozen=True, slots=True)
class TellConsents:
    """The use case."""

    consents: Consents
    live: LiveState
    clock: Clock

    def __call__(self, caller: Caller, customer_id: str, choices: Sequence[Choice]) -> datetime:
        """Append what a customer chose, all at once; return since when it holds.

        A key bound to a channel may grant for that channel alone, and refuse for any.

        Raises
        ------
        InvalidRequest
            ``channel-not-allowed``; ``unknown-channel``: a wish for a channel nobody has would be heeded by
            nobody; or one choice contradicts another of the request.
        DependencyError
            The ledger does not answer; nothing was recorded.
        """
        caller.require(Scope.WRITE_CONSENTS)
        if any(choice.status is ConsentStatus.GRANTED for choice in choices):
            caller.ask_about(customer_id)  # a refusal is taken from whoever tells it, however many they told
        channels = self.live.now.channels
        for place, choice in enumerate(choices):
            field = f"consents[{place}].channel"
            if choice.channel is not None and choice.channel not in channels:
                hint = nearest(choice.channel, channels) or f"; one of {', '.join(channels)}, or none for all"
                raise InvalidRequest(
                    f"no channel `{choice.channel}`{hint}", code="unknown-channel", field=field
                )
            if choice.status is ConsentStatus.GRANTED and caller.channel not in (None, choice.channel):
                raise InvalidRequest(
                    "this key speaks for another channel; name its channel to grant something",
                    code="channel-not-allowed",
                    field=field,
                )
        if len({(one.purpose, one.channel) for one in choices}) < len(choices):
            raise InvalidRequest(
                "a purpose is told twice for one channel; tell it once",
                code="invalid-value",
                field="consents",
            )
        now = self.clock()
        entries = [
            ConsentEntry(one.purpose, one.channel, one.status, now, None, now, f"key {caller.key_id}")
            for one in choices
        ]
        self.consents.append([Told(customer_id, entry) for entry in entries], mode=caller.mode)
        return now
