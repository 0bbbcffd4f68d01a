"""What of JavaScript handlers may use, and what becomes of their modules."""

import pytest

from harness.core.errors import ScenarioError
from harness.systems.appsync_events.handlers.javascript_source import read_source, translated

HANDLER = "export function onPublish(ctx) { return ctx.events }"


def problems(text):
    """Return what a file of this text is refused for, as a user reads it."""
    with pytest.raises(ScenarioError) as caught:
        translated(text, "chat.js")
    return [str(problem) for problem in caught.value.problems]


LACKING = [
    ("async () => 1", "async functions"),
    ("async function f() {}", "async functions"),
    ("class A {}", "classes"),
    ("const a = class {}", "classes"),
    ("for (let i = 0; i < 3; i += 1) {}", "for loops other than for-in and for-of"),
    ("for (const a of b) { continue }", "continue"),
    ("do {} while (true)", "do loops"),
    ("while (true) {}", "while loops"),
    ("function* f() { }", "generators"),
    ("const f = function* () { }", "generators"),
    ("here: for (const a of b) { break here }", "labels"),
    ("const a = /b/", "regular expressions"),
    ("const f = () => this", "this"),
    ("throw 1", "throw"),
    ("try { f() } catch (e) { }", "try"),
    ("let a = 1; a++", "++ and --"),
    ("let a = 1; --a", "++ and --"),
    ("const a = ~1", "the operator ~"),
    ("const a = 'b' in c", "the operator in"),
    ("const a = b instanceof Object", "the operator instanceof"),
    ("Promise.resolve(1)", "Promise"),
    ("eval('1')", "eval"),
    ("new Function('1')", "Function"),
]


@pytest.mark.parametrize(("code", "what"), LACKING, ids=[code for code, _ in LACKING])
def test_code_that_the_service_lacks_is_refused_with_its_line(code, what):
    """Each documented gap of the language is found, and said with file and line."""
    found = problems(f"{HANDLER}\n\n{code}\n")
    rule = f"must not use {what}, which APPSYNC_JS does not have"
    assert any(problem.startswith(f"chat.js:3 {rule}, got ") for problem in found), found


ALLOWED = [
    "for (const a in b) { if (a) { break } else { f(a) } }",
    "for (const a of b) { f(a) }",
    "switch (a) { case 1: f(); break; default: g() }",
    "const a = b?.c ?? -d | (e & f) ^ g << 2; void 0; typeof a; !a",
    "const f = (first, ...rest) => ({ ...first, rest })",
    "const text = `a ${b + `c ${d}`} e\nf`",
    "const { a, b: [c] } = d; delete e.f",
    "const a = { in: 1, this: 2, try: 3, class: 4, async: 5 }; f(a.in, a.this, a.class)",
    "const now = util.time.nowISO8601(); util.str.normalize(now, 'nfc'); other.util.http()",
    "const a = new Date(0)",
]


@pytest.mark.parametrize("code", ALLOWED)
def test_code_that_the_service_has_is_taken(code):
    """What the documentation allows passes unchanged."""
    assert code in translated(f"{HANDLER}\n{code}\n", "chat.js").body


IMPORTS = [
    "import * as ddb from '@aws-appsync/utils/dynamodb'",
    "import * as utils from '@aws-appsync/utils'",
    "import utils from '@aws-appsync/utils'",
    "import utils, { util } from '@aws-appsync/utils'",
    "import '@aws-appsync/utils'",
    "import { extensions } from '@aws-appsync/utils'",
    "import { util } from './mine'",
]


@pytest.mark.parametrize("code", IMPORTS)
def test_other_imports_are_refused(code):
    """Nothing is imported but what the emulator has."""
    rule = "must import nothing but util and runtime, by name, from '@aws-appsync/utils'"
    assert [f"chat.js:1 {rule}, got {code[:60]!r}"] == problems(f"{code}\n{HANDLER}")


EXPORTS = [
    "export default onPublish",
    "export default function () {}",
    "export * from './mine'",
    "export { other } from './mine'",
    "export const { other } = {}",
    "export class Other {}",
]


@pytest.mark.parametrize("code", EXPORTS)
def test_other_exports_are_refused(code):
    """Functions and constants are exported by their names, and nothing else is."""
    rule = "must export functions and constants by their names"
    assert [f"chat.js:2 {rule}, got {code!r}"] == problems(f"{HANDLER}\n{code}")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import('./mine')", "must not import but at its top, got 'import'"),
        ("if (true) { return }", "must not return outside a function, got 'return'"),
    ],
)
def test_what_would_go_round_the_rules_is_refused(code, problem):
    """No import by a call, and no end to the function that the code becomes the body of."""
    assert [f"chat.js:2 {problem}"] == problems(f"{HANDLER}\n{code}")


def test_unknown_part_of_util_is_refused():
    """What the emulator does not have of util is said at the start, not at the first call."""
    (found,) = problems(f"{HANDLER}\nconst key = () => util.dynamodb.toMapValues({{}})")
    assert found.startswith("chat.js:2 must use nothing of util but autoId, autoKsuid, "), found
    assert found.endswith("got 'util.dynamodb'")


def test_all_problems_are_told_at_once():
    """A file with three things wrong is refused with all three, in their order."""
    found = problems("import a from 'b'\n" + HANDLER + "\nthrow 1\nwhile (true) {}")
    assert ["chat.js:1", "chat.js:3", "chat.js:4"] == [problem.split()[0] for problem in found]


def test_text_that_is_not_javascript_is_refused_with_its_line():
    """The first place that cannot be read is named."""
    (found,) = problems(f"{HANDLER}\nconst a = {{ b: }}\n")
    assert found.startswith("chat.js:2 must be JavaScript"), found


def test_file_without_handler_is_refused():
    """A file must export at least one of the two names."""
    rule = "chat.js must export onPublish or onSubscribe, or both"
    assert [rule] == problems("function onPublish(ctx) { return [] }")


def test_code_of_32_kb_is_the_largest():
    """32,768 bytes are taken and one more is not; bytes count, not characters."""
    largest = HANDLER + "/*" + "é" * ((32_768 - len(HANDLER) - 4) // 2) + "*/"
    assert 32_768 == len(largest.encode())
    assert largest.count("\n") + 1 == translated(largest, "chat.js").lines
    assert ["chat.js must be at most 32768 bytes, got 32769 bytes"] == problems(largest + " ")


def test_lines_stay_where_they_were():
    """An import over several lines leaves as many, so that errors name the right line."""
    text = "import {\n  util as u,\n  runtime\n} from '@aws-appsync/utils'\n"
    source = translated(text + "export const onPublish = (ctx) =>\n  ctx.events", "chat.js")
    assert [
        "const u = util;",
        "",
        "",
        "",
        "const onPublish = (ctx) =>",
        "ctx.events",
        "return { onPublish: onPublish };",
    ] == [line.strip() for line in source.body.split("\n")]
    assert 6 == source.lines


def test_exported_list_names_handlers_by_their_aliases():
    """Bundlers export at the end, under another name perhaps."""
    text = "const a = (ctx) => ctx.events\nfunction onSubscribe() {}\n"
    source = translated(text + "export { a as onPublish, onSubscribe }", "chat.js")
    assert source.body.endswith("\nreturn { onPublish: a, onSubscribe: onSubscribe };")
    assert "export" not in source.body


def test_other_exported_names_are_no_handlers():
    """A file may export helpers of its own."""
    source = translated(f"{HANDLER}\nexport const helper = 1", "chat.js")
    assert source.body.endswith("\nreturn { onPublish: onPublish };")


def test_missing_file_is_told_by_its_key(tmp_path):
    """A file that is not there is the scenario's fault."""
    with pytest.raises(ScenarioError) as caught:
        read_source(tmp_path / "chat.js", "namespaces[0].code")
    rule = "[emulator]: namespaces[0].code must name a file of code that can be read"
    assert str(caught.value).startswith(rule), caught.value
