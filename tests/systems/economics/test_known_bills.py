"""Every price list against bills that were worked out by hand, to the cent."""

import pytest

from harness.core.pricing import Day, Events, Usage, priced_systems, total_usd

SYSTEMS = priced_systems()


def lines_of(system, usage):
    """Return the dollars of each line of a bill, by name."""
    return {line.name: line.usd for line in SYSTEMS[system].bill(usage)}


def day_usd(system, *flipped, **day):
    """Return what a day costs, with the named switches turned the other way."""
    return total_usd(SYSTEMS[system].bill(Day(**day).usage()), flipped)


@pytest.mark.parametrize(("connected", "usd"), [(30_000, 750), (5_000, 125)])
def test_deliveries_of_appsync_events_cost_the_well_known_750_and_125_dollars(connected, usd):
    """25,000 messages to all who are connected, at a dollar a million."""
    lines = lines_of("appsync-events", Day(connected=connected).usage())
    assert usd == pytest.approx(lines["outbound"])


def test_a_day_of_appsync_events_has_its_known_lines():
    """Inbound, joins, connection time and traffic come on top of the $750."""
    lines = lines_of("appsync-events", Day(handler_calls_per_message=1).usage())
    known = {
        "inbound": 0.025, "handlers": 0.025, "connects": 0.09, "subscribes": 0.09,
        "connection_minutes": 3.456, "egress": 32.19, "pings": 43.2,
    }  # fmt: skip
    assert known == pytest.approx({name: lines[name] for name in known}, abs=0.005)


@pytest.mark.parametrize(
    ("system", "connected", "flipped", "usd"),
    [
        ("appsync-events", 30_000, [], 785.85),
        ("appsync-events", 5_000, [], 131.00),
        ("appsync-events", 30_000, ["keep-alive"], 829.05),
        ("appsync-events", 5_000, ["keep-alive"], 138.20),
        ("appsync-events", 30_000, ["egress"], 753.66),
        ("server-sent-events", 30_000, [], 39.07),
        ("server-sent-events", 30_000, ["egress"], 6.88),
        ("server-sent-events", 30_000, ["spare"], 40.81),
    ],
)
def test_a_day_has_its_known_total(system, connected, flipped, usd):
    """Both values of what a price list leaves open."""
    assert usd == pytest.approx(day_usd(system, *flipped, connected=connected), abs=0.011)


@pytest.mark.parametrize(
    ("connected", "messages", "minutes", "fan_out", "reads", "connects", "total"),
    [
        (30_000, 606.69, 10.80, 3.01, 1.14, 0.71, 622.35),
        (5_000, 106.69, 1.80, 0.51, 0.19, 0.12, 109.3),
    ],
)
def test_a_day_of_api_gateway_has_its_known_lines(
    connected, messages, minutes, fan_out, reads, connects, total
):
    """Messages by tier, the broadcast's function and table, and a reconnect every two hours."""
    lines = lines_of("api-gateway-websocket", Day(connected=connected).usage())
    joining = ("connects", "connect_calls", "connect_time", "table_writes")
    found = (
        lines["messages"],
        lines["connection_minutes"],
        lines["broadcast_calls"] + lines["broadcast_time"],
        lines["table_reads"],
        sum(lines[name] for name in joining),
    )
    assert (messages, minutes, fan_out, reads, connects) == pytest.approx(found, abs=0.006)
    without_egress = day_usd("api-gateway-websocket", "egress", connected=connected)
    assert total == pytest.approx(without_egress, abs=0.02)


@pytest.mark.parametrize(
    ("interval_s", "http_api", "function", "cloudfront", "s3"),
    [
        (2, 973, 261, 1080, 432),
        (5, 390, 104, 432, 173),
        (10, 195, 52, 216, 86),
        (30, 66, 17, 72, 29),
    ],
)
def test_polling_has_its_known_costs(interval_s, http_api, function, cloudfront, s3):
    """25,000 viewers all day, by interval and by what answers them."""
    lines = lines_of("polling", Day(connected=25_000, poll_interval_s=interval_s).usage())
    found = (
        lines["polls"],
        lines["poll_calls"] + lines["poll_time"],
        lines["polls_cloudfront"],
        lines["polls_s3"],
    )
    assert (http_api, function, cloudfront, s3) == pytest.approx(found, abs=1)


def test_an_hour_of_ten_thousand_clients_and_one_event_a_second():
    """36,023,600 operations are $36.02 and 600,000 minutes are $0.048."""
    usage = Usage(
        hours=1, events=(Events(100, 3_600, 36e6),),
        connects=10_000, subscribes=10_000, connection_minutes=600_000,
    )  # fmt: skip
    lines = lines_of("appsync-events", usage)
    operations = sum(lines[name] for name in ("inbound", "outbound", "connects", "subscribes"))
    assert (36.0236, 0.048) == pytest.approx((operations, lines["connection_minutes"]))


def test_one_small_event_to_four_hundred_subscribers_is_401_operations():
    """$0.000401."""
    lines = lines_of("appsync-events", Usage(hours=1, events=(Events(200, 1, 400),)))
    assert 0.000401 == pytest.approx(lines["inbound"] + lines["outbound"])


@pytest.mark.parametrize("system", SYSTEMS)
def test_nobody_connected_costs_nothing_but_servers(system):
    """Services scale to zero; dedicated servers wait for the peak."""
    usd = total_usd(SYSTEMS[system].bill(Day().idle().usage()))
    assert (4.02 if system == "server-sent-events" else 0) == pytest.approx(usd)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_price_and_quota_says_where_and_when_it_was_read(system):
    """A figure without a source is an opinion."""
    entries = (*SYSTEMS[system].PRICES, *SYSTEMS[system].QUOTAS)
    assert entries
    assert all(entry.source and entry.region and entry.as_of for entry in entries)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_lines_of_a_bill_have_names_of_their_own(system):
    """A line is found by its name."""
    names = [line.name for line in SYSTEMS[system].bill(Day().usage())]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_used_in_no_time_costs_nothing(system):
    """A run may end as it begins."""
    assert 0 == total_usd(SYSTEMS[system].bill(Usage(hours=0)))
