"""Bundles: one immutable, digest-checked folder per model version, opened only when all of it is right.

``training`` writes them and ``serving`` opens them, with the same code. Nothing here touches the network,
MLflow or BentoML. What serving opens is signed by a key it trusts, and was proved in a child process before.
"""

from serving.bundles.calibration import Calibration
from serving.bundles.facts import action_facts
from serving.bundles.linear import LinearColumn, LinearModel
from serving.bundles.manifest import (
    About,
    BundleFiles,
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
from serving.bundles.policy import PolicyBundle, open_current_policy, open_policy, write_policy
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
from serving.bundles.proving import (
    Proved,
    open_proved_policy,
    open_proved_propensity,
    open_proved_segmentation,
    prove,
)
from serving.bundles.segmentation import (
    SegmentationBundle,
    open_current_segmentation,
    open_segmentation,
    write_segmentation,
)
from serving.bundles.signing import BundleKey, Trust, sign_bundle, verify_signature

__all__ = [
    "About",
    "Axis",
    "BundleFiles",
    "BundleKey",
    "BundleRefused",
    "Calibration",
    "GoldenRows",
    "Kind",
    "LinearColumn",
    "LinearModel",
    "Manifest",
    "Persona",
    "Personas",
    "PolicyBundle",
    "PriorModel",
    "PropensityBundle",
    "PropensityContent",
    "PropensityScores",
    "Proved",
    "Refusal",
    "SegmentationBundle",
    "Trust",
    "action_facts",
    "current",
    "make_current",
    "open_current_policy",
    "open_current_propensity",
    "open_current_segmentation",
    "open_policy",
    "open_propensity",
    "open_proved_policy",
    "open_proved_propensity",
    "open_proved_segmentation",
    "open_segmentation",
    "prove",
    "read_manifest",
    "sign_bundle",
    "verify_signature",
    "versions",
    "write_bundle",
    "write_policy",
    "write_propensity",
    "write_segmentation",
]
