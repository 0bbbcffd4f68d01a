import pytest

from harness.core.errors import MachineError, ScenarioError, ScenarioProblem
from harness.emulation.failures import decode_failure, encode_failure


@pytest.mark.parametrize(
    "error",
    [
        ScenarioError(
            [
                ScenarioProblem("[emulator]", "code", '"a.js"', "must exist", "look"),
                ScenarioProblem("[emulator]", "oidc", "", "must be given"),
            ]
        ),
        MachineError("here", "too little", "more"),
        MachineError("here", "too little", "more", "buy some"),
    ],
)
def test_error_is_the_same_on_the_other_side(error):
    """A user reads from the parent what the process found."""
    told = decode_failure(encode_failure(error))
    assert (type(error), str(error)) == (type(told), str(told))


@pytest.mark.parametrize("text", [b"", b"hello\n", b"[]", b"1", b'{"x":1}'])
def test_what_is_no_error_is_none(text):
    """Whatever else a process may print is not taken for an error."""
    assert decode_failure(text) is None
