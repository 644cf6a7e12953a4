"""The contract suite on a real server. It makes one project and deletes it at the end."""

import pytest

from tests.contract.cases import *  # noqa: F403  (the suite; the same as on the double)

pytestmark = pytest.mark.live
