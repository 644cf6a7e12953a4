"""Errors a user can act on. Everything else is a bug and shows its traceback."""

INTERRUPTED = 130
"""What shells report for a command ended by Ctrl-C."""


class AuditError(Exception):
    """Base of all expected failures; ``exit_code`` is what the command line returns for it."""

    exit_code = 2


class UsageError(AuditError):
    """What was asked for cannot be done as asked: a wrong argument, file, label or token."""

    exit_code = 2


class ServiceError(AuditError):
    """Something this depends on failed: a server, a database, the disk."""

    exit_code = 3
