"""Grades on this machine: worker processes, each with a warm judge, each given one task at a time.

A worker that dies or hangs is replaced, and its task tried once more. Workers end when the process that started them
does, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from grader.batch.work import Task, Terms, deadline_s, grade, lost, one_thread
from grader.errors import PrepError
from grader.verdict import Verdict

START_S = 120.0
"""a worker that is not ready by then hangs"""
STARTS = 3
"""so many workers in a row that end before they are ready: it is not by chance"""
END_S = 5.0


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class LocalPool:
    """`workers` processes, one per core unless told. A context manager: at its end, none is left."""

    def __init__(self, terms: Terms, workers: int | None = None, *, limit_s: float | None = None) -> None:
        """limit_s: how long a grading may take before it is taken for hung, where that is not work.deadline_s."""
        self.terms, self.size, self._limit_s = terms, workers or cores(), limit_s
        self._workers: list[_Worker] = []
        self._stillborn = 0
        self._scratch = tempfile.TemporaryDirectory(prefix="prep-batch-", ignore_cleanup_errors=True)
        os.chmod(self._scratch.name, 0o711)  # a sandboxed attempt is another user, and has a folder in there

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[str, Verdict]]:
        """Verdicts as they come. Raises PrepError where no worker can be started."""
        fresh, again, tried = iter(tasks), deque[Task](), set[str]()
        following = next(fresh, None)

        def feed(worker: _Worker) -> None:
            nonlocal following
            if again:
                task = again.popleft()
            elif following:
                task, following = following, next(fresh, None)
            else:
                return
            worker.give(task, self._limit_s or deadline_s(task.problem, self.terms))

        while True:
            for worker in self._workers:
                if worker.ready and worker.task is None:
                    feed(worker)
            left = len(again) + (following is not None)
            idle = sum(worker.task is None for worker in self._workers)
            if not left and idle == len(self._workers):
                return
            for _ in range(min(self.size - len(self._workers), left - idle)):
                self._workers.append(_Worker(self.terms, self._scratch.name, self._free_core()))
            for worker in self._woken():
                if (verdict := worker.take()) is not None:
                    done, worker.task = worker.task, None
                    assert done
                    feed(worker)  # it must not wait for what the caller does with this verdict
                    yield done.key, verdict
                elif worker.over():
                    self._workers.remove(worker)
                    why, done = worker.end(), worker.task
                    if not worker.ready:
                        self._stillborn += 1
                        if self._stillborn >= STARTS:
                            raise PrepError(f"The grading processes end before they begin. {why}", "prep doctor")
                    elif done and done.key in tried:
                        yield done.key, lost(done.problem, why, 2)
                    elif done:
                        tried.add(done.key)
                        again.append(done)
                elif worker.ready:
                    self._stillborn = 0

    def _free_core(self) -> int | None:
        """The core of the next worker, where each has one of its own: a judge and its attempt take turns, and to wake
        each other on the same core costs a fifth less than across two."""
        if sys.platform != "linux" or self.terms.threads > 1 or self.size != cores():
            return None
        taken = {worker.core for worker in self._workers}
        return next((core for core in sorted(os.sched_getaffinity(0)) if core not in taken), None)

    def _woken(self) -> list[_Worker]:
        """Workers with something to say, and those that are dead or late; waits for one."""
        soonest = min((worker.deadline for worker in self._workers), default=0.0)
        ready = wait([w.connection for w in self._workers] + [w.process.sentinel for w in self._workers],
                     max(0.0, min(soonest - time.monotonic(), 3600.0)))
        return [w for w in self._workers if w.connection in ready or w.process.sentinel in ready or w.late()]

    def close(self) -> None:
        """End the workers: those at work are killed with all that they started."""
        for worker in self._workers:
            if worker.task is None and worker.ready:
                worker.dismiss()
        for worker in self._workers:
            worker.end(END_S if worker.task is None and worker.ready else 0.0)
        self._workers.clear()
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, terms: Terms, scratch: str, core: int | None) -> None:
        self.task: Task | None = None
        self.core = core
        self.ready = False
        self.deadline = time.monotonic() + START_S
        self.folder = Path(tempfile.mkdtemp(prefix="worker-", dir=scratch))
        self.folder.chmod(0o711)
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, terms, str(self.folder), core),
                                                    daemon=True)
        with _no_interrupt():  # Ctrl-C reaches the whole process group; only the parent acts on it
            self.process.start()
        theirs.close()

    def give(self, task: Task, limit_s: float) -> None:
        self.task, self.deadline = task, time.monotonic() + limit_s
        with contextlib.suppress(OSError):  # it is dead: that will be noticed
            self.connection.send(task)

    def take(self) -> Verdict | None:
        """A verdict, where one has come."""
        with contextlib.suppress(EOFError, OSError):
            if self.connection.poll():
                said = self.connection.recv()
                self.deadline = float("inf")
                if said is not None:
                    assert isinstance(said, Verdict)
                    return said
                self.ready = True
        return None

    def late(self) -> bool:
        return time.monotonic() > self.deadline

    def over(self) -> bool:
        return self.late() or not self.process.is_alive()

    def dismiss(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(None)

    def end(self, grace_s: float = 0.0) -> str:
        """Make sure that it and what it started are gone. Returns how it ended."""
        late = self.late()
        self.process.join(grace_s)
        if self.process.is_alive():
            _kill_tree(self.process.pid)
            self.process.join()
        self.connection.close()
        code = self.process.exitcode
        said = _tail(self.folder / "stderr")
        shutil.rmtree(self.folder, ignore_errors=True)
        how = ("did not end in time and was killed" if late else f"was killed by {signal.Signals(-code).name}"
               if code and code < 0 else f"ended with exit code {code}")
        return f"The grading process {how}." + (f"\n{said}" if said else "")


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """A process started meanwhile has SIGINT blocked from its first instant; here, it is delivered afterwards."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill_tree(pid: int | None, *, spare_top: bool = False) -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in [*([] if spare_top else [top]), *top.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                process.kill()


def _tail(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
    return ""


def _serve(connection: Connection[object, object], terms: Terms, folder: str, core: int | None) -> None:
    """A worker's life."""
    if core is not None and sys.platform == "linux":
        with contextlib.suppress(OSError):  # a container may not allow it
            os.sched_setaffinity(0, {core})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    watch = threading.Thread(target=_end_with_parent, args=(folder,), daemon=True)
    watch.start()
    # What a judge or a library prints would tear the progress line; it is shown where the worker dies.
    log = os.open(os.path.join(folder, "stderr"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    one_thread()
    os.environ["PREP_STATE_DIR"] = os.environ["TMPDIR"] = tempfile.tempdir = folder
    from grader.warm import WarmJudge

    try:
        with WarmJudge(terms.isolation) as judge:
            connection.send(None)  # ready
            while isinstance(task := connection.recv(), Task):
                connection.send(grade(judge, task.problem, task.source, terms))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        watch.join()  # the parent is gone: let the folders be cleared away before this process ends


def _end_with_parent(folder: str) -> None:
    if parent := parent_process():
        parent.join()
        _kill_tree(os.getpid(), spare_top=True)  # on Linux they would die with this process; elsewhere they would not
        for _ in range(40):  # attempts that are dying, and other workers, still hold the folders for a moment
            shutil.rmtree(folder, ignore_errors=True)
            try:
                os.rmdir(os.path.dirname(folder))
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.05)
        os._exit(1)
