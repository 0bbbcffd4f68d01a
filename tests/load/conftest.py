import pytest

from tests.support import plans


@pytest.fixture
def make_plan():
    return plans.make_plan
