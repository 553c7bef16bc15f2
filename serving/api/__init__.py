"""The REST API: what comes over HTTP is read strictly, handed to a use case, and answered or refused."""
