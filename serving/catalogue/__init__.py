"""Reading and checking of the catalogue: actions, treatments, rules and placements in versioned YAML."""

from serving.catalogue.loader import load

__all__ = ["load"]
