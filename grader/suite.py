"""The pytest plugin that hidden suites are written for: fixtures, marks, and one Case per test. Launches nothing.

A suite is ordinary pytest. It gets `attempt` (the answer), `reference` (the solution) and `rng` (a NumPy generator,
seeded by the test's name), and may mark tests `points(n)` and `visible`. The first paragraph of a test's docstring is
what the learner reads as the reason. Authors can run a suite by hand:

    pytest problems/conv2d/test_hidden.py --attempt FILE [--in-process]
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import inspect
import os
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest

from grader import counterexample
from grader.attempt import wire
from grader.attempt.outcomes import AttemptRaised, AttemptStopped
from grader.check import BelowThreshold, CheckFailure, Observed
from grader.counterexample import Call, CallLog
from grader.problem import Problem
from grader.problem import load as load_problem
from grader.verdict import MAX_TEXT, NOT_RUN, PASSED, Case, Status, clip

TRAINING_ELEMENTS = 200_000
"""array elements in a test's calls, from which on they are training and no example"""


class JudgeFault(Exception):
    """The suite or the reference broke: our fault, never the learner's."""


class LocalFunction:
    """A function of an answer loaded into this process: the remote one's interface, without the boundary."""

    in_process = True

    def __init__(self, name: str, function: Callable[..., Any], log: CallLog, latest: list[Any]) -> None:
        """latest: what the case's latest observed call returned, where there was one."""
        self._name, self._function, self._log, self._latest = name, function, log, latest

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._log.add(Call(self._name, args, kwargs))
        return self._function(*args, **kwargs)

    def observed(self, *args: Any, **kwargs: Any) -> Observed:
        """As `attempt.f.observed` beyond the boundary: the call works on copies, which come back with the result."""
        self._log.add(Call(self._name, args, kwargs))
        args, kwargs = copy.deepcopy(args), copy.deepcopy(kwargs)
        result = self._function(*args, **kwargs)
        earlier, self._latest[:] = list(self._latest), [result]
        return Observed(result, args, kwargs, wire.overlap(result, [args, kwargs]), wire.overlap(result, earlier))


class LocalAttempt:
    """An answer loaded into this process, for authors who debug a suite. Offers no protection at all."""

    def __init__(self, path: Path, kit: Path | None) -> None:
        self.log, self._latest = CallLog(), list[Any]()
        if kit:
            load_module("kit", kit)
        self._module = load_module("attempt", path)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        return LocalFunction(name, value, self.log, self._latest) if inspect.isfunction(value) else value

    def from_kit(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(sys.modules["kit"], name)(*args, **kwargs)

    def begin_case(self, seed: int) -> None:
        self.log.clear()
        self._latest.clear()

    def end_case(self) -> str:
        return ""


def load_module(name: str, path: Path) -> ModuleType:
    """Import the file at `path` as `name`."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load_reference(problem: Problem) -> ModuleType:
    """The problem's solution as a module of the judge's process."""
    if problem.kit:
        load_module("kit", problem.kit)
    return load_module(f"prep_reference_{problem.slug.replace('-', '_')}", problem.solution)


class SuitePlugin:
    """Runs one suite against one attempt and collects a Case per test.

    attempt: what the fixture hands out; needs `log`, `begin_case(seed)` and `end_case() -> printed text`.
    store: where inputs too large to print are saved, as files named after it, one for each case; or None.
    """

    def __init__(self, problem: Problem, attempt: Any, store: Path | None = None,
                 on_case: Callable[[Case], None] | None = None) -> None:
        self.problem = problem
        self._reference: ModuleType | None = None
        self.collected: list[str] = []
        self.module: ModuleType | None = None
        self.begin(attempt, store, on_case)

    def begin(self, attempt: Any, store: Path | None = None, on_case: Callable[[Case], None] | None = None,
              lab: Any = None) -> None:
        """Forget what an earlier attempt left, and judge this one. lab: for training problems, see training.py."""
        self._attempt, self._store, self._lab = attempt, store, lab
        self._on_case = on_case or (lambda case: None)
        self.cases: dict[str, Case] = {}
        self.stopped: AttemptStopped | None = None
        self.fault: str | None = None
        self.failed_with_not_implemented = 0

    @pytest.fixture
    def attempt(self) -> Any:
        """The answer. `attempt.f(...)` calls it; `attempt.f.observed(...)` also returns its arguments afterwards."""
        return self._attempt

    @pytest.fixture
    def reference(self) -> ModuleType:
        """The solution, in the judge's own process."""
        return self.load_reference()

    @pytest.fixture
    def lab(self) -> Any:
        """The judge's side of training: data, clock, runs (lab.Lab)."""
        if self._lab is None:
            from grader import profiles
            from grader.lab import Lab

            self._lab = Lab(profiles.plan(self.problem, "smoke"), self._attempt)
        return self._lab

    def load_reference(self) -> ModuleType:
        """The solution's module, loaded once."""
        if self._reference is None:
            self._reference = load_reference(self.problem)
        return self._reference

    @pytest.fixture
    def rng(self, request: pytest.FixtureRequest) -> np.random.Generator:
        """A NumPy generator, the same in every run of this test."""
        return np.random.default_rng(_seed(request.node))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.collected = [item.name for item in items]
        self.module = getattr(items[0], "module", None) if items else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        return True if self._over(item) else None

    def _over(self, item: pytest.Item) -> bool:
        """Once the attempt is over, what is left is not run."""
        if self.stopped or self.fault:
            self._record(self._case(item, NOT_RUN, 0.0))
            return True
        return False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        with self._judging(item):
            return (yield)

    @contextlib.contextmanager
    def _judging(self, item: pytest.Item) -> Iterator[None]:
        """What happens in here is the item's case."""
        begin = time.perf_counter()
        error: BaseException | None = None
        try:
            properties: Any = sys.modules.get("grader.properties")
            if properties is not None:
                properties.shrinking = not self._failed
            self._attempt.begin_case(_seed(item))
            yield
        except BaseException as caught:
            error = caught
            raise
        finally:
            if not isinstance(error, KeyboardInterrupt):
                self._finish(item, error, time.perf_counter() - begin)

    def call(self, item: pytest.Function, needs: Needs) -> None:
        """Run a test that needs nothing of pytest, as pytest would. Raises JudgeFault where its fixtures break."""
        if self._over(item):
            return
        try:
            values = {name: self._fixture(name, item) for name in needs.fixtures} | needs.parameters
        except Exception:
            raise JudgeFault(traceback.format_exc()) from None
        try:
            with self._judging(item):
                item.obj(**values)
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException:  # it is in the case
            pass

    def _fixture(self, name: str, item: pytest.Item) -> Any:
        if name == "attempt":
            return self._attempt
        return self.load_reference() if name == "reference" else np.random.default_rng(_seed(item))

    @property
    def _failed(self) -> bool:
        return any(case.status not in (PASSED, NOT_RUN) for case in self.cases.values())

    def _finish(self, item: pytest.Item, error: BaseException | None, duration_s: float) -> None:
        try:
            output = self._attempt.end_case()
        except AttemptStopped as stopped:  # it printed too much, or died, between the last call and here
            output, error = "", error if isinstance(error, AttemptStopped) else stopped
        points = _points(item)
        if error is None:
            self._record(self._case(item, PASSED, points, duration_s=duration_s, output=output))
            return
        calls = error.calls if isinstance(error, CheckFailure) else 1
        if self._lab is not None and counterexample.weight(self._attempt.log.calls) > TRAINING_ELEMENTS:
            calls = 0  # a whole data set explains nothing
        try:
            code = counterexample.render(self._attempt.log.calls, calls, self._file(item))
        except Exception as problem:  # a counterexample is a help, never a reason to lose the verdict
            code = f"# could not be written as code: {problem!r}"
        details: dict[str, Any] = {"counterexample": code, "duration_s": duration_s, "output": output}
        if isinstance(error, CheckFailure):
            status = Status.BELOW_THRESHOLD if isinstance(error, BelowThreshold) else Status.WRONG_ANSWER
            details |= {"message": error.message, "expected": error.expected, "actual": error.actual,
                        "first_bad_index": error.index, "max_error": error.max_error}
            if error.why:
                details["rationale"] = error.why
        elif isinstance(error, AttemptStopped):
            status, self.stopped = error.status, error
            details |= {"message": error.message, "traceback": error.traceback or None}
        elif isinstance(error, AttemptRaised):
            status = Status.MEMORY_LIMIT if "MemoryError" in error.error.bases else Status.RUNTIME_ERROR
            details |= {"message": str(error), "traceback": error.error.traceback}
            self.failed_with_not_implemented += error.error.type_name == "NotImplementedError"
        elif type(error).__module__ == "hypothesis.errors" and "Flaky" in type(error).__name__:
            status = Status.WRONG_ANSWER
            details |= {"message": "the same call gave a right result once and a wrong one another time"}
        elif (fault := self._fault(error)) is not None:
            self.fault, status = fault, Status.JUDGE_ERROR
            details |= {"message": f"the test itself broke: {type(error).__name__}: {error}"}
        else:
            status = Status.WRONG_ANSWER
            details |= {"message": f"the test could not use what the answer returned: {type(error).__name__}: {error}"
                        if not isinstance(error, AssertionError) else f"this does not hold: {error}"}
        self._record(self._case(item, status, 0.0, **details))

    def _file(self, item: pytest.Item) -> Path | None:
        """Where the inputs of a case are saved, if they must be."""
        if self._store is None:
            return None
        return self._store.with_name(f"{self._store.stem}-{self.collected.index(item.name)}.npz")

    def _fault(self, error: BaseException) -> str | None:
        """The traceback, where `error` is our own: raised in the reference or inside the grader."""
        if isinstance(error, AssertionError | pytest.fail.Exception):
            return None
        frames = traceback.extract_tb(error.__traceback__)
        last = Path(frames[-1].filename) if frames else Path()
        ours = Path(__file__).parent
        if isinstance(error, JudgeFault) or last == self.problem.solution or (
                ours in last.parents and last.name != "check.py"):
            return "".join(traceback.format_exception(error))
        return None

    def _case(self, item: pytest.Item, status: str, points: float, **details: Any) -> Case:
        doc = inspect.getdoc(getattr(item, "obj", None)) or ""
        details = {"rationale": " ".join(doc.split("\n\n")[0].split())} | details
        for name in ("message", "expected", "actual", "counterexample", "traceback", "output"):
            if isinstance(text := details.get(name), str):
                details[name] = clip(text, MAX_TEXT)
        return Case(name=item.name, status=str(status), points=points, max_points=_points(item),
                    visible=item.get_closest_marker("visible") is not None, **details)

    def _record(self, case: Case) -> None:
        self.cases[case.name] = case
        self._on_case(case)


def run(plugin: SuitePlugin, *, fail_fast: bool = False) -> None:
    """Run the plugin's suite in this process; the cases are in `plugin.cases` afterwards.

    Raises JudgeFault where the suite cannot be collected, or ran other tests than were collected.
    """
    LoadedSuite(plugin).run(fail_fast=fail_fast)


class LoadedSuite:
    """A collected suite: it can be run again and again, each time against another attempt.

    Nothing lying around changes it: no configuration file, conftest, cache, plugin or variable is read.
    """

    def __init__(self, plugin: SuitePlugin) -> None:
        """Collect the suite of `plugin.problem`. Raises JudgeFault where that fails."""
        self.plugin, suite = plugin, plugin.problem.suite
        if not suite.exists():
            raise JudgeFault(f"{suite} does not exist")
        sys.modules.pop("kit", None)
        if plugin.problem.kit:
            load_module("kit", plugin.problem.kit)
        before = set(sys.modules)
        held = {key: os.environ.pop(key) for key in list(os.environ) if key.startswith("PYTEST_")}
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        collector = _Collector()
        try:
            code = pytest.main(
                [str(suite), f"--rootdir={suite.parent}", f"--confcutdir={suite.parent}", "--noconftest",
                 "-c", os.devnull, "--import-mode=importlib", "--strict-markers",
                 *(word for name in _UNUSED for word in ("-p", f"no:{name}"))],
                plugins=[plugin, collector, sys.modules[__name__]])
        finally:
            os.environ.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)
            os.environ.update(held)
            # pytest names a suite's module after its file, so the next problem's suite would be taken for this one
            for name in set(sys.modules) - before:
                if name.rpartition(".")[2] == suite.stem:
                    del sys.modules[name]
        if collector.interrupted:
            raise KeyboardInterrupt
        if collector.errors:
            raise JudgeFault("the suite cannot be collected:\n" + "\n".join(collector.errors))
        if plugin.module is not None and Path(str(plugin.module.__file__)) != suite:
            raise JudgeFault(f"pytest ran {plugin.module.__file__} instead of {suite}")
        if not plugin.collected or collector.session is None:
            raise JudgeFault(f"{suite} holds no tests (pytest ended with {code!r})")
        if len(set(plugin.collected)) != len(plugin.collected):
            raise JudgeFault("two tests of the suite have the same name")
        self.items = list(collector.session.items)
        self._needs = [_needs(item) for item in self.items]
        if [item.name for item in self.items] != plugin.collected:
            raise JudgeFault("pytest would run other tests than it collected")

    def run(self, *, fail_fast: bool = False) -> None:
        """Run every test in order. Raises JudgeFault where a test ended without a verdict."""
        plugin = self.plugin
        for item, needs, after in zip(self.items, self._needs, [*self.items[1:], None]):
            if needs is not None:
                assert isinstance(item, pytest.Function)
                plugin.call(item, needs)
            else:
                item.ihook.pytest_runtest_protocol(item=item, nextitem=after)
            case = plugin.cases.get(item.name)
            if case is None:  # skipped, or broken outside its call
                raise JudgeFault(plugin.fault or f"{item.name} ended without a verdict")
            if fail_fast and case.status != PASSED:
                break
        for name in plugin.collected:
            plugin.cases.setdefault(name, Case(name, NOT_RUN, 0.0, 1.0))


_UNUSED = ("terminal", "capture", "cacheprovider", "junitxml", "doctest", "pastebin", "debugging", "stepwise",
           "setupplan", "setuponly", "logging", "unraisableexception", "threadexception", "faulthandler", "recwarn",
           "legacypath", "unittest", "reports", "tmpdir", "monkeypatch", "warnings", "subtests")
"""pytest's own plugins that a hidden suite has no use for, and need not wait for"""


@dataclass(frozen=True)
class Needs:
    """What a test is called with, where that is all it needs: names of our own fixtures, and values by name."""

    fixtures: tuple[str, ...]
    parameters: dict[str, Any]


def _needs(item: pytest.Item) -> Needs | None:
    """None where the test needs pytest: other fixtures, other marks, a class, an assert that pytest explains.

    pytest takes half a millisecond to set a test up, as long as many tests of a suite take themselves.
    """
    if type(item) is not pytest.Function or item.cls is not None or inspect.iscoroutinefunction(item.obj):
        return None
    written = inspect.unwrap(item.obj)  # below @given and the like
    parameters = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    fixtures = set(item.fixturenames) - set(parameters) - {"request"}
    asked = inspect.signature(item.obj).parameters
    plain = (fixtures <= {"attempt", "reference", "rng"} and {*asked} - {*parameters} <= fixtures
             and {*parameters} <= {*asked} - {*vars(item.module)}  # a fixture by that name would be asked for the value
             and {mark.name for mark in item.iter_markers()} <= {"points", "visible", "parametrize"}
             and inspect.isfunction(written) and "@pytest_ar" not in written.__code__.co_names)
    return Needs(tuple(name for name in asked if name in fixtures), parameters) if plain else None


class _Collector:
    """Takes the collected session out of pytest's hands, and notices what would otherwise be lost."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.interrupted = False
        self.session: pytest.Session | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.session = session
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(str(report.longrepr))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Nobody reads pytest's own account of a failure, and writing it takes longer than the test."""
        raised = call.excinfo
        outcome: Literal["passed", "failed", "skipped"] = (
            "passed" if raised is None else "skipped" if raised.errisinstance(pytest.skip.Exception) else "failed")
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, call.when)  # type: ignore[arg-type]

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        # pytest's own Session.Interrupted is a KeyboardInterrupt too
        self.interrupted = type(excinfo.value) is KeyboardInterrupt

    def pytest_internalerror(self, excrepr: object) -> bool:
        self.errors.append(str(excrepr))
        return True


def _seed(item: Any) -> int:
    return zlib.crc32(item.name.encode())


def _points(item: pytest.Item) -> float:
    marker = item.get_closest_marker("points")
    return float(marker.args[0]) if marker and marker.args else 1.0


# What follows makes `pytest problems/SLUG/test_hidden.py --attempt FILE` work for authors.

def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("prep")
    group.addoption("--attempt", metavar="FILE", help="the answer to run a hidden suite against")
    group.addoption("--in-process", action="store_true", help="load the answer into this process (no protection)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "points(n): what this test is worth (1 unless told)")
    config.addinivalue_line("markers", "visible: shown whole to learners before they try")
    file = config.getoption("--attempt", None)
    if not file:
        return
    suite = next((Path(arg.partition("::")[0]) for arg in config.args if arg.partition("::")[0].endswith(".py")), None)
    if suite is None or not Path(file).is_file():
        raise pytest.UsageError("--attempt FILE goes with one suite:  "
                                "pytest problems/SLUG/test_hidden.py --attempt FILE")
    folder = suite.resolve().parent
    problem = load_problem(folder, folder.parent.parent / "solutions" / folder.name)
    if problem.kind == "training":
        from grader import profiles

        problem = profiles.equip(problem, profiles.plan(problem, "smoke"))
    if config.getoption("--in-process"):
        attempt: Any = LocalAttempt(Path(file), problem.kit)
    else:
        from grader.attempt.proxy import launch

        attempt = launch(problem, Path(file).read_text(encoding="utf-8"))
        config.add_cleanup(attempt.close)
    config.pluginmanager.register(SuitePlugin(problem, attempt), "prep-suite")
