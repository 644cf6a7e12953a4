"""Nuclio's part on one machine without Docker: the dashboard's endpoints, workers, limits. See ``host.serve``."""
