"""The segmentation pipeline: from what customers are like now to named personas in a bundle."""
