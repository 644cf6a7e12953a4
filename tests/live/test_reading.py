"""Our reader on a real server, on the suite's own project."""

import pytest

from tests.contract.reading import *  # noqa: F403  (the same as on the double)

pytestmark = pytest.mark.live
