"""All values of a view under a key in one, which stands beside the row Feast's SQLite store has of each.

A customer is a hundred of Feast's rows and messages, and one packed value a view. Feast reads its own rows as
ever and writes both in one transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from feast.protos.feast.types.Value_pb2 import Value
from feast.value_type import ValueType

from features.contract import FeatureValue

Row: TypeAlias = tuple[FeatureValue, ...]
"""The values of a view under one key, in the order of its features."""

PACKED = "*"
"""Under what name the packed value stands; no feature is called so."""

_MARK_BYTES = 8

_HEAD_BYTES = 8
"""Feast's message has no more than this before the bytes in it: their tag and length."""

_KINDS: Mapping[ValueType, tuple[str, Any]] = {
    ValueType.BOOL: ("bool_val", bool),
    ValueType.INT64: ("int64_val", int),
    ValueType.DOUBLE: ("double_val", float),
    ValueType.STRING: ("string_val", str),
    ValueType.STRING_LIST: ("string_list_val", tuple[str, ...]),
    ValueType.DOUBLE_LIST: ("double_list_val", tuple[float, ...]),
}
"""Where Feast's message has a value of each type, and what it is in Python."""


class PackedView:
    """How the values of one view are packed; prepared once for every row.

    Parameters
    ----------
    view
        Feast's view. What was packed when its features had other names or types is not unpacked.
    """

    def __init__(self, view: Any) -> None:  # noqa: ANN401 - any of Feast's kinds of view
        types = {field.name: field.dtype.to_value_type() for field in view.features}
        kinds = {name: _KINDS[of] for name, of in types.items()}
        described = repr([(name, of.name) for name, of in types.items()])
        self.names = tuple(types)
        """The features in their order, which is that of the values in a row."""
        self._fields = tuple((name, field) for name, (field, _) in kinds.items())
        self._mark = hashlib.sha256(described.encode()).digest()[:_MARK_BYTES]
        row: Any = tuple.__class_getitem__(tuple(kind | None for _, kind in kinds.values()))
        self._decoder: msgspec.msgpack.Decoder[Row] = msgspec.msgpack.Decoder(row)

    def plain(self, messages: Mapping[str, Value]) -> dict[str, FeatureValue]:
        """Return what Feast's messages hold; None where there is none, or one of another type."""
        nothing = Value()
        return {name: _plain(messages.get(name, nothing), field) for name, field in self._fields}

    def pack(self, messages: Mapping[str, Value]) -> Value:
        """Return everything in one; nothing where not all is written, for then it would not be everything."""
        if not messages.keys() >= set(self.names):
            return Value()
        row = tuple(self.plain(messages).values())
        return Value(bytes_val=self._mark + msgspec.msgpack.encode(row))

    def unpack(self, value: bytes) -> Row | None:
        """Return what was packed, from the serialized message; None where it was packed otherwise."""
        mark = value.find(self._mark, 0, _HEAD_BYTES + _MARK_BYTES)
        return None if mark < 0 else self._decoder.decode(memoryview(value)[mark + _MARK_BYTES :])


def _plain(message: Value, field: str) -> FeatureValue:
    if message.WhichOneof("val") != field:
        return None
    value = getattr(message, field)
    if field.endswith("_list_val"):
        return tuple(value.val)
    return None if value != value else value  # noqa: PLR0124 - NaN is missing
