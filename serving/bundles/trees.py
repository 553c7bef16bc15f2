"""Boosted trees read from UBJSON: how they score, and what was read of them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_INTEGERS = (
    "left_children",
    "right_children",
    "parents",
    "split_indices",
    "split_type",
    "default_left",
    "categories",
    "categories_nodes",
    "categories_segments",
    "categories_sizes",
)
_NUMBERS = ("split_conditions", "base_weights", "sum_hessian", "loss_changes")


class TreeModel:
    """Boosted trees read from UBJSON, scored on one thread."""

    __slots__ = ("_booster",)

    def __init__(self, content: bytes) -> None:
        # Importing xgboost takes seconds (it pulls scikit-learn and pandas in): only who needs it pays.
        from xgboost import Booster

        self._booster = Booster(params={"nthread": 1})
        self._booster.load_model(bytearray(content))
        self._booster.set_param({"nthread": 1})

    @property
    def width(self) -> int:
        """Number of columns the trees expect."""
        return int(self._booster.num_features())

    def margins(
        self,
        matrix: NDArray[np.float32],
        counts: Sequence[int] | None = None,  # noqa: ARG002 - trees read every row
    ) -> NDArray[np.float64]:
        """Return log-odds, shape ``(n,)``."""
        scores = self._booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
        return np.asarray(scores, dtype=np.float64)

    def read_as(self) -> str:
        """Return the SHA-256 of the trees as the library has read them.

        Golden rows see the leaves they fall in, and a threshold only from where they stand; this sees every
        node. It is taken of what was read and not of the file, so it tells of a parser that reads a file
        differently, and of a damage that leaves a file well-formed.
        """
        learner: Mapping[str, Any] = json.loads(bytes(self._booster.save_raw("json")))["learner"]
        found = hashlib.sha256()
        for name, content in _parts(learner):
            found.update(f"{name}:{len(content)}:".encode())
            found.update(content)
        return found.hexdigest()


def _parts(learner: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield what decides a margin, each part with its name; numbers in the library's own precision."""
    parameters, booster = learner["learner_model_param"], learner["gradient_booster"]
    yield "objective", str(learner["objective"]["name"]).encode()
    yield "booster", str(booster["name"]).encode()
    for name in ("base_score", "num_class", "num_feature", "num_target"):
        yield name, str(parameters[name]).encode()
    model = booster["model"]
    for name in ("tree_info", "iteration_indptr"):
        yield name, _bytes(model[name], "<i8")
    for tree in model["trees"]:
        for name in _INTEGERS:
            yield name, _bytes(tree[name], "<i8")
        for name in _NUMBERS:
            yield name, _bytes(tree[name], "<f4")


def _bytes(values: list[float], dtype: str) -> bytes:
    return np.array(values, dtype=dtype).tobytes()
