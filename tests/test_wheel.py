"""A wheel built from the tree works in an environment that has no checkout: one package, the bank inside it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECRET = "grader/bank_files/solutions/conv2d/solution.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)],
                   cwd=ROOT, check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


def test_only_one_package_lands_in_site_packages(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"grader", next(top for top in tops if top.endswith(".dist-info"))}


def test_it_grades_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "lib" / "site-packages", tmp_path / "elsewhere"
    elsewhere.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    env = {key: value for key, value in os.environ.items() if key != "PREP_BANK"} | {
        "PYTHONPATH": str(site), "PREP_STATE_DIR": str(tmp_path / "state")}
    where = subprocess.run([sys.executable, "-c", "import grader; print(grader.__file__)"], cwd=elsewhere, env=env,
                           capture_output=True, text=True, check=True).stdout
    assert where.startswith(str(site))
    for name, code, word in (("right", 0, "ACCEPTED"), ("wrong", 1, "WRONG ANSWER")):
        answer = elsewhere / "mine.py"
        answer.write_text((ROOT / "docs" / "samples" / f"conv2d_{name}.py").read_text())
        done = subprocess.run([sys.executable, "-m", "grader", "grade", "conv2d", "mine.py"], cwd=elsewhere, env=env,
                              capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stdout.startswith(word)
    spy = elsewhere / "spy.py"
    spy.write_text("import pathlib\nimport numpy as np\n"
                   f"print(pathlib.Path({str(site / 'grader')!r}).exists(), flush=True)\n"
                   f"text = pathlib.Path({str(site / SECRET)!r}).read_text()\n"
                   "def conv2d(x, w, b=None, stride=1, padding=0): return x\n")
    done = subprocess.run([sys.executable, "-m", "grader", "grade", "conv2d", "spy.py"], cwd=elsewhere, env=env,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout.startswith(("RULE VIOLATION", "RUNTIME ERROR")), done.stdout
