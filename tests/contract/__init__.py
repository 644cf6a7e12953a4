"""What a client of CVAT may rely on, as tests: for the double (here) and for a real server (``tests/live``)."""

import pytest

pytest.register_assert_rewrite("tests.contract.cases")
