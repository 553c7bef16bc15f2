"""Bundles: one immutable, digest-checked folder per model version, opened only when all of it is right.

``training`` writes them and ``serving`` opens them, with the same code. Nothing here touches the network,
MLflow or BentoML.
"""

from serving.bundles.calibration import Calibration
from serving.bundles.facts import action_facts
from serving.bundles.linear import LinearColumn, LinearModel
from serving.bundles.manifest import (
    About,
    BundleRefused,
    Manifest,
    Refusal,
    current,
    make_current,
    read_manifest,
    versions,
    write_bundle,
)
from serving.bundles.personas import Axis, Persona, Personas
from serving.bundles.propensity import (
    GoldenRows,
    Kind,
    PriorModel,
    PropensityBundle,
    PropensityContent,
    PropensityScores,
    open_current_propensity,
    open_propensity,
    write_propensity,
)
from serving.bundles.segmentation import (
    SegmentationBundle,
    open_current_segmentation,
    open_segmentation,
    write_segmentation,
)

__all__ = [
    "About",
    "Axis",
    "BundleRefused",
    "Calibration",
    "GoldenRows",
    "Kind",
    "LinearColumn",
    "LinearModel",
    "Manifest",
    "Persona",
    "Personas",
    "PriorModel",
    "PropensityBundle",
    "PropensityContent",
    "PropensityScores",
    "Refusal",
    "SegmentationBundle",
    "action_facts",
    "current",
    "make_current",
    "open_current_propensity",
    "open_current_segmentation",
    "open_propensity",
    "open_segmentation",
    "read_manifest",
    "versions",
    "write_bundle",
    "write_propensity",
    "write_segmentation",
]
