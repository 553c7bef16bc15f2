"""One pipeline per model: ``nodes.py`` is pure, ``pipeline.py`` wires it, ``config.yaml`` sets it."""
