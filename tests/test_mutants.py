import ast
from pathlib import Path

import pytest

from grader.mutants import mutate

ROOT = Path(__file__).resolve().parent.parent


def changes(source: str) -> set[tuple[str, str]]:
    """{(operator, statement after the change)}"""
    return {(mutant.operator, mutant.after) for mutant in mutate(source)}


@pytest.mark.parametrize(("statement", "operator", "after"), [
    ("y = a < b", "comparison", {"y = a <= b"}),
    ("y = a >= b", "comparison", {"y = a > b"}),
    ("y = a == b", "comparison", {"y = a != b"}),
    ("y = a is None", "comparison", {"y = a is not None"}),
    ("y = a not in b", "comparison", {"y = a in b"}),
    ("y = a < b <= c", "comparison", {"y = a <= b <= c", "y = a < b < c"}),
    ("y = a and b", "logic", {"y = a or b"}),
    ("y = not a", "logic", {"y = a"}),
    ("y = a[~b]", "logic", {"y = a[b]"}),
    ("y = a - b", "arithmetic", {"y = a + b"}),
    ("y = a // b", "arithmetic", {"y = a / b"}),
    ("y = a ** b", "arithmetic", {"y = a * b"}),
    ("y += b", "arithmetic", {"y -= b"}),
    ("y = -a", "sign", {"y = a"}),
    ("y = 0", "integer", {"y = 1"}),
    ("y = 1", "integer", {"y = 2", "y = 0"}),
    ("y = -1", "integer", {"y = 0", "y = -2"}),
    ("y = 1.0", "float", {"y = 2.0", "y = 0.0"}),
    ("y = 0.0", "float", {"y = 1.0"}),
    ("y = 1e-05", "float", {"y = 2e-05"}),
    ("y = True", "boolean", {"y = False"}),
    ("y = x.sum(axis=0)", "axis", {"y = x.sum(axis=1)"}),
    ("y = x.sum(dim=1)", "axis", {"y = x.sum(dim=0)", "y = x.sum(dim=-1)"}),
    ("y = x.sum(axis=-1)", "axis", {"y = x.sum(axis=0)"}),
    ("y = x.sum(axis=-1)", "sign", {"y = x.sum(axis=1)"}),
    ("y = x.sum(axis=0)", "keyword", {"y = x.sum()"}),
    ("y = x.sum(axis=(0, 1))", "order", set()),
    ("y = x.amax((2, 3))", "order", set()),
    ("y = x.max(keepdims=True)", "boolean", {"y = x.max(keepdims=False)"}),
    ("y = x.max(keepdims=True)", "keyword", set()),
    ("y = f(a, b, c)", "arguments", {"y = f(b, a, c)"}),
    ("y = np.maximum(a, b)", "arguments", set()),
    ("y = f(*a, b)", "arguments", set()),
    ("y = np.maximum(a, b)", "function", {"y = np.minimum(a, b)"}),
    ("y = x.sum()", "function", {"y = x.mean()"}),
    ("y = np.zeros_like(x)", "function", {"y = np.ones_like(x)"}),
    ("y = max(a, b)", "function", {"y = min(a, b)"}),
    ("y = self.mean", "function", set()),
    ("y = x[i:j]", "slice", {"y = x[i + 1:j]", "y = x[i - 1:j]", "y = x[i:j + 1]", "y = x[i:j - 1]"}),
    ("y = x[1:]", "integer", {"y = x[2:]", "y = x[0:]"}),
    ("y = x.T", "transpose", {"y = x"}),
    ("y = x.copy()", "copy", {"y = x"}),
    ("y = copy.copy(x)", "copy", set()),
    ("b, h, w = x.shape", "order", {"h, b, w = x.shape", "b, w, h = x.shape"}),
    ("y = x[i, j]", "order", {"y = x[j, i]"}),
    ("y = np.einsum('ij,jk->ik', a, b)", "einsum", {"y = np.einsum('ij,jk->ki', a, b)"}),
    ("y = np.einsum('ij,j->i', a, b)", "einsum", set()),
    ("f(x)", "statement", {"pass"}),
    ("x: int = 3", "statement", {"pass"}),
    ("raise ValueError(f'{n + 1}' + 'x')", "statement", {"pass"}),
])
def test_each_kind_of_mistake(statement: str, operator: str, after: set[str]) -> None:
    assert {text for kind, text in changes(statement) if kind == operator} == after


@pytest.mark.parametrize("text", [
    '"""A docstring with 1 + 1."""', "import numpy as np", "from a import b", "def f(x: 1 + 1) -> 2: ...",
    "@cache(maxsize=1)\ndef f(): ...", "def f():\n    '''Doc.'''", 'if __name__ == "__main__":\n    f(1)',
])
def test_what_cannot_change_a_result_is_left_alone(text: str) -> None:
    assert mutate(text) == []


@pytest.mark.parametrize("text", ["raise ValueError(n + 1)", "x = f'{n + 1}'", "x = isinstance(y, (int, str))"])
def test_messages_and_types_are_not_changed_only_dropped(text: str) -> None:
    assert [mutant.after for mutant in mutate(text)] == ["pass"]


def test_a_condition_is_negated_once() -> None:
    assert changes("if a < b:\n    f()") >= {("condition", "if not a < b:"), ("comparison", "if a <= b:")}
    assert {kind for kind, after in changes("if a == b:\n    return_(x)") if after != "pass"} == {"comparison"}
    assert ("condition", "x = [i for i in y if not i.ok]") in changes("x = [i for i in y if i.ok]")


def test_compound_statements_are_quoted_by_their_header() -> None:
    source = "def f(x, n=1):\n    for i in range(0, n):\n        with g(x, i):\n            x = x + i\n    return x\n"
    texts = {mutant.before for mutant in mutate(source)}
    assert texts == {"def f(x, n=1):", "for i in range(0, n):", "with g(x, i):", "x = x + i"}


def test_line_is_that_of_the_expression() -> None:
    source = "x = f(\n    a,\n    b + c,\n)\n"
    assert [mutant.line for mutant in mutate(source) if mutant.operator == "arithmetic"] == [3]


def test_two_changes_with_the_same_code_are_one_mutant() -> None:
    codes = [mutant.source for mutant in mutate("x = -1\ny = x.sum(axis=1)\nz = (a, b)\n")]
    assert len(codes) == len(set(codes))


def test_ids_outlive_changes_elsewhere() -> None:
    before = {mutant.after: mutant.id for mutant in mutate("def f(a, b):\n    return a - b\n")}
    after = {mutant.after: mutant.id for mutant in mutate("K = 3\n\n\ndef f(a, b):\n    return a - b\n")}
    assert before["return a + b"] == after["return a + b"]


def test_equal_statements_get_mutants_with_their_own_ids() -> None:
    found = [mutant for mutant in mutate("x = x + 1\nx = x + 1\n") if mutant.operator == "arithmetic"]
    assert len(found) == 2 and found[0].id != found[1].id and found[0].source != found[1].source


REAL = [ROOT / "grader" / "bank.py", *sorted((ROOT / "solutions").glob("*/solution.py"))]


@pytest.mark.parametrize("path", REAL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_mutants_of_real_code_are_python_and_differ_from_it(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    original = ast.unparse(ast.parse(source))
    found = mutate(source)
    for mutant in found:
        compile(mutant.source, path.name, "exec", dont_inherit=True)
        assert mutant.source != original
        assert mutant.before != mutant.after
    assert len({mutant.id for mutant in found}) == len(found)
    assert [mutant.id for mutant in mutate(source)] == [mutant.id for mutant in found]


def test_what_is_not_python_any_more_is_no_mutant() -> None:
    source = "def f():\n    n = 0\n\n    def g():\n        nonlocal n\n        n = n + 1\n    return g\n"
    assert ("statement", "n = 0") not in {(mutant.operator, mutant.before) for mutant in mutate(source)}
    assert ("statement", "n = n + 1") in {(mutant.operator, mutant.before) for mutant in mutate(source)}


def test_a_solution_that_is_not_python_is_refused() -> None:
    with pytest.raises(SyntaxError):
        mutate("def f(:")
