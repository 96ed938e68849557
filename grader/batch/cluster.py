"""Grades on a Ray cluster. Ray schedules, retries and places; this only hands it tasks and takes verdicts.

Nodes need prep of the same version, and no disk in common: source texts and problems travel with the tasks.
"""

from __future__ import annotations

import functools
import importlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from grader.batch.work import Task, Terms, deadline_s, grade, judge_version, lost, one_thread, problem_files
from grader.errors import PrepError
from grader.problem import Limits, Problem
from grader.problem import load as load_problem
from grader.verdict import Verdict

if TYPE_CHECKING:
    from grader.warm import WarmJudge

KNOCK_S = 10.0
FOLDER = "prep-ray-"
RETRIES = 3
"""a node may be lost more than once in a long run"""
AHEAD = 4
"""tasks handed to Ray per core: enough to hide the way there and back, few enough to keep sources on disk"""


@dataclass(frozen=True)
class Bundle:
    """A problem on its way to a node: what is on disk, and what only this run knows."""

    slug: str
    files: dict[str, bytes]
    limits: Limits
    judge: str


class Cluster:
    """A Ray cluster: the one at `address`, or one of `workers` cores made for this run."""

    def __init__(self, terms: Terms, *, address: str | None = None, workers: int | None = None) -> None:
        self.terms = terms
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise PrepError("The executor 'ray' needs Ray, which is not installed.", "pip install 'prep[cluster]'"
                            ) from None
        if address:
            _knock(address)
        # Ray would make of "address absent" whatever RAY_ADDRESS or a cluster left running says
        where: dict[str, Any] = {"address": address} if address else {"address": "local", "num_cpus": workers}
        if not address:
            where["include_dashboard"] = False
        try:
            self._ray.init(**where, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
            raise _unreachable(address, error) from None
        self._workers = workers if address else None
        self._problems: dict[str, tuple[Any, Any]] = {}

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[str, Verdict]]:
        """Verdicts as they come. Raises PrepError where a node cannot grade under the terms of this batch."""
        waiting, going = iter(tasks), dict[Any, Task]()
        limit = self._workers or AHEAD * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        while True:
            while len(going) < limit and (task := next(waiting, None)):
                function, bundle = self._for(task.problem)
                going[function.remote(bundle, self.terms, task.source)] = task
            if not going:
                return
            done, _ = self._ray.wait(list(going), num_returns=1)
            for reference in done:
                task = going.pop(reference)
                try:
                    verdict = self._ray.get(reference)
                except self._ray.exceptions.RayTaskError as error:
                    if isinstance(error.cause, Unfit):
                        raise PrepError(f"A node cannot grade: {error.cause}", "Mend that node, then again.  "
                                        "prep doctor, on it") from None
                    raise
                except self._ray.exceptions.RayError as error:  # its worker or node died, each time
                    verdict = lost(task.problem, f"{type(error).__name__}: {error}", 1 + RETRIES)
                yield task.key, verdict

    def _for(self, problem: Problem) -> tuple[Any, Any]:
        """(the remote function, the problem in Ray's store) for a problem."""
        if problem.slug not in self._problems:
            gpus = 1 if problem.kind == "training" and self._ray.cluster_resources().get("GPU") else 0
            function = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(grade_remotely)
            bundle = Bundle(problem.slug, problem_files(problem), problem.limits, judge_version())
            self._problems[problem.slug] = function, self._ray.put(bundle)
        return self._problems[problem.slug]

    def close(self) -> None:
        """Leave the cluster; end it, where it was made for this run."""
        self._ray.shutdown()


def _knock(address: str) -> None:
    """Raise PrepError at once where nobody listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
        except OSError as error:
            raise _unreachable(address, error) from None


def _unreachable(address: str | None, error: Exception) -> PrepError:
    return PrepError(f"Ray cannot be reached{f' at {address}' if address else ''}: {error}",
                     "On the head node:  ray start --head    then:  prep batch ... --address HOST:6379")


class Unfit(Exception):
    """This node cannot grade under the terms asked for."""


def grade_remotely(bundle: Bundle, terms: Terms, source: str) -> Verdict:
    """One grading, in a Ray worker process."""
    if bundle.judge != judge_version():
        raise Unfit(f"it has prep {judge_version()}, this batch needs {bundle.judge}")
    problem = _unpack(bundle)
    judge = _judge(terms)
    # Ray retries a task whose process died; a hung one has to be made into that
    alarm = threading.Timer(deadline_s(problem, terms), os._exit, [1])
    alarm.daemon = True
    alarm.start()
    try:
        return grade(judge, problem, source, terms)
    finally:
        alarm.cancel()


@functools.cache
def _judge(terms: Terms) -> WarmJudge:
    """The judge of this process; Ray uses a process for many tasks."""
    one_thread()
    from grader.attempt import launch
    from grader.warm import WarmJudge

    level, reason = launch.probe()
    if terms.isolation == "bubblewrap" and level != "bubblewrap":
        raise Unfit(f"it cannot jail the answers: {reason}")
    return WarmJudge(terms.isolation)


@functools.cache
def _bank() -> Path:
    """A bank in this process's own folder, which also takes all that attempts leave."""
    for left in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):  # Ray kills its workers: they cannot tidy up
        pid = left.name.removeprefix(FOLDER).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    root = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
    root.chmod(0o711)  # a sandboxed attempt is another user, and has a folder in there
    tempfile.tempdir = os.environ["TMPDIR"] = str(root)
    os.environ["PREP_STATE_DIR"] = str(root / "state")
    os.environ["PREP_BANK"] = str(root)  # what attempts may not open (attempt/launch.py)
    return root


def _unpack(bundle: Bundle) -> Problem:
    root = _bank()
    for name, content in bundle.files.items():
        path = root / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    problem = load_problem(root / "problems" / bundle.slug, root / "solutions" / bundle.slug)
    return replace(problem, limits=bundle.limits)
