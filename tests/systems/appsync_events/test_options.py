import pytest
from pydantic import ValidationError

from harness.scenario.model import HIDE_SECRETS
from harness.systems.appsync_events.options import Options


def problem(**options):
    """Return key and rule of the one thing wrong with these options."""
    with pytest.raises(ValidationError) as caught:
        Options.model_validate(options)
    (found,) = caught.value.errors()
    return found["msg"], found["ctx"].get("key") or ".".join(map(str, found["loc"]))


@pytest.mark.parametrize(
    ("key", "table"),
    [
        ("user_pool.client_id", {"user_pool": {"client_id": "(app"}}),
        (
            "lambda_authorizer.identity_validation",
            {"lambda_authorizer": {"function": "a.py:f", "identity_validation": "*"}},
        ),
    ],
)
def test_text_that_is_no_regular_expression_is_a_problem(key, table):
    """It is found when the file is read, not when the first client comes."""
    assert ("must be a regular expression", key) == problem(**table)


def test_keys_of_another_issuer_need_its_name():
    """Its tokens could not be told from others otherwise."""
    assert ("must be given with jwks_file", "issuer") == problem(oidc={"jwks_file": "keys.json"})


@pytest.mark.parametrize(("mode", "key"), [("iam", "iam_users"), ("lambda", "lambda_authorizer")])
def test_mode_without_its_credentials_is_a_problem(mode, key):
    """Also where only a namespace lets it in."""
    assert key == problem(namespaces=({"name": "a", "publish_auth_modes": (mode,)},))[1]


def test_options_are_told_to_processes_without_loss():
    """Dumped as JSON and read again they are the same, secrets and times included."""
    options = Options.model_validate(
        {
            "api_keys": ({"key": "k", "expires": "2027-01-01T00:00:00+01:00"}, "other"),
            "iam_users": ({"access_key_id": "a", "secret_access_key": "s"},),
            "user_pool": {"client_id": "app|web"},
        }
    )
    assert options == Options.model_validate(options.model_dump(mode="json"))


def test_printed_options_show_no_secret():
    """A log line or an error that holds them gives nothing away."""
    user = {"access_key_id": "a", "secret_access_key": "the-secret", "session_token": "the-session"}
    options = Options.model_validate({"api_keys": ("the-key",), "iam_users": (user,)})
    assert [] == [part for part in ("the-key", "the-se") if part in repr(options) + str(options)]


def test_recorded_options_hold_no_secret():
    """The run record is for people to read and to hand on; an empty secret stays empty."""
    user = {"access_key_id": "the-id", "secret_access_key": "the-secret"}
    options = Options.model_validate({"api_keys": ("the-key",), "iam_users": (user,)})
    recorded = options.model_dump(mode="json", context=HIDE_SECRETS)
    assert [{"key": "(hidden)", "expires": None}] == recorded["api_keys"]
    (user,) = recorded["iam_users"]
    assert "the-id" == user["access_key_id"]
    assert "(hidden)" == user["secret_access_key"]
    assert "" == user["session_token"]
    assert Options.model_validate(recorded)
