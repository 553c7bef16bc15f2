"""The gates of trained models: what is asked of a version before it may serve, number by number.

What is asked, and within which bounds, stands in each pipeline's ``config.yaml``; here is how each number is
found. Every gate answers with a `serving.lifecycle.GateVerdict`: a value, its 95 % interval where there is
one, the bounds, and pass, fail or inconclusive. A number that could not be found fails; its note says why.
"""

from training.gates.bounds import Bounds, check_names, excused, gate_metrics, gate_tags, missing, verdict

__all__ = ["Bounds", "check_names", "excused", "gate_metrics", "gate_tags", "missing", "verdict"]
