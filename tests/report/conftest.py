"""What the tests of reports share."""

import pytest

# So that its failures show both sides, as those of test modules do.
pytest.register_assert_rewrite("tests.report.soundness")
