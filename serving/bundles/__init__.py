"""Bundles: one immutable, digest-checked folder per model version, opened only when everything in it is right.

``training`` writes them and ``serving`` opens them, with the same code. Nothing here touches the network,
MLflow or BentoML.
"""

from serving.bundles.calibration import Calibration
from serving.bundles.linear import LinearColumn, LinearModel
from serving.bundles.personas import Axis, Persona, Personas

__all__ = ["Axis", "Calibration", "LinearColumn", "LinearModel", "Persona", "Personas"]
