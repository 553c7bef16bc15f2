"""Moment: personalization decisioning with the whole life of its models.

``moment.errors``, ``moment.home`` and ``moment.progress`` are the ground every part stands on;
``moment.cli`` is the roof, the ``moment`` command. Importing this package does nothing.
"""

__version__ = "0.1.0"
