"""Imports point one way (design: data flows down), and the two sides of the boundary share only what they must."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = """
    errors paths parsing surrogates verdict problem bank datasets backbones workspace
    mathml markup check counterexample properties
    attempt.outcomes attempt.wire attempt.gradients attempt.rules attempt.syscalls attempt.landlock
    attempt.worker attempt.launch attempt.proxy
    profiles lab training suite judge warm history schedule curves doctor mutants scaffold author
    site.topics site.words site.questions site.errata site.figures.svg site.figures.figure
    site.figures.measured site.figures.runs site.figures.blocks site.figures.curves site.figures.windows
    site.pages site.search site.render site.build site.serve site.anki
    report batch.submissions batch.store batch.work batch.local batch.cluster batch.run batch.documents batch.page
    watch
""".split()
"""a module may import what stands before it"""


def imports(path: Path) -> set[str]:
    """Modules of grader that a file imports when it runs (not those for type checkers only)."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "grader":
            base = node.module.removeprefix("grader").lstrip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".lstrip(".")
                file = ROOT / "grader" / (name.replace(".", "/") + ".py")
                found.add(name if file.exists() else base)
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    return found - {""}


@pytest.mark.parametrize("module", ORDER)
def test_imports_point_one_way(module: str) -> None:
    path = ROOT / "grader" / (module.replace(".", "/") + ".py")
    above = set(ORDER[ORDER.index(module):])
    assert not imports(path) & above, f"{module} imports {imports(path) & above}"


def test_every_module_has_its_place() -> None:
    there = {str(path.relative_to(ROOT / "grader").with_suffix("")).replace("/", ".")
             for path in (ROOT / "grader").rglob("*.py") if path.name not in ("__init__.py", "__main__.py")}
    there = {name for name in there if not name.startswith("bank_files")}
    assert there == set(ORDER)


def test_the_worker_imports_only_what_both_sides_share() -> None:
    shared = {"attempt.rules", "attempt.wire", "attempt.gradients", "attempt.syscalls", "attempt.landlock"}
    for name, allowed in {"worker": shared, "rules": set(), "syscalls": set(), "landlock": set(),
                          "wire": set(), "gradients": set()}.items():
        assert imports(ROOT / "grader" / "attempt" / f"{name}.py") <= allowed


@pytest.mark.parametrize("suite", sorted((ROOT / "problems").glob("*/test_hidden.py")),
                         ids=lambda path: path.parent.name)
def test_suites_use_only_the_public_side(suite: Path) -> None:
    assert imports(suite) <= {"check", "properties", "training", "lab", "surrogates", "backbones"}


def test_help_imports_nothing_heavy() -> None:
    code = ("import sys; sys.argv = ['prep', '--help']\nfrom grader.__main__ import main\n"
            "try: main()\nexcept SystemExit: pass\n"
            "print(sorted({'torch', 'numpy', 'pytest', 'hypothesis', 'jinja2', 'sqlite3'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.rstrip().endswith("[]")


def test_only_report_prints() -> None:
    for path in [ROOT / "cli.py", *(ROOT / "grader").rglob("*.py")]:
        if path.name == "report.py" or "bank_files" in path.parts:
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"]
        assert not calls, f"{path.name} prints in line {calls[0].lineno}"
