"""The same rules for the same candidates, asked of zen-engine in every form that it offers for it.

Everything is parsed, compiled and loaded beforehand; what is timed begins with the customer's values as a
``dict`` and ends with one verdict per candidate as an array. Two kinds of form:

- *each candidate by itself*: zen is given the conjunction of every candidate's rules, the action's attributes
  put in as constants;
- *on Moment's plan*: somebody has already found the distinct predicates and which candidate needs which; zen
  says which of them hold, and numpy settles the candidates, as Moment does. What is compared then is the
  evaluation of expressions alone.

Verdicts are yes or no: zen has no unknown (a comparison with null is an error), so the customers have no
missing values; and it is not asked which rule failed first, which Moment answers in the same time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import zen
from numpy.typing import NDArray

from benchmarks.workload import Workload
from serving.decision.values import Scalar

Verdicts = NDArray[np.bool_]
Row = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Form:
    """One way to ask zen.

    Attributes
    ----------
    name
        For the table.
    planned
        Whether it stands on Moment's plan.
    ask
        Returns which candidates may be shown: shape (n_candidates,).
    """

    name: str
    planned: bool
    ask: Callable[[Row], Verdicts]


def forms(workload: Workload) -> Iterator[Form]:
    """Yield every form, ready to be asked."""
    candidates = _candidates(workload)
    yield Form("a decision a candidate, one evaluate_batch", False, _batch(candidates))
    yield Form("one decision, an expression a candidate", False, _expressions(candidates))
    yield Form("one compiled expression: a list over candidates", False, _compiled_list(candidates))
    predicates, root = _predicates(workload)
    yield Form("one decision, an expression a predicate", True, _settled(_expressions(predicates), root))
    yield Form("one decision table over predicates (collect)", True, _settled(_table(predicates), root))
    yield Form(
        "one compiled expression: a list over predicates", True, _settled(_compiled_list(predicates), root)
    )


def _candidates(workload: Workload) -> list[str]:
    return [
        " and ".join(f"({workload.zen_of(use.rule_id, action)})" for use in action.rules)
        for action in workload.catalogue.actions
    ]


def _predicates(workload: Workload) -> tuple[list[str], NDArray[np.intp]]:
    """Return the distinct predicates, and which of them each candidate needs."""
    found: dict[str, int] = {}
    root = [
        [found.setdefault(workload.zen_of(use.rule_id, action), len(found)) for use in action.rules]
        for action in workload.catalogue.actions
    ]
    return list(found), np.array(root, dtype=np.intp)


def _settled(ask: Callable[[Row], Verdicts], root: NDArray[np.intp]) -> Callable[[Row], Verdicts]:
    def settled(row: Row) -> Verdicts:
        return np.asarray(ask(row)[root].all(axis=1))

    return settled


def _batch(texts: list[str]) -> Callable[[Row], Verdicts]:
    keys = [f"k{number}" for number in range(len(texts))]
    content = {key: _graph(_expression_node({"ok": text})) for key, text in zip(keys, texts, strict=True)}
    engine = zen.ZenEngine({"loader": {"type": "static", "content": content}})

    def ask(row: Row) -> Verdicts:
        context = dict(row)
        results = engine.evaluate_batch([{"key": key, "context": context} for key in keys])
        return np.array([one["data"]["result"]["ok"] for one in results])

    return ask


def _expressions(texts: list[str]) -> Callable[[Row], Verdicts]:
    keys = [f"k{number}" for number in range(len(texts))]
    node = _expression_node(dict(zip(keys, texts, strict=True)))
    decision = zen.ZenEngine().create_decision(zen.ZenDecisionContent(json.dumps(_graph(node))))

    def ask(row: Row) -> Verdicts:
        result = decision.evaluate(dict(row))["result"]
        return np.array([result[key] for key in keys])

    return ask


def _table(texts: list[str]) -> Callable[[Row], Verdicts]:
    node: dict[str, object] = {
        "id": "node",
        "name": "node",
        "type": "decisionTableNode",
        "content": {
            "hitPolicy": "collect",
            "passThrough": False,
            "inputs": [{"id": "if", "name": "if"}],
            "outputs": [{"id": "then", "name": "then", "field": "holds"}],
            "rules": [
                {"_id": str(number), "if": text, "then": str(number)} for number, text in enumerate(texts)
            ],
        },
    }
    decision = zen.ZenEngine().create_decision(zen.ZenDecisionContent(json.dumps(_graph(node))))

    def ask(row: Row) -> Verdicts:
        holds = np.zeros(len(texts), dtype=np.bool_)
        collected = decision.evaluate(dict(row))["result"]
        holds[[int(one["holds"]) for one in collected]] = True
        return holds

    return ask


def _compiled_list(texts: list[str]) -> Callable[[Row], Verdicts]:
    compiled = zen.compile_expression(f"[{', '.join(texts)}]")

    def ask(row: Row) -> Verdicts:
        return np.array(compiled.evaluate(dict(row)))

    return ask


def _expression_node(expressions: Mapping[str, str]) -> dict[str, object]:
    said = [{"id": key, "key": key, "value": text} for key, text in expressions.items()]
    return {
        "id": "node",
        "name": "node",
        "type": "expressionNode",
        "content": {"passThrough": False, "expressions": said},
    }


def _graph(node: dict[str, object]) -> dict[str, object]:
    """Return a decision of one node between input and output."""
    return {
        "contentType": "application/vnd.gorules.decision",
        "nodes": [
            {"id": "in", "name": "in", "type": "inputNode"},
            node,
            {"id": "out", "name": "out", "type": "outputNode"},
        ],
        "edges": [
            {"id": "first", "type": "edge", "sourceId": "in", "targetId": "node"},
            {"id": "second", "type": "edge", "sourceId": "node", "targetId": "out"},
        ],
    }
