"""The propensity pipeline: from what was presented and answered to a calibrated model in a bundle."""
