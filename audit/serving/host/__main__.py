"""``python -m audit.serving.host DIR...`` is ``cvat-audit functions serve DIR...``."""

from audit.cli.functions import serve

if __name__ == "__main__":
    serve()
