"""Problem + source -> Verdict. Prints nothing, keeps nothing, and lets no answer's fault become its own.

The answer's process is started first and imports its libraries while the judge imports pytest and NumPy.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader import __version__
from grader.attempt import launch, rules
from grader.attempt.outcomes import AttemptRaised, AttemptStopped
from grader.errors import PrepError
from grader.parsing import parse
from grader.paths import state_dir
from grader.problem import Entry, Problem
from grader.verdict import NOT_RUN, PASSED, Case, Speed, Status, Verdict

if TYPE_CHECKING:
    from grader.attempt.proxy import Attempt
    from grader.profiles import Plan
    from grader.suite import LoadedSuite, SuitePlugin

OnCase = Callable[[Case], None]
OnLog = Callable[[dict[str, Any]], None]
OF_ALL = ("No answer may: it gets arguments and returns a result, without files, input, network, processes, or the "
          "interpreter's insides. Take it out, unused code included.")
INPUTS_KEPT_S = 7 * 24 * 3600.0
"""for so long can a counterexample be run whose inputs are too large to print"""


def grade(problem: Problem, source: str, *, filename: str = "attempt.py", on_case: OnCase | None = None,
          fail_fast: bool = False, isolation: str | None = None, zygote: launch.Zygote | None = None,
          suite: LoadedSuite | None = None, speed: bool = True, plan: Plan | None = None,
          on_log: OnLog | None = None, keep_inputs: bool = True) -> Verdict:
    """The verdict on `source` as an answer to `problem`.

    filename: only for messages. on_case: told of each case as it ends. fail_fast: stop at the first failing case.
    isolation: "bubblewrap", "landlock" or "process"; the best that this machine gives where None. zygote: fork the
    attempt from it. suite: the problem's suite, where it is loaded already. speed: also time an accepted answer against
    the reference.
    plan: how a training problem is graded; at the profile smoke where None. on_log: told what the answer logs.
    keep_inputs: save those of failed cases that are too large to print, so that the counterexamples can be run.
    Raises nothing but KeyboardInterrupt: a fault of the judge's own is a verdict too.
    """
    begin = time.perf_counter()
    process: launch.Process | None = None
    try:
        verdict = _before_running(problem, source, filename)
        if verdict is None:
            use_one_thread()
            if problem.kind == "training":
                from grader import profiles

                plan = plan or profiles.plan(problem, "smoke")
                problem = profiles.equip(problem, plan)
            process = launch.start(problem, isolation=isolation, zygote=zygote, threads=plan.threads if plan else 1,
                                   device=plan.device if plan else "cpu", hide=_held_back(plan))
            verdict = _run(problem, source, process, on_case, fail_fast, suite, speed, plan, on_log, keep_inputs)
    except PrepError as error:  # data that is not there or is broken
        verdict = judge_error(problem.slug, str(error))
    except AttemptStopped as stopped:
        verdict = Verdict(problem.slug, stopped.status, stopped.message, traceback=stopped.traceback or None)
    except Exception:
        verdict = judge_error(problem.slug, traceback.format_exc())
    finally:
        if process is not None:
            process.close()
    output = process.take_output() if process is not None else ""
    return dataclasses.replace(
        verdict, isolation=process.isolation if process else "none", versions=_versions(),
        output=verdict.output or (output if not verdict.cases else ""),
        max_score=verdict.max_score or sum(case.max_points for case in verdict.cases),
        profile=plan.profile.name if plan else "default", device=plan.device if plan else "cpu",
        duration_s=round(time.perf_counter() - begin, 4)).bounded()


def use_one_thread() -> None:
    """The answer has one thread, and speed is compared. To be called before NumPy or Torch is imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # for controls, which have more threads


def judge_error(slug: str, text: str) -> Verdict:
    """A verdict that says: not your fault."""
    return Verdict(slug, Status.JUDGE_ERROR, "The judge failed, not your answer.", traceback=text,
                   fix=f"Please report this with the traceback and your file.  prep doctor; prep verify {slug}")


def _versions() -> dict[str, str]:
    found = {"prep": __version__, "python": platform.python_version()}
    for name in ("numpy", "torch"):
        if name in sys.modules:
            found[name] = str(sys.modules[name].__version__)
    return found


def _before_running(problem: Problem, source: str, filename: str) -> Verdict | None:
    """What can be said without running anything."""
    try:
        tree = parse(source, filename)
    except SyntaxError as error:
        text = "".join(traceback.format_exception_only(error))
        return Verdict(problem.slug, Status.RUNTIME_ERROR, f"{type(error).__name__}: {error.msg} (line {error.lineno})",
                       fix=f"Mend the line, then:  prep grade {problem.slug}", traceback=text)
    except (ValueError, RecursionError, MemoryError) as error:
        return Verdict(problem.slug, Status.RUNTIME_ERROR,
                       f"Python cannot read this file: {error or 'parsing it takes too much memory'}")
    try:
        same = problem.starter.exists() and _alike(tree, _parsed(problem.starter.read_text(encoding="utf-8")))
        violation = rules.find_in_source(tree, problem.rules.libraries, problem.rules.forbid)
    except RecursionError:
        return Verdict(problem.slug, Status.RUNTIME_ERROR, "This file is nested too deeply to be read.",
                       fix=f"Flatten the longest chain of elif or operators, then:  prep grade {problem.slug}")
    if same:
        what = "the broken file, unchanged" if problem.kind == "debug" else "still the starter"
        return Verdict(problem.slug, Status.NOT_STARTED, f"{filename} is {what}.",
                       fix=f"Edit it, then:  prep grade {problem.slug}")
    if violation:
        line = f" (line {violation.line})" if violation.line else ""
        lines = source.splitlines()
        shown = lines[violation.line - 1].strip() if violation.line and violation.line <= len(lines) else ""
        return Verdict(problem.slug, Status.RULE_VIOLATION, f"{violation.what}{line}",
                       fix=OF_ALL if violation.of_all else problem.rules.why,
                       traceback=f'  File "{filename}", line {violation.line}\n    {shown}\n' if shown else None)
    return None


@functools.lru_cache(maxsize=64)
def _parsed(source: str) -> ast.Module | None:
    try:
        return parse(source)
    except SyntaxError:
        return None


def _alike(one: Any, other: Any) -> bool:
    """Whether two pieces of code differ in layout and comments at most."""
    if type(one) is not type(other):
        return False
    if isinstance(one, ast.AST):
        return all(_alike(getattr(one, name, None), getattr(other, name, None)) for name in one._fields)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)


def _run(problem: Problem, source: str, process: launch.Process, on_case: OnCase | None, fail_fast: bool,
         loaded: LoadedSuite | None, speed: bool, plan: Plan | None, on_log: OnLog | None,
         keep_inputs: bool) -> Verdict:
    if problem.uses_torch:
        import torch

        torch.set_num_threads(1)
    from grader import suite
    from grader.attempt.proxy import Attempt

    attempt = Attempt(process, problem)
    try:
        signatures = attempt.load(source)
    except AttemptRaised as error:
        if error.attempt_error == "NotImplementedError":
            return _not_started(problem)
        return Verdict(problem.slug, Status.RUNTIME_ERROR, f"The file raised when it was run: {error}",
                       traceback=error.error.traceback)
    for entry in problem.entries:
        if fault := _entry_fault(entry, attempt, signatures.get(entry.name)):
            return Verdict(problem.slug, Status.RUNTIME_ERROR, fault,
                           fix=f"The prompt has the signature:  prep show {problem.slug}")
    store = _inputs_folder() / f"{problem.slug}-{os.getpid()}.npz" if keep_inputs else None
    try:
        loaded = loaded or suite.LoadedSuite(suite.SuitePlugin(problem, attempt))
        plugin = loaded.plugin
        lab = _lab(plan, attempt, on_log)
        plugin.begin(attempt, store, on_case, lab)
        loaded.run(fail_fast=fail_fast or lab is not None)
        attempt.look_for(problem.rules.libraries)
    except suite.JudgeFault as fault:
        return judge_error(problem.slug, str(fault))
    if plugin.fault:
        return dataclasses.replace(judge_error(problem.slug, plugin.fault), cases=_cases(plugin))
    verdict = _verdict(problem, plugin)
    if lab is not None:
        verdict = dataclasses.replace(verdict, training=lab.report())
    if verdict.accepted and problem.speed and speed:
        verdict = _with_speed(problem, plugin, attempt, verdict)
    return verdict


def _inputs_folder() -> Path:
    """Where inputs too large to print are saved; those of old gradings are forgotten."""
    folder, now = state_dir() / "counterexamples", time.time()
    for file in folder.glob("*.npz"):
        with contextlib.suppress(OSError):  # another judge is forgetting it too
            if now - file.stat().st_mtime > INPUTS_KEPT_S:
                file.unlink()
    return folder


def _held_back(plan: Plan | None) -> tuple[str, ...]:
    """Where held-out labels, and what was learned from them, could be read."""
    if plan is None:
        return ()
    from grader.paths import data_dir

    return str(plan.data_dir or data_dir()), str(state_dir())


def _lab(plan: Plan | None, attempt: Attempt, on_log: OnLog | None) -> Any:
    """The judge's side of a training problem; None for the others."""
    if plan is None:
        return None
    from grader.lab import Lab

    lab = Lab(plan, attempt, on_log or (lambda entry: None))
    _ = lab.data  # broken files are found before anything is trained
    return lab


def _cases(plugin: SuitePlugin) -> tuple[Case, ...]:
    return tuple(plugin.cases[name] for name in plugin.collected)


def _not_started(problem: Problem) -> Verdict:
    return Verdict(problem.slug, Status.NOT_STARTED, "The answer still raises NotImplementedError.",
                   fix=f"Write it, then:  prep grade {problem.slug}")


def _verdict(problem: Problem, plugin: SuitePlugin) -> Verdict:
    """Accepted only where every collected case ran and passed."""
    cases = _cases(plugin)
    score, full = sum(case.points for case in cases), sum(case.max_points for case in cases)
    failed = [case for case in cases if case.status not in (PASSED, NOT_RUN)]
    if failed and len(failed) == plugin.failed_with_not_implemented and not any(c.status == PASSED for c in cases):
        return dataclasses.replace(_not_started(problem), cases=cases, max_score=full)
    if failed:
        # what ended the attempt for good outweighs what came before it: a wrong answer that then hangs is a hang
        headline = next((case for case in failed if plugin.stopped and case.status == plugin.stopped.status), failed[0])
        return Verdict(problem.slug, Status(headline.status), f"{headline.name}: {headline.message}", score=score,
                       max_score=full, cases=cases, traceback=headline.traceback)
    if len(cases) != len(plugin.collected) or any(case.status != PASSED for case in cases):
        return judge_error(problem.slug, "not every test of the suite was run")
    return Verdict(problem.slug, Status.ACCEPTED, f"All {len(cases)} cases pass.", score=full, max_score=full,
                   cases=cases)


def _entry_fault(entry: Entry, attempt: Attempt, found: Any) -> str | None:
    """Why the answer's entry point cannot be called as the prompt says, or None."""
    if not attempt.defines(entry.name):
        return f"The file defines no function or class '{entry.name}'."
    parameters = _parameters(entry.signature)
    if parameters is None or type(found) is not list:
        return None
    asked, by_keyword = parameters
    try:
        have = [(str(name), int(kind), bool(default)) for name, kind, default in found]
    except (TypeError, ValueError, OverflowError):
        return None
    takes_any, takes_keywords = any(kind == 2 for _, kind, _ in have), any(kind == 4 for _, kind, _ in have)
    named = [(name, default) for name, kind, default in have if kind in (0, 1)]
    keyword_only = {name for name, kind, _ in have if kind == 3}
    shown = f"{entry.name}({', '.join(name for name, kind, _ in have)})"
    for i, (name, optional) in enumerate(asked):
        if i < len(named):
            if named[i][0] != name and not takes_keywords:
                return f"'{entry.name}' has the wrong signature: {shown}; asked for: {entry.signature}"
            if optional and not named[i][1]:
                return f"'{entry.name}' must have a default for '{name}': {entry.signature}"
        elif not takes_any and name not in keyword_only and not takes_keywords:
            return f"'{entry.name}' takes too few arguments: {shown}; asked for: {entry.signature}"
    for name in by_keyword:
        if name not in keyword_only and not takes_keywords and name not in (n for n, _ in named[len(asked):]):
            return f"'{entry.name}' takes no '{name}': {shown}; asked for: {entry.signature}"
    given = {*by_keyword, *(name for name, _ in asked)}
    extra = [name for name, default in named[len(asked):] if not default and name not in given]
    extra += [name for name, kind, default in have if kind == 3 and not default and name not in given]
    if extra:
        return (f"'{entry.name}' needs arguments that nobody will give ({', '.join(extra)}); "
                f"asked for: {entry.signature}")
    return None


def _parameters(signature: str) -> tuple[list[tuple[str, bool]], list[str]] | None:
    """[(name, has a default)] and the names given by keyword, of a signature written as in problem.toml; None for what
    this cannot express."""
    try:
        function = ast.parse(f"def {signature.partition('->')[0].strip()}: ...").body[0]
    except SyntaxError:
        return None
    assert isinstance(function, ast.FunctionDef)
    spec = function.args
    if spec.vararg or spec.kwarg:
        return None
    first_default = len(spec.args) - len(spec.defaults)
    return [(arg.arg, i >= first_default) for i, arg in enumerate(spec.args)], [arg.arg for arg in spec.kwonlyargs]


def _with_speed(problem: Problem, plugin: SuitePlugin, attempt: Attempt, verdict: Verdict) -> Verdict:
    """Time the answer and the reference in turns, on larger inputs as long as the answer keeps up.

    Each turn has inputs of its own, so that nothing is gained by remembering results. Those must agree too, so that
    nothing can be right on small inputs only.
    """
    import numpy as np

    from grader import check

    spec = problem.speed
    assert spec is not None
    module, reference = plugin.module, plugin.load_reference()
    function, truth = getattr(attempt, spec.function), getattr(reference, spec.function)
    measured: Speed | None = None
    for size in spec.sizes:
        name = f"speed_inputs[{size}]"
        attempt.begin_case(size)
        try:
            ours = theirs = float("inf")
            for turn in range(3 if size == spec.sizes[-1] else 2):
                rng = np.random.default_rng([size, turn])
                args, kwargs = module.speed_inputs(rng, size)  # type: ignore[union-attr]
                begin = time.thread_time()  # an answer that burns the other cores must not slow the reference down
                expected = truth(*args, **kwargs)
                ours = min(ours, time.thread_time() - begin)
                begin = time.perf_counter()
                got = function(*args, **kwargs)
                theirs = min(theirs, time.perf_counter() - begin)
                check.close(got, expected, why="a right answer is right on larger inputs too")
                if theirs > 0.05:
                    break
        except AttemptStopped as stopped:
            return _fail_late(problem, verdict, name, stopped.status, stopped.message, None)
        except AttemptRaised as error:
            status = Status.MEMORY_LIMIT if "MemoryError" in error.error.bases else Status.RUNTIME_ERROR
            return _fail_late(problem, verdict, name, status, str(error), error.error.traceback)
        except check.CheckFailure as failure:
            return _fail_late(problem, verdict, name, Status.WRONG_ANSWER, failure.message, None)
        ratio = theirs / max(ours, 1e-9)
        tier = "fast" if ratio <= spec.fast else "vectorised" if ratio <= spec.vectorised else "correct"
        measured = Speed(tier, round(ratio, 2), theirs, ours)
        if ratio > spec.vectorised:
            break  # slow is not wrong, and a larger input would only take longer to say the same
    return dataclasses.replace(verdict, speed=measured)


def _fail_late(problem: Problem, verdict: Verdict, name: str, status: Status, message: str,
               text: str | None) -> Verdict:
    case = Case(name, status, 0.0, 0.0, "A right answer is right on larger inputs too.", message, traceback=text)
    return dataclasses.replace(verdict, status=status, message=f"{name}: {message}", score=0.0,
                               cases=(*verdict.cases, case), traceback=text)
