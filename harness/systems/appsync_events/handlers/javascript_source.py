"""The source of handlers in APPSYNC_JS: what of JavaScript it may use, made fit for the engine.

APPSYNC_JS is a part of JavaScript. Code that the service would not take, and code that asks for
what the emulator does not have, is refused when it is loaded, with file and line. An ES module
becomes the body of a function: line by line it stays where it was.

Source: page runtime-supported-features of docs.aws.amazon.com/appsync/latest/eventapi, and the
rules of @aws-appsync/eslint-plugin 2.0, read November 2026. Not checked: recursion, and which
built-in functions of JavaScript the service has.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from harness.core.errors import ScenarioError, ScenarioProblem

MAX_CODE_BYTES = 32 * 1024
"""UTF-8 bytes of one file. Source: Service Quotas, handler code size 32 KB."""

MODULE = "@aws-appsync/utils"
IMPORTABLE = ("util", "runtime")
HANDLERS = ("onPublish", "onSubscribe")

UTIL = frozenset(
    {"error", "unauthorized", "autoId", "autoUlid", "autoKsuid"}
    | {"urlEncode", "urlDecode", "base64Encode", "base64Decode"}
    | {"time", "math", "str"}
)
"""What the emulator has of ``util``."""

_PARSER = Parser(Language(tree_sitter_javascript.language()))

_UNSUPPORTED = {
    "async": "async functions",
    "await_expression": "await",
    "class": "classes",
    "class_declaration": "classes",
    "continue_statement": "continue",
    "do_statement": "do loops",
    "for_statement": "for loops other than for-in and for-of",
    "generator_function": "generators",
    "generator_function_declaration": "generators",
    "labeled_statement": "labels",
    "regex": "regular expressions",
    "this": "this",
    "throw_statement": "throw",
    "try_statement": "try",
    "update_expression": "++ and --",
    "while_statement": "while loops",
    "with_statement": "with",
    "yield_expression": "yield",
}
"""Kind of syntax -> what APPSYNC_JS lacks."""

_UNSUPPORTED_OPERATORS = {
    "binary_expression": ("in", "instanceof"),
    "unary_expression": ("~",),
}
_UNSUPPORTED_NAMES = ("Promise", "Function", "eval")
_FUNCTIONS = {"arrow_function", "function_declaration", "function_expression", "method_definition"}
_SPECIFIERS = {"import_specifier", "export_specifier"}
_CLAUSES = {"import_clause", "named_imports", "export_clause"}


class Source(NamedTuple):
    """Code that an engine can run.

    Attributes:
        body: Body of a function that returns the handlers by name; as many lines as the file.
        lines: How many those are.
    """

    body: str
    lines: int


class _Edit(NamedTuple):
    """A piece of the file, in bytes, and what takes its place."""

    start: int
    end: int
    text: bytes


def read_source(file: Path, key: str) -> Source:
    """Return the code in a file.

    Raises:
        ScenarioError: If the file cannot be read, is too large, exports no handler, or has code
            that the service or the emulator does not take; names all such lines.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        rule = "must name a file of code that can be read"
        raise ScenarioError(
            [ScenarioProblem("[emulator]", key, repr(str(file)), rule, str(error))]
        ) from error
    return translated(text, str(file))


def translated(text: str, file: str) -> Source:
    """Return the code of an ES module; see ``read_source``."""
    code = text.encode()
    if len(code) > MAX_CODE_BYTES:
        found, rule = f"{len(code)} bytes", f"must be at most {MAX_CODE_BYTES} bytes"
        raise ScenarioError([ScenarioProblem(file, "", found, rule)])
    root = _PARSER.parse(code).root_node
    problems = [_problem(file, node, rule) for node, rule in _broken_rules(root)]
    if problems:
        raise ScenarioError(problems)
    handlers: dict[str, str] = {}
    edits = [edit for node in root.children for edit in _edits(node, handlers)]
    if not handlers:
        rule = "must export onPublish or onSubscribe, or both"
        raise ScenarioError([ScenarioProblem(file, "", "", rule)])
    pairs = ", ".join(f"{name}: {local}" for name, local in handlers.items())
    return Source(f"{_edited(code, edits)}\nreturn {{ {pairs} }};", text.count("\n") + 1)


def _edited(code: bytes, edits: list[_Edit]) -> str:
    """Return code with pieces of it replaced; no line moves."""
    result, position = b"", 0
    for start, end, text in edits:
        newlines = b"\n" * code.count(b"\n", start, end)
        result += code[position:start] + text + newlines
        position = end
    return (result + code[position:]).decode()


def _broken_rules(root: Node) -> Iterator[tuple[Node, str]]:
    """Yield each piece of code that is not taken, with the rule it breaks."""
    if root.has_error:
        yield _first_error(root), "must be JavaScript"
        return
    waiting = [root]
    while waiting:
        node = waiting.pop()
        rule = _broken_rule(node)
        if rule is not None:
            yield node, rule
        else:
            waiting.extend(reversed(node.children))


def _first_error(node: Node) -> Node:
    """Return the first piece of code that cannot be read."""
    while not (node.is_error or node.is_missing):
        node = next(child for child in node.children if child.has_error or child.is_missing)
    return node


def _broken_rule(node: Node) -> str | None:
    """Return the rule that one piece of code breaks by itself; None where it breaks none."""
    lacking = _lacking(node)
    if lacking is not None:
        return f"must not use {lacking}, which APPSYNC_JS does not have"
    rule = None
    match node.type:
        case "member_expression" if _field(node, "object") == "util":
            if _field(node, "property") not in UTIL:
                rule = f"must use nothing of util but {', '.join(sorted(UTIL))}"
        case "return_statement" if not _is_in_function(node):
            rule = "must not return outside a function"
        case "import_statement" if not _is_plain_import(node):
            rule = f"must import nothing but {' and '.join(IMPORTABLE)}, by name, from '{MODULE}'"
        case "import" if node.is_named:
            rule = "must not import but at its top"
        case "export_statement" if not _is_plain_export(node):
            rule = "must export functions and constants by their names"
    return rule


def _lacking(node: Node) -> str | None:
    """Return what a piece of code uses that APPSYNC_JS does not have."""
    operator = _field(node, "operator")
    if operator in _UNSUPPORTED_OPERATORS.get(node.type, ()):
        return f"the operator {operator}"
    if node.type == "identifier" and _text(node) in _UNSUPPORTED_NAMES:
        return _text(node)
    # The keyword `this` is named, and so is all other syntax; of the keywords only `async` counts.
    return _UNSUPPORTED.get(node.type) if node.is_named or node.type == "async" else None


def _is_in_function(node: Node) -> bool:
    parent = node.parent
    while parent is not None and parent.type not in _FUNCTIONS:
        parent = parent.parent
    return parent is not None


def _is_plain_import(node: Node) -> bool:
    """Tell ``import { util } from '…'`` from all other imports."""
    source = node.child_by_field_name("source")
    module = [_text(child) for child in source.named_children] if source else []
    clauses = [part.type for child in node.named_children for part in child.named_children]
    names = {_field(specifier, "name") for specifier in _specifiers(node)}
    is_by_name = clauses == ["named_imports", "string_fragment"]
    return is_by_name and module == [MODULE] and names <= set(IMPORTABLE)


def _is_plain_export(node: Node) -> bool:
    """Tell exports by name from defaults, patterns and other modules' exports."""
    declaration = node.child_by_field_name("declaration")
    if declaration is None:
        is_list = any(child.type == "export_clause" for child in node.named_children)
        return is_list and node.child_by_field_name("source") is None
    names = [part.child_by_field_name("name") for part in _declared(declaration)]
    return bool(names) and all(name and name.type == "identifier" for name in names)


def _edits(node: Node, handlers: dict[str, str]) -> Iterator[_Edit]:
    """Yield what makes a top-level statement one of a function, and note the handlers it exports.

    To ``handlers`` are added the exported names, with those in the code.
    """
    specifiers = list(_specifiers(node))
    if node.type == "import_statement":
        aliases = [
            f"const {_field(specifier, 'alias')} = {_field(specifier, 'name')};"
            for specifier in specifiers
            if _field(specifier, "alias")
        ]
        yield _Edit(node.start_byte, node.end_byte, " ".join(aliases).encode())
    elif node.type == "export_statement":
        declaration = node.child_by_field_name("declaration")
        exported = {
            _field(specifier, "alias") or _field(specifier, "name"): _field(specifier, "name")
            for specifier in specifiers
        }
        end = node.end_byte
        if declaration is not None:
            exported = {
                _field(part, "name"): _field(part, "name") for part in _declared(declaration)
            }
            end = declaration.start_byte
        yield _Edit(node.start_byte, end, b"")
        handlers.update({name: exported[name] for name in HANDLERS if name in exported})


def _specifiers(node: Node) -> Iterator[Node]:
    """Yield what stands between the braces of an import or export."""
    if node.type in _SPECIFIERS:
        yield node
        return
    for child in node.named_children:
        if child.type in _SPECIFIERS | _CLAUSES:
            yield from _specifiers(child)


def _declared(declaration: Node) -> list[Node]:
    """Return the parts of a declaration that have a name each."""
    if declaration.type == "function_declaration":
        return [declaration]
    return [part for part in declaration.named_children if part.type == "variable_declarator"]


def _field(node: Node, field: str) -> str:
    found = node.child_by_field_name(field)
    return _text(found) if found is not None else ""


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _problem(file: str, node: Node, rule: str) -> ScenarioProblem:
    place = f"{file}:{node.start_point.row + 1}"
    found = _text(node).strip().partition("\n")[0]
    return ScenarioProblem(place, "", repr(found[:60]), rule)
