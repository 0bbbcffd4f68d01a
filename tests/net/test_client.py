from harness.net.client import PublishAnswer, Refusal


def test_batch_is_throttled_if_any_event_of_it_is():
    """The chatter is to wait, whatever the first refusal says."""
    refusals = {0: Refusal("HTTP 400", ""), 1: Refusal("HTTP 429", "", throttled=True)}
    answer = PublishAnswer.of("p", refusals, 1)
    assert (True, "HTTP 400") == (answer.throttled, answer.code)
    assert {0: "refused", 1: "throttled"} == answer.outcomes
