"""What surrounds JavaScript handlers: ``util``, the console, and what holds calls apart."""

import asyncio
import time
import uuid

import pytest

from harness.systems.appsync_events.handlers import javascript as emulator_javascript
from harness.systems.appsync_events.handlers.javascript_source import UTIL
from tests.support.handler_runner import FAILED, FOREVER

# `util` and the rest of the environment.


def test_util_is_what_the_check_of_sources_knows(evaluate):
    """What code may name of `util` is what is there."""
    assert sorted(UTIL) == sorted(evaluate("Object.keys(util)"))


SHOW, PARSE = "time.epochMilliSecondsToFormatted", "time.parseFormattedToEpochMilliSeconds"
KNOWN = [
    # docs.aws.amazon.com/appsync/latest/devguide, time-helpers-in-util-time
    ("time.epochMilliSecondsToSeconds(1517943695758)", 1517943695),
    ("time.epochMilliSecondsToISO8601(1517943695758)", "2018-02-06T19:01:35.758Z"),
    (f"{SHOW}(1517943695758, 'yyyy-MM-dd HH:mm:ssZ')", "2018-02-06 19:01:35+0000"),
    (f"{SHOW}(1517943695758, 'yyyy-MM-dd HH:mm:ssZ', '+08:00')", "2018-02-07 03:01:35+0800"),
    ("time.parseISO8601ToEpochMilliSeconds('2018-02-01T17:21:05.180+08:00')", 1517476865180),
    (f"{PARSE}('2018-02-02 01:19:22+0800', 'yyyy-MM-dd HH:mm:ssZ')", 1517505562000),
    (f"{PARSE}('2018-02-02 01:19:22', 'yyyy-MM-dd HH:mm:ss', '+08:00')", 1517505562000),
    (f"{SHOW}(1531347285000, 'yyyy-MM-dd[XXX]', '-07:00:30')", "2018-07-11-07:00"),
    (
        f"{SHOW}(1531347285000, \"yyyy-MM-dd'T'HH:mm:ss[XXXXX]\", '-07:00:30')",
        "2018-07-11T15:14:15-07:00:30",
    ),
    # docs.oracle.com/javase/8/docs/api/java/time/format/DateTimeFormatter.html
    (
        f"{SHOW}(0, \"EEE, d MMMM yy, h:mm a, 'it''s' SSS X\")",
        "Thu, 1 January 70, 12:00 AM, it's 000 Z",
    ),
    (f"{PARSE}('3 Feb 2001 4:05 PM', 'd MMM yyyy h:mm a')", 981216300000),
    # docs.oracle.com/javase/8/docs/api/java/net/URLEncoder.html
    ("urlEncode('a b&c*~é.-_')", "a+b%26c*%7E%C3%A9.-_"),
    ("urlDecode('a+b%26c*%7E%C3%A9')", "a b&c*~é"),
    # RFC 4648
    ("base64Encode('foobar')", "Zm9vYmFy"),
    ("base64Encode('fooba')", "Zm9vYmE="),
    ("base64Encode('foob')", "Zm9vYg=="),
    ("base64Encode('')", ""),
    ("base64Encode('é😀')", "w6nwn5iA"),
    ("base64Decode('w6nwn5iA')", "é😀"),
    ("base64Decode('Zm9vYg==')", "foob"),
    ("math.roundNum(2.5)", 3),
    ("math.minVal(2, 1)", 1),
    ("math.maxVal(2, 1)", 2),
    ("str.normalize('e\\u0301', 'nfc')", "é"),
]


@pytest.mark.parametrize(("call", "expected"), KNOWN, ids=[call for call, _ in KNOWN])
def test_util_gives_the_known_answer(evaluate, call, expected):
    """Each function agrees with its documentation."""
    assert expected == evaluate(f"util.{call}")


def test_time_is_now(evaluate):
    """The clock in a handler is that of the machine, in all its forms."""
    before_ms = time.time_ns() // 1_000_000
    ms, second, text, formatted = evaluate(
        "[util.time.nowEpochMilliSeconds(), util.time.nowEpochSeconds(), util.time.nowISO8601(),"
        " util.time.nowFormatted('yyyy-MM-dd')]"
    )
    after_ms = time.time_ns() // 1_000_000
    assert before_ms <= ms <= after_ms
    assert before_ms // 1000 <= second <= after_ms // 1000
    assert text[:10] == formatted
    assert "Z" == text[-1]


def test_identifiers_are_of_their_kinds(evaluate):
    """UUID, ULID and KSUID have their forms and, where they carry one, the time of day."""
    before_s = int(time.time())
    ids, ulid, ksuid = evaluate(
        "[[0, 1, 2].map(() => util.autoId()), util.autoUlid(), util.autoKsuid()]"
    )
    assert 3 == len({uuid.UUID(text) for text in ids})
    assert {4} == {uuid.UUID(text).version for text in ids}
    assert 26 == len(ulid)
    crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = sum(crockford.index(digit) << 5 * place for place, digit in enumerate(ulid[::-1]))
    assert before_s <= (number >> 80) // 1000 <= time.time()
    assert 27 == len(ksuid)
    base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = sum(base62.index(digit) * 62**place for place, digit in enumerate(ksuid[::-1]))
    assert before_s <= (number >> 128) + 1_400_000_000 <= time.time()


def test_console_speaks_to_the_log(javascript, handlers_said):
    """Texts are told as they are and values as JSON, at the level of the function."""
    assert [] == javascript("""
        export const onPublish = (ctx) => {
          console.log('a', 1, { b: [undefined] }, undefined)
          console.debug(`c`)
          console.warn('d')
          console.error('e')
        }
    """).broadcast(1)
    expected = [("INFO", 'a 1 {"b":[null]} undefined'), ("INFO", "c"), ("WARNING", "d")]
    found = [(level, text.split(".js: ", 1)[1]) for level, text in handlers_said()]
    assert [*expected, ("ERROR", "e")] == found


def test_json_that_cannot_be_parsed_gives_an_empty_text(evaluate):
    """`JSON.parse` is the service's own: it does not throw."""
    assert ["", {"a": 1}] == evaluate("[JSON.parse('{'), JSON.parse('{\"a\":1}')]")


# How calls are held apart, and held at all.


def test_variables_of_a_file_start_afresh_for_every_call(javascript):
    """Nothing that a call leaves in the file's own variables is there for the next one."""
    handlers = javascript("""
        let calls = 0
        const seen = []
        export const onPublish = (ctx) => {
          calls += 1
          seen.push(calls)
          return ctx.events.map(({ id }) => ({ id, payload: [calls, seen] }))
        }
    """)
    assert [[[1, [1]]]] * 3 == [handlers.broadcast(None) for _ in range(3)]


@pytest.mark.parametrize(
    "mark",
    [
        "globalThis.mark = 1",
        "mark = 1",
        "Object.prototype.mark = 1",
        "Object.mark = 1",
        "Array.prototype.push = 1",
        "JSON.stringify = 1",
        "console.log = 1",
        "const u = util; u.mark = 1",
        "util.time.nowISO8601 = 1",
        "''.constructor.prototype.trim = 1",
        "(() => 1).constructor('return this')().mark = 1",
        "Object.getPrototypeOf(ctx.events).mark = 1",
    ],
)
def test_nothing_can_be_left_in_the_objects_of_the_language(javascript, mark, handlers_said):
    """What all calls share is read-only."""
    assert FAILED == javascript(f"export const onPublish = (ctx) => {{ {mark} }}").publish(1)
    assert 1 == len(handlers_said()), handlers_said()


def test_keys_of_objects_may_have_any_name(javascript):
    """Copying key by key works, whatever the publisher called them."""
    code = """
        export const onPublish = (ctx) => ctx.events.map(({ id, payload }) => {
          const copy = {}
          for (const key in payload) {
            copy[key] = payload[key]
          }
          return { id, payload: copy }
        })
    """
    payload = {"toString": 1, "constructor": {"a": 2}, "valueOf": None, "mark": "x"}
    handlers = javascript(code)
    assert [payload] == handlers.broadcast(payload)
    assert [{}] == handlers.broadcast({})


GREEDY = "const all = ['x']; for (const one of all) { all.push(one + all.length + one) }"


def test_handler_that_never_ends_is_stopped_and_holds_up_nobody_else(
    javascript, monkeypatch, handlers_said
):
    """A loop ends at the time limit; meanwhile the event loop turns, and afterwards all is well."""
    monkeypatch.setattr(emulator_javascript, "TIME_LIMIT_S", 0.3)
    handlers = javascript(f"""
        const f = () => 1
        export const onPublish = (ctx) => {{
          if (ctx.events[0].payload === 'loop') {{ {FOREVER} }}
          return ctx.events
        }}
    """)

    async def turn(stand):
        publish = asyncio.ensure_future(stand.publishing('"loop"'))
        turns = 0
        while not publish.done():
            await asyncio.sleep(0.005)
            turns += 1
        return turns, publish.result()

    turns, refused = handlers.together(turn)
    assert turns >= 10
    assert FAILED == refused
    assert "interrupted (a call may take 0.3 s of CPU" in handlers_said()[0][1]
    assert ["fine"] == handlers.broadcast("fine")


def test_regular_expression_that_never_ends_is_stopped(javascript, monkeypatch):
    """The engine is stopped inside its own functions too, not only between statements."""
    monkeypatch.setattr(emulator_javascript, "TIME_LIMIT_S", 0.2)
    code = "export const onPublish = () => 'a'.repeat(60).concat('b').search('(a+)+$')"
    assert FAILED == javascript(code).publish(1)


def test_handler_that_eats_memory_is_stopped(javascript, handlers_said):
    """Memory has an end, after which the handlers work as before."""
    handlers = javascript(f"""
        export const onPublish = (ctx) => {{
          if (ctx.events[0].payload === 'eat') {{ {GREEDY} }}
          return ctx.events
        }}
    """)
    assert FAILED == handlers.publish("eat")
    assert "128 MB of memory" in handlers_said()[0][1]
    assert ["fine"] == handlers.broadcast("fine")


def test_endless_recursion_is_stopped(javascript, handlers_said):
    """The engine's stack ends before the thread's."""
    assert FAILED == javascript("export const onPublish = (ctx) => onPublish(ctx) + 1").publish(1)
    assert "Maximum call stack size exceeded" in handlers_said()[0][1]
    assert len(handlers_said()[0][1]) < 300


def test_five_events_of_240_kb_fit(javascript, monkeypatch):
    """The largest publish there is fits into memory, with a handler that copies all of it."""
    monkeypatch.setattr(emulator_javascript, "TIME_LIMIT_S", 10.0)
    code = """
        export const onPublish = (ctx) =>
          ctx.events.map(({ id, payload }) => ({ id, payload: payload.map((x) => ({ x })) }))
    """
    assert 5 == len(javascript(code).publish(*[[1] * 120_000] * 5).broadcast)
