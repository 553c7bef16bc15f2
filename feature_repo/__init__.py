"""Feast, declaratively: entities, sources, views and feature services built from `features`."""
