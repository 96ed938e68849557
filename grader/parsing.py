"""Python text -> tree, at a bounded cost. Runs none of it.

Python's parser has no limits of its own: a name of 250,000 combining accents takes it hours, an import of 64,000 dots
4 GB, and there may be a text that crashes it. What is longer than answers are is parsed by another process first.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import warnings

QUICK_CHARACTERS = 10_000
"""up to here the worst that is known takes a tenth of a second and 50 MB"""
TRIAL_CPU_S, TRIAL_MEMORY_MB = 5, 600
"""what the trial may take: four times the time of a list of 350,000 numbers, and one and a half times the memory"""
TRIAL_WALL_S = 30.0

_TRIAL = f"""
import ast, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, ({TRIAL_CPU_S}, {TRIAL_CPU_S}))
    resource.setrlimit(resource.RLIMIT_AS, ({TRIAL_MEMORY_MB} << 20, {TRIAL_MEMORY_MB} << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, OSError, ValueError):
    pass
try:
    compile(sys.stdin.buffer.read().decode(), "attempt.py", "exec", ast.PyCF_ONLY_AST)
except (SyntaxError, ValueError, RecursionError):
    pass
"""


def parse(source: str, filename: str = "attempt.py") -> ast.Module:
    """As ast.parse, without its warnings. Raises what that raises, and MemoryError where it would cost too much."""
    if len(source) > QUICK_CHARACTERS:
        _try(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strange escapes and the like: a line of text for each
        return ast.parse(source, filename)


def _try(source: str) -> None:
    costs = MemoryError(f"parsing it takes more than {TRIAL_CPU_S} s or {TRIAL_MEMORY_MB} MB")
    try:
        done = subprocess.run([sys.executable, "-I", "-S", "-W", "ignore", "-c", _TRIAL], input=source.encode(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TRIAL_WALL_S,
                              start_new_session=True, env={"PATH": os.defpath})
    except subprocess.TimeoutExpired:
        raise costs from None
    if done.returncode:
        raise costs
