"""The present instant, and ids that sort by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], datetime]
"""Returns the present instant, UTC."""


Ids = Callable[[datetime], str]
"""Returns a new decision id for a decision recorded at that instant; ids sort by it."""
