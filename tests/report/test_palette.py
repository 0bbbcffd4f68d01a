from harness.report.theme import VARIABLES, looks_of

SYSTEMS = ["server-sent-events", "api-gateway-websocket", "appsync-events", "polling", "hybrid"]


def test_a_system_has_its_colour_whatever_stands_beside_it():
    """In a study as on the page of prices."""
    alone = [looks_of([system])[0].colour for system in SYSTEMS]
    assert alone == [look.colour for look in looks_of(SYSTEMS)]


def test_no_two_are_alike_and_each_follows_the_page():
    """Also where two targets are of one system; dark pages need a variable for each."""
    colours = [look.colour for look in looks_of([*SYSTEMS, "server-sent-events", "toy"])]
    assert len(colours) == len(set(colours))
    assert set(colours) <= VARIABLES.keys()
