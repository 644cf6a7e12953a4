"""A test double for CVAT 2.73.0: a real HTTP server, used through the real cvat-sdk."""

from tests.doubles.cvat.faults import Fault, Faults
from tests.doubles.cvat.lambdas import FunctionStatus
from tests.doubles.cvat.server import ADMIN, ADMIN_PASSWORD, ADMIN_TOKEN, FakeCvat
from tests.doubles.cvat.transport import Logged

__all__ = ["ADMIN", "ADMIN_PASSWORD", "ADMIN_TOKEN", "FakeCvat", "Fault", "Faults", "FunctionStatus", "Logged"]
