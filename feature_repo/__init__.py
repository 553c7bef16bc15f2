"""The Feast repository, built from the features' definitions.

``cd feature_repo`` and use the ``feast`` command as in any other: ``feast apply``,
``feast feature-views list``, ``feast ui``. Nothing here writes or connects when imported.
"""
