"""scikit-learn estimators usable on any DataFrame: propensity, its simpler contenders, segmentation."""
