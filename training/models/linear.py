"""The simpler contenders: `PriorRate` and `RegularizedLogistic`. Same interface as `PropensityModel`.

Both expose ``linear_`` (`serving.bundles.linear.LinearModel`) over the matrix of ``encode`` for a bundle.
"""
