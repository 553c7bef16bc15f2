"""Training: models, pipelines, evaluation, tracking. Nothing here serves."""
