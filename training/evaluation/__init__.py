"""How good a model is, with intervals clustered by customer: discrimination, calibration, comparison."""
