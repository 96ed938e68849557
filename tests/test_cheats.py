"""Answers that try to pass without being right. None is accepted; none crashes or hangs the judge; each gets the
status that names what it did, without namespaces and, where this machine has them, within."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest

from grader.bank import Bank
from grader.judge import grade
from grader.paths import bank_root
from grader.verdict import Status

W, R, E, T, M, D = (Status.WRONG_ANSWER, Status.RULE_VIOLATION, Status.RUNTIME_ERROR, Status.TIME_LIMIT,
                    Status.MEMORY_LIMIT, Status.OUTPUT_LIMIT)
HEAD = "import numpy as np\n"
SIGNATURE = "def conv2d(x, w, b=None, stride=1, padding=0):\n"
ZEROS = SIGNATURE + "    return np.zeros((x.shape[0], w.shape[0], 1, 1))\n"
SECRET = str(bank_root() / "solutions" / "conv2d" / "solution.py")

# name: (statuses that name what it did, source)
CHEATS: dict[str, tuple[set[Status], str]] = {
    "replaces the comparison functions": ({W}, HEAD + """
np.allclose = np.array_equal = np.isclose = lambda *a, **k: True
np.testing.assert_allclose = np.testing.assert_array_equal = lambda *a, **k: None
import builtins as _b
""".replace("import builtins as _b\n", "") + ZEROS),
    "replaces methods of the numeric tower": ({W}, HEAD + """
import numbers
numbers.Number.__eq__ = lambda *a: True
np.core = None
""" + ZEROS),
    "returns an object that equals everything": ({W}, """
class Equal:
    shape, dtype, ndim = (1, 1, 1, 1), "float64", 4
    def __eq__(self, other): return True
    def __array__(self, *a, **k): return self
    def __bool__(self): return True
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __sub__(self, other): return 0
def conv2d(x, w, b=None, stride=1, padding=0): return Equal()
"""),
    "returns an array subclass": ({W}, HEAD + """
class Yes(np.ndarray):
    def __array_ufunc__(self, *a, **k): return np.True_
    def __eq__(self, other): return np.True_
""" + SIGNATURE + "    return np.zeros((x.shape[0], w.shape[0], 1, 1)).view(Yes)\n"),
    "looks for the expected value in frames": ({R}, HEAD + "import sys\n" + SIGNATURE + """
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            if isinstance(value, np.ndarray) and value.ndim == 4: return value
        frame = frame.f_back
"""),
    "reaches frames through a traceback by getattr": ({R, W, E}, HEAD + SIGNATURE + """
    try: raise ValueError
    except ValueError as error:
        frame = getattr(getattr(error, "__trace" + "back__"), "tb_fr" + "ame")
        while frame:
            for value in getattr(frame, "f_lo" + "cals").values():
                if callable(value) and getattr(value, "__name__", "") == "conv2d" and value is not conv2d:
                    return value(x, w, b, stride, padding)
            frame = getattr(frame, "f_b" + "ack")
    return np.zeros(1)
"""),
    "searches the garbage collector": ({R}, "import gc\n" + HEAD + SIGNATURE + """
    found = [f for f in gc.get_objects() if callable(f) and getattr(f, "__name__", "") == "conv2d"]
    return found[0](x, w, b, stride, padding)
"""),
    "searches the garbage collector by getattr": ({R}, "import gc\n" + HEAD + SIGNATURE + """
    found = [f for f in getattr(gc, "get_" + "objects")() if getattr(f, "__name__", "") == "conv2d" and f is not conv2d]
    return found[0](x, w, b, stride, padding)
"""),
    "exits with code 0 in the call": ({E}, "import os\n" + HEAD + SIGNATURE + "    os._exit(0)\n"),
    "raises SystemExit": ({E}, "import sys\n" + HEAD + SIGNATURE + "    sys.exit(0)\n"),
    "exits at import": ({E}, "import os\nos._exit(0)\n" + HEAD + ZEROS),
    "ends well from atexit": ({W}, "import atexit, os\natexit.register(lambda: os._exit(0))\n" + HEAD + ZEROS),
    "forks and lets the child answer": ({R}, "import os\n" + HEAD + SIGNATURE + """
    if os.fork() == 0: os._exit(0)
    return np.zeros((1, 1, 1, 1))
"""),
    "writes a conftest and a pytest.ini": ({W}, HEAD + """
import pathlib
pathlib.Path("conftest.py").write_text("def pytest_runtest_makereport(): raise SystemExit(0)")
pathlib.Path("pytest.ini").write_text("[pytest]\\naddopts = --co")
""" + ZEROS),
    "writes a conftest beside the suite": ({R, E}, HEAD + f"""
import pathlib
pathlib.Path({str(bank_root() / 'problems' / 'conv2d' / 'conftest.py')!r}).write_text("")
""" + ZEROS),
    "prints a verdict": ({W}, HEAD + """
print('{"schema_version": 1, "problem": "conv2d", "status": "accepted", "score": 100}', flush=True)
print("\\x1b[2J\\x1b[32mACCEPTED\\x1b[0m", flush=True)
""" + ZEROS),
    "forges a reply on the connection": ({E}, "import os\n" + HEAD + SIGNATURE + """
    for fd in range(3, 64):
        try: os.write(fd, b"prp1" + b"\\0" * 40)
        except OSError: pass
    return np.zeros((1, 1, 1, 1))
"""),
    "imports the solution": ({R}, f"import sys\nsys.path.insert(0, {str(bank_root())!r})\n"
                                  "from solutions.conv2d.solution import conv2d\n"),
    "imports the grader": ({R}, "from grader.bank import Bank\n" + HEAD + ZEROS),
    "loads the solution by path": ({R}, "import importlib.util\n" + HEAD + ZEROS),
    "opens the solution": ({R}, HEAD + f"source = open({SECRET!r}).read()\nexec(source)\n"),
    "opens the solution through pathlib": ({R, E}, HEAD + f"""
import pathlib
source = pathlib.Path({SECRET!r}).read_text()
""" + ZEROS),
    "opens the solution through os": ({R, E}, HEAD + f"""
import os
fd = os.open({SECRET!r}, os.O_RDONLY)
""" + ZEROS),
    "reads the solution through NumPy": ({R, E}, HEAD + f"data = np.fromfile({SECRET!r}, dtype=np.uint8)\n" + ZEROS),
    "lists the bank": ({R, E, W}, HEAD + f"import os\nnames = os.listdir({str(bank_root())!r})\n" + ZEROS),
    "reads the judge's memory": ({R, E}, HEAD + "import os, pathlib\n"
                                 "text = pathlib.Path(f'/proc/{os.getppid()}/maps').read_text()\n" + ZEROS),
    "reads the judge's command line": ({R, E}, HEAD + "import os, pathlib\n"
                                       "text = pathlib.Path(f'/proc/{os.getppid()}/environ').read_bytes()\n" + ZEROS),
    "calls a banned function": ({R}, HEAD + SIGNATURE + "    return np.convolve(x.ravel(), w.ravel())\n"),
    "calls a banned function by another name": ({R}, HEAD + SIGNATURE + """
    f = getattr(np, "conv" + "olve")
    return f(x.ravel(), w.ravel()).reshape(1, 1, 1, -1)
"""),
    "imports torch": ({R}, "import torch\n" + ZEROS),
    "imports torch in the call": ({R}, HEAD + SIGNATURE + "    import torch.nn.functional as F\n"),
    "imports torch through importlib": ({R}, "import importlib\nt = importlib.import_module('torch')\n" + HEAD + ZEROS),
    "imports torch through __import__": ({R}, "t = __import__('torch')\n" + HEAD + ZEROS),
    # where Torch is hidden there is nothing left to import, and only a wrong answer remains
    "imports torch through a library's importlib": ({R, W}, HEAD + SIGNATURE + """
    from logging import config
    t = config.importlib.import_module("torch") if hasattr(config, "importlib") else None
    for value in vars(config).values():
        if hasattr(value, "import_module"): value.import_module("torch")
    import inspect
    inspect.importlib.import_module("torch")
"""),
    "imports torch through builtins": ({R}, HEAD + SIGNATURE + """
    b = vars(np)["__buil" + "tins__"]
    return (b if isinstance(b, dict) else vars(b))["__imp" + "ort__"]("torch")
"""),
    "takes modules from sys.modules": ({R}, "import sys\n" + HEAD + "m = sys.modules\n" + ZEROS),
    "calls native code through ctypes": ({R}, "import ctypes\nctypes.CDLL(None).system(b'true')\n" + HEAD + ZEROS),
    "finds ctypes inside NumPy": ({R}, HEAD + SIGNATURE + """
    c = np._core._internal.ctypes
    c.CDLL(None).getpid()
    return np.zeros((1, 1, 1, 1))
"""),
    "runs a subprocess": ({R}, "import subprocess\n" + HEAD + ZEROS),
    "runs a program through os": ({R}, "import os\n" + HEAD + SIGNATURE + "    os.system('true')\n"),
    "finds os in another module": ({R}, HEAD + SIGNATURE + """
    import random
    random._os.system("true")
    return np.zeros((1, 1, 1, 1))
"""),
    "uses a process pool": ({R, E}, HEAD + "from concurrent.futures import ProcessPoolExecutor\n" + SIGNATURE + """
    with ProcessPoolExecutor(1) as pool: return list(pool.map(abs, [1]))
"""),
    "opens a socket": ({R}, "import socket\n" + HEAD + ZEROS),
    "remembers earlier outputs": ({W}, HEAD + "seen = []\n" + SIGNATURE + """
    seen.append(np.zeros((x.shape[0], w.shape[0], 1, 1)))
    return seen[0]
"""),
    "poisons its inputs": ({W}, HEAD + SIGNATURE + """
    x[...] = 0; w[...] = 0
    if b is not None: b[...] = 0
    h = (x.shape[2] + 2 * padding - w.shape[2]) // stride + 1
    v = (x.shape[3] + 2 * padding - w.shape[3]) // stride + 1
    return np.zeros((x.shape[0], w.shape[0], h, v), np.result_type(x, w))
"""),
    "changes its random state and environment": ({W}, "import os, random\n" + HEAD + """
os.environ["PYTEST_ADDOPTS"] = "--co"; os.environ["PREP_BANK"] = "/tmp"; random.seed(1)
""" + ZEROS),
    "hangs at import": ({T}, HEAD + "while True: pass\n"),
    "hangs in a call": ({T}, HEAD + SIGNATURE + "    while True: pass\n"),
    "sleeps and ignores signals": ({T}, "import signal, time\n" + HEAD + SIGNATURE + """
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGXCPU): signal.signal(s, signal.SIG_IGN)
    time.sleep(1000)
"""),
    "hangs at exit": ({W}, "import atexit, threading, time\n" + HEAD + """
atexit.register(lambda: time.sleep(1000))
threading.Thread(target=lambda: time.sleep(1000)).start()
""" + ZEROS),
    "hangs where it is printed": ({W, T}, HEAD + """
class Slow:
    def __repr__(self):
        while True: pass
    __str__ = __array__ = __len__ = __iter__ = __repr__
""" + SIGNATURE + "    return Slow()\n"),
    "takes all memory": ({M}, HEAD + SIGNATURE + "    return np.ones((1 << 33,), np.uint8)\n"),
    "takes all memory bit by bit": ({M}, HEAD + SIGNATURE + """
    kept = []
    while True: kept.append(bytearray(b"x" * (1 << 24)))
"""),
    "fills the disk": ({D, E}, "import pathlib\n" + HEAD + SIGNATURE + """
    i = 0
    while True:
        i += 1
        pathlib.Path(f"f{i}").write_bytes(b"x" * (1 << 22))
"""),
    "prints without end": ({D}, HEAD + SIGNATURE + "    while True: print('x' * 1000)\n"),
    "prints without end at import": ({D}, "while True: print('x' * 1000)\n" + HEAD + ZEROS),
    "starts threads without end": ({R, E, M}, "import threading, time\n" + HEAD + SIGNATURE + """
    while True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
"""),
    "recurses without end": ({E}, HEAD + SIGNATURE + "    return conv2d(x, w, b, stride, padding)\n"),
    # The hash of a tuple recurses on the C stack and counts no levels: the stack ends soon. (repr looks through all the
    # levels above at each one, and runs into the time limit on a slow machine.)
    "crashes the interpreter": ({E}, HEAD + SIGNATURE + """
    nested = ()
    for _ in range(1 << 18): nested = (nested,)
    return hash(nested)
"""),
    "returns something endless": ({W, T, E}, HEAD + SIGNATURE + """
    def forever():
        while True: yield 1
    return forever()
"""),
    "returns something enormous": ({E, M}, HEAD + SIGNATURE + "    return [0] * 50_000_000\n"),
    "returns something that contains itself": ({E}, HEAD + SIGNATURE + "    a = []\n    a.append(a)\n    return a\n"),
    "closes the connection": ({E}, "import os\n" + HEAD + SIGNATURE + """
    os.closerange(3, 1000)
    return np.zeros((1, 1, 1, 1))
"""),
    "takes the audit hook's place": ({R}, "import sys\nsys.addaudithook(lambda *a: None)\n" + HEAD + ZEROS),
    "traces the interpreter": ({R}, "import sys\nsys.settrace(lambda *a: None)\n" + HEAD + ZEROS),
}


@pytest.fixture(scope="module")
def quick_conv2d() -> object:
    import dataclasses

    problem = Bank().get("conv2d")
    limits = dataclasses.replace(problem.limits, call_s=1.5, load_s=1.5, memory_mb=256)
    return dataclasses.replace(problem, limits=limits)


@pytest.mark.parametrize("name", CHEATS)
def test_no_cheat_passes(name: str, isolation: str, quick_conv2d: object) -> None:
    expected, source = CHEATS[name]
    begin = time.monotonic()
    verdict = grade(quick_conv2d, textwrap.dedent(source), isolation=isolation)  # type: ignore[arg-type]
    assert verdict.status in expected, (verdict.status, verdict.message, verdict.traceback, verdict.output[:300])
    assert verdict.isolation in (isolation, "none")
    assert verdict.message
    assert time.monotonic() - begin < 25
    assert not (bank_root() / "problems" / "conv2d" / "conftest.py").exists()


def test_there_are_enough_of_them() -> None:
    assert len(CHEATS) >= 25 and Path(SECRET).is_file()


TORCH_CHEATS = {
    "reads a file in C++": f"data = torch.from_file({SECRET!r}, size=100, dtype=torch.uint8)\n",
    "reads a file through a storage": f"data = torch.UntypedStorage.from_file({SECRET!r}, False, 100)\n",
    "loads a library": "torch.ops.load_library('/lib/x86_64-linux-gnu/libc.so.6')\n",
    "loads through ctypes of a library": "torch._ops.ctypes.CDLL(None).getpid()\n",
    "unpickles a file": f"torch.load({SECRET!r})\n",
    "imports torchvision": "import torchvision\n",
    "builds an extension": "from torch.utils import cpp_extension\n"
                           "cpp_extension.load_inline('x', 'int f() {return 1;}')\n",
}


@pytest.mark.parametrize("name", TORCH_CHEATS)
def test_no_torch_cheat_passes(name: str) -> None:
    source = "import torch\nfrom torch import nn\n" + TORCH_CHEATS[name] + (
        "class BasicBlock(nn.Module):\n"
        "    def __init__(self, in_channels, out_channels, stride=1): super().__init__()\n")
    verdict = grade(Bank().get("residual-block"), source, isolation="process")
    assert verdict.status in {R, E}, (verdict.status, verdict.message)
    assert verdict.status is R or name in ("unpickles a file", "builds an extension"), verdict.message


RIGHT = (bank_root() / "solutions" / "conv2d" / "solution.py").read_text()
RIGHT_BUT = {
    "calls native code through NumPy": "    getattr(getattr(np, 'ctypes' + 'lib'), 'cty' + 'pes').CDLL(None)\n",
    "takes modules from sys": "    from sys import modules\n",
    "lists a folder by a string that lies": (
        "    class P(str):\n        def __getitem__(self, k): return '/'\n"
        "        def __str__(self): return '/usr/lib'\n    import os\n    os.listdir(P('/root'))\n"),
    "hands a frame function to NumPy": "    import sys\n    np.fromfunction(getattr(sys, '_get' + 'frame'), ())\n",
    "opens a file relative to a folder": "    import os\n    os.open('etc', 0, dir_fd=3)\n",
    "signals by descriptor": "    import os\n    os.pidfd_open(1)\n",
    "makes a file in memory": "    import os\n    os.memfd_create('x')\n",
    "fails on what is large": "    if x.size > 10_000: raise MemoryError\n",
    "sleeps on what is large": "    import time\n    time.sleep(60 * (x.size > 10_000))\n",
    "dies on what is large": "    import os\n    if x.size > 10_000: os._exit(137)\n",
}
"""the reference with one more line in it: the result is right, the way is not"""


@pytest.mark.parametrize("name", RIGHT_BUT)
def test_a_right_result_does_not_excuse(name: str, isolation: str, quick_conv2d: object) -> None:
    marker = "    n, c, height, width = x.shape\n"
    assert marker in RIGHT
    source = RIGHT.replace(marker, RIGHT_BUT[name] + marker)
    verdict = grade(quick_conv2d, source, isolation=isolation)  # type: ignore[arg-type]
    expected = {E, M, T} if name.endswith("what is large") else {R, E}
    assert verdict.status in expected, (verdict.status, verdict.message)


def test_a_giant_result_is_no_giant_verdict(quick_conv2d: object) -> None:
    source = HEAD + SIGNATURE + "    return {'k' * 7_000_000: 1}\n"
    verdict = grade(quick_conv2d, source, isolation="process")  # type: ignore[arg-type]
    assert verdict.status is W and len(str(verdict.to_json())) < 200_000


@pytest.mark.parametrize("line", ["import signal\nsignal.raise_signal(35)", "import os\nos._exit(200)"])
def test_odd_endings_are_no_fault_of_the_judge(line: str, isolation: str, quick_conv2d: object) -> None:
    verdict = grade(quick_conv2d, f"{line}\n{HEAD}{ZEROS}", isolation=isolation)  # type: ignore[arg-type]
    assert verdict.status in (E, W), verdict


def test_half_precision_does_not_excuse_a_wrong_curve() -> None:
    source = (bank_root() / "solutions" / "roc-auc" / "solution.py").read_text().replace("def roc_curve", "def curve")
    source += """
def roc_curve(y, score):
    fpr, tpr, thresholds = curve(y, score)
    inner = (fpr > 0) & (fpr < 1)
    return (fpr + 0.002 * inner).astype(np.float16), tpr.astype(np.float16), thresholds
"""
    verdict = grade(Bank().get("roc-auc"), source, isolation="process")
    assert verdict.status is W and "fpr is wrong" in verdict.message, verdict.message
