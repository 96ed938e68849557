"""A solution -> every version of it with one small mistake, to ask whether a hidden suite notices. Runs none of them.

Only code that an answer's result can depend on is changed: docstrings, imports, annotations, decorators, f-strings, the
arguments of `raise` and isinstance, and an `if __name__ == "__main__"` block are left as they are.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A solution with one change.

    `before` and `after` are the changed statement (of a compound one, its header) as `ast.unparse` writes it; they are
    what an `[[equivalent_mutants]]` table of problem.toml quotes.
    """

    id: str
    """8 hex digits; the same for as long as the change is, whatever else in the file moves"""
    line: int
    """of the changed expression in the original"""
    operator: str
    """the kind of mistake: "comparison", "axis", "statement" ..."""
    before: str
    after: str
    source: str
    """the whole mutated module"""


def mutate(source: str) -> list[Mutant]:
    """Every mutant of the module `source`, in the order of its lines; no two have the same code.

    Raises SyntaxError where `source` is not Python.
    """
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    found: list[Mutant] = []
    repeats: dict[str, int] = {}
    for site in _sites(tree, None):
        for operator, replacement in _variants(site):
            before = site.text(site.node)
            site.put(replacement)
            code, after = ast.unparse(tree), site.text(replacement)
            site.put(site.node)
            if code in seen or not _compiles(code):
                continue
            seen.add(code)
            change = "\n".join((operator, before, after))
            repeats[change] = repeats.get(change, 0) + 1
            identity = hashlib.sha256(f"{change}\n{repeats[change]}".encode()).hexdigest()[:8]
            found.append(Mutant(identity, site.line, operator, before, after, code))
    return found


def _compiles(code: str) -> bool:
    """False for, say, a `nonlocal x` left without the `x = 0` that was dropped: any suite would kill that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a comparison with a literal by `is not`, say, is still Python
        try:
            compile(code, "solution.py", "exec", dont_inherit=True)
        except SyntaxError:
            return False
    return True


@dataclass(frozen=True)
class _Site:
    """A node and where it hangs in the tree."""

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None
    statement: ast.stmt
    """the innermost statement around the node, or the node itself"""

    @property
    def line(self) -> int:
        return int(getattr(self.node, "lineno", 0) or getattr(self.parent, "lineno", 0) or self.statement.lineno)

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node

    def text(self, node: ast.AST) -> str:
        """The statement as it reads now, where `node` is what stands at this site."""
        return _header(node if isinstance(node, ast.stmt) else self.statement)


SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "type_params", "bases", "type", "msg", "format_spec"}
SKIPPED_NODES = (ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Global, ast.Nonlocal)


def _sites(parent: ast.AST, statement: ast.stmt | None) -> Iterator[_Site]:
    for field, value in ast.iter_fields(parent):
        if field in SKIPPED_FIELDS:
            continue
        nodes = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, node in nodes:
            if not isinstance(node, ast.AST) or isinstance(node, SKIPPED_NODES) or _is_main_block(node):
                continue
            around = node if isinstance(node, ast.stmt) else statement
            if around is not None:
                yield _Site(node, parent, field, index, around)
            if not isinstance(node, ast.Raise) and not _is_text(node) and not _is_type_test(node):
                yield from _sites(node, around)


def _is_text(node: ast.AST) -> bool:
    """A docstring, or any other string or `...` that stands alone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_type_test(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) in ("isinstance", "issubclass")


def _is_main_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and (
        isinstance(node.test.left, ast.Name) and node.test.left.id == "__name__")


def _header(statement: ast.stmt) -> str:
    """A statement as code, without the statements inside it."""
    if not hasattr(statement, "body"):
        return ast.unparse(statement)
    shell = copy.copy(statement)
    for field in ("body", "orelse", "finalbody", "handlers", "decorator_list"):
        if hasattr(shell, field):
            setattr(shell, field, [ast.Pass()] if field == "body" else [])
    return ast.unparse(shell).removesuffix("pass").strip()


# The mistakes. Each generator yields (operator, replacement) for one node.

FLIPS: dict[type[ast.AST], tuple[str, type[ast.AST]]] = {
    ast.Lt: ("comparison", ast.LtE), ast.LtE: ("comparison", ast.Lt),
    ast.Gt: ("comparison", ast.GtE), ast.GtE: ("comparison", ast.Gt),
    ast.Eq: ("comparison", ast.NotEq), ast.NotEq: ("comparison", ast.Eq),
    ast.Is: ("comparison", ast.IsNot), ast.IsNot: ("comparison", ast.Is),
    ast.In: ("comparison", ast.NotIn), ast.NotIn: ("comparison", ast.In),
    ast.And: ("logic", ast.Or), ast.Or: ("logic", ast.And),
    ast.Add: ("arithmetic", ast.Sub), ast.Sub: ("arithmetic", ast.Add),
    ast.Mult: ("arithmetic", ast.Div), ast.Div: ("arithmetic", ast.Mult),
    ast.FloorDiv: ("arithmetic", ast.Div), ast.Mod: ("arithmetic", ast.Mult), ast.Pow: ("arithmetic", ast.Mult),
    ast.BitAnd: ("arithmetic", ast.BitOr), ast.BitOr: ("arithmetic", ast.BitAnd),
}

_PAIRS = [("min", "max"), ("minimum", "maximum"), ("amin", "amax"), ("fmin", "fmax"), ("argmin", "argmax"),
          ("sum", "mean"), ("var", "std"), ("any", "all"), ("ceil", "floor"), ("sin", "cos"), ("triu", "tril"),
          ("zeros", "ones"), ("zeros_like", "ones_like"), ("new_zeros", "new_ones"), ("zeros_", "ones_")]
RENAMES = dict(_PAIRS) | {b: a for a, b in _PAIRS}
BUILTIN_RENAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
LIBRARIES = {"np", "numpy", "torch", "F"}

COMMUTATIVE = {"min", "max", "minimum", "maximum", "fmin", "fmax", "add", "multiply", "mul", "equal", "not_equal",
               "logical_and", "logical_or", "array_equal", "allclose", "isclose", "hypot", "logaddexp", "gcd",
               "result_type", "promote_types", "broadcast_shapes"}
"""functions whose first two arguments may be swapped without a difference"""
REDUCTIONS = {"sum", "mean", "var", "std", "min", "max", "amin", "amax", "any", "all", "prod", "logsumexp", "norm",
              "flip", "squeeze", "expand_dims"}
"""functions to which the order of a tuple of axes makes no difference"""


def _variants(site: _Site) -> Iterator[tuple[str, ast.AST]]:
    node = site.node
    if isinstance(node, ast.stmt):
        yield from _dropped(node)
    if type(node) in FLIPS:
        operator, flipped = FLIPS[type(node)]
        yield operator, flipped()
    if site.field in ("test", "ifs") and isinstance(node, ast.expr):
        yield from _negated(node)
    if isinstance(node, ast.UnaryOp):
        yield from _unary(node)
    if (number := _integer(node)) is not None and not isinstance(site.parent, ast.UnaryOp):
        yield from _integers(number, site)
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif site.field in ("lower", "upper") and isinstance(node, ast.expr):
        yield "slice", ast.BinOp(node, ast.Add(), ast.Constant(1))
        yield "slice", ast.BinOp(node, ast.Sub(), ast.Constant(1))
    if isinstance(node, ast.Tuple):
        yield from _reordered(node, site)
    if isinstance(node, ast.Attribute | ast.Name):
        yield from _renamed(node, site)
    if isinstance(node, ast.Call):
        yield from _called_otherwise(node)


def _dropped(node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    simple = (ast.Assign, ast.AugAssign, ast.Raise, ast.Assert, ast.Break, ast.Continue, ast.Delete)
    if isinstance(node, simple) or (isinstance(node, ast.Expr) and not _is_text(node)) or (
            isinstance(node, ast.AnnAssign) and node.value is not None):
        yield "statement", ast.Pass()


def _negated(node: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    exact = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)  # the flipped comparison is the negation
    flipped = isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], exact)
    inverted = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    if not (flipped or inverted or isinstance(node, ast.Constant)):
        yield "condition", ast.UnaryOp(ast.Not(), node)


def _unary(node: ast.UnaryOp) -> Iterator[tuple[str, ast.AST]]:
    if not isinstance(node.op, ast.UAdd):
        yield ("sign" if isinstance(node.op, ast.USub) else "logic"), node.operand


def _integer(node: ast.AST) -> int | None:
    """The value of an integer literal, its minus sign included."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _integer(node.operand) if isinstance(node.operand, ast.Constant) else None
        return None if value is None else -value
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def _integers(number: int, site: _Site) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(site.parent, ast.keyword) and site.parent.arg in ("axis", "dim") and number in (-1, 0, 1):
        for other in {0: (1,), 1: (0, -1), -1: (0,)}[number]:  # -1 becomes 1 by losing its sign
            yield "axis", _literal(other)
        return
    yield "integer", _literal(number + 1)
    if number != 0:
        yield "integer", _literal(number - 1)


def _literal(number: int) -> ast.expr:
    return ast.Constant(number) if number >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-number))


def _constants(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.value, bool):
        yield "boolean", ast.Constant(not node.value)
    elif isinstance(node.value, float):
        yield "float", ast.Constant(2 * node.value if node.value else 1.0)
        if node.value == 1.0:
            yield "float", ast.Constant(0.0)


def _reordered(node: ast.Tuple, site: _Site) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(site.parent, ast.keyword) and site.parent.arg in ("axis", "dim"):
        return
    if isinstance(site.parent, ast.Call) and _name(site.parent.func) in REDUCTIONS:
        return
    if isinstance(site.parent, ast.Compare):  # n in (0, 1)
        return
    for left in sorted({0, len(node.elts) - 2}):
        if 0 <= left < len(node.elts) - 1:
            elements = list(node.elts)
            elements[left], elements[left + 1] = elements[left + 1], elements[left]
            yield "order", ast.Tuple(elements, node.ctx)


def _renamed(node: ast.Attribute | ast.Name, site: _Site) -> Iterator[tuple[str, ast.AST]]:
    called = isinstance(site.parent, ast.Call) and site.field == "func"
    if isinstance(node, ast.Name):
        if called and node.id in BUILTIN_RENAMES:
            yield "function", ast.Name(BUILTIN_RENAMES[node.id], ast.Load())
        return
    of_library = isinstance(node.value, ast.Name) and node.value.id in LIBRARIES
    if node.attr in RENAMES and (called or of_library):
        yield "function", ast.Attribute(node.value, RENAMES[node.attr], ast.Load())
    if node.attr in ("T", "mT", "H") and not called:
        yield "transpose", node.value


def _called_otherwise(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    name, positional = _name(node.func), node.args
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="copy" | "clone" | "detach"), args=[], keywords=[]):
            yield "copy", owner
    swappable = len(positional) >= 2 and not any(isinstance(argument, ast.Starred) for argument in positional[:2])
    if swappable and name not in COMMUTATIVE and not _is_type_test(node):
        yield "arguments", ast.Call(node.func, [positional[1], positional[0], *positional[2:]], node.keywords)
    for i, keyword in enumerate(node.keywords):
        # Without a flag written out a call mostly means its opposite, and "boolean" has flipped it already.
        if keyword.arg and not (isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool)):
            yield "keyword", ast.Call(node.func, positional, node.keywords[:i] + node.keywords[i + 1:])
    if name == "einsum" and positional and isinstance(positional[0], ast.Constant):
        subscripts = str(positional[0].value)
        _, arrow, output = subscripts.partition("->")
        if arrow and output[-2:].isalpha() and len(output) >= 2:
            swapped = subscripts[:-2] + output[-1] + output[-2]
            yield "einsum", ast.Call(node.func, [ast.Constant(swapped), *positional[1:]], node.keywords)


def _name(function: ast.expr) -> str:
    """The last part of a called name: "sum" of np.sum."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
