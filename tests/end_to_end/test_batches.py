"""Publishes of several events of which the system refuses one: each is counted for itself."""

from functools import partial

from harness.core.exit_codes import ExitCode
from tests.support.runs import SHORT, after_each

EVENTS, REFUSED = 5, 3
HANDLER = f"""
def publish(event):
    taken = [{{"id": one["id"], "payload": one["payload"]}} for one in event["events"]]
    if len(taken) == {EVENTS}:
        taken[{REFUSED}] = {{"id": taken[{REFUSED}]["id"], "error": "too rude"}}
    return {{"events": taken}}
"""
TARGET = """
name = "moderated"
system = "appsync-events"
emulated = true
[emulator]
tls = false
[[emulator.namespaces]]
name = "default"
on_publish = "handler.py:publish"
"""


def run(launcher, transport):
    """Publish batches to an API whose handler refuses the fourth event of each."""
    folder = launcher.new_folder()
    (folder / "handler.py").write_text(HANDLER, "utf-8")
    (folder / "target.toml").write_text(TARGET, "utf-8")
    settings = {
        "population.subscribers": 5,
        "population.chatters": 2,
        "publishing.batch_size": EVENTS,
        "publishing.transport": f'"{transport}"',
        "safety.back_off_s": 0.0,
        "slos": "[]",
    }
    return launcher.run(SHORT | settings, target=folder / "target.toml").outcome()


@after_each({name: partial(run, transport=name) for name in ("websocket", "http")})
def test_refused_event_of_a_batch_is_owed_to_nobody_and_the_others_arrive(outcome):
    """By the record, by the summary, and by the emulator's own count."""
    assert ExitCode.PASS == outcome.exit_code, outcome.said
    messages = outcome.table("messages")
    places = messages.groupby("id", sort=True).ngroup() % EVENTS
    whole = len(messages) // EVENTS
    assert whole > 0 == len(messages) % EVENTS
    refused = messages["outcome"] == "refused"
    assert (places[refused] == REFUSED).all()
    assert [whole, 4 * whole] == [refused.sum(), (messages["outcome"] == "acknowledged").sum()]
    assert (0, 0) == (messages.loc[refused, "owed"].sum(), messages["lost"].sum())
    assert messages["owed"].sum() == outcome.table("connections")["owed"].sum() > 0
    delivered = messages["delivered"].sum() + messages["unexpected"].sum()
    assert delivered == outcome.truth["stats"]["deliveries"]["sent"]
