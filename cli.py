"""The `prep` command: a menu. Parses, calls, and hands the outcome to report; decides and prints nothing itself.

Whatever takes time to import is imported inside the command that needs it: completion and --help stay quick.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from grader import __version__, report
from grader.errors import PrepError

if TYPE_CHECKING:
    from grader.bank import Bank
    from grader.history import History, Summary
    from grader.problem import Problem
    from grader.verdict import Verdict

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

app = typer.Typer(
    name="prep", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Machine-learning interview problems with a judge.\n\nBegin with:  prep list",
)


class Interrupted(Exception):
    """Ctrl-C, with what became of the work."""


def _command(name: str, menu: typer.Typer = app) -> Callable[[Command], Command]:
    """Register a command. Ctrl-C in it becomes `Interrupted`, which typer lets through to `main`."""

    def register(function: Command) -> Command:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except KeyboardInterrupt:
                raise Interrupted("Nothing was recorded.") from None

        menu.command(name)(run)
        return function

    return register


def _completes(words: Callable[[], list[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        try:
            return [word for word in words() if word.startswith(incomplete)]
        except Exception:  # a shell that completes must never see a traceback
            return []

    return complete


def _topics() -> list[str]:
    return sorted({topic for problem in _bank().all() for topic in problem.topics})


def _difficulties() -> list[str]:
    from grader.problem import DIFFICULTIES

    return list(DIFFICULTIES)


def _kinds() -> list[str]:
    from grader.problem import KINDS

    return list(KINDS)


def _bank() -> Bank:
    from grader.bank import Bank

    return Bank()


_slugs = _completes(lambda: _bank().slugs())
Slug = Annotated[str, typer.Argument(metavar="SLUG", help="A problem's name, as prep list shows it.",
                                     autocompletion=_slugs)]


def _version(asked: bool) -> None:
    if asked:
        report.emit(f"prep {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                                help="Print the version.")] = False) -> None:
    pass


@_command("list")
def list_problems(
    topic: Annotated[str | None, typer.Option(help="Only this topic.", autocompletion=_completes(_topics))] = None,
    difficulty: Annotated[str | None, typer.Option(help="Only easy, medium or hard ones.",
                                                   autocompletion=_completes(_difficulties))] = None,
    kind: Annotated[str | None, typer.Option(help="Only function, module, training or debug problems.",
                                             autocompletion=_completes(_kinds))] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the problems, easiest first, and which are solved."""
    problems = _bank().select(topic, difficulty, kind)
    nothing: dict[str, Summary] = {}
    record = _or_warn(lambda: _history().summaries(), nothing)
    if json:
        report.emit(report.list_json(problems, record))
    else:
        report.show(report.list_page(problems, record))


@_command("show")
def show(slug: Slug) -> None:
    """Read a problem: the question, the rules, the limits."""
    from grader import workspace

    problem = _bank().get(slug)
    report.show(report.problem_page(problem, _text(problem.prompt, slug),
                                    started=workspace.attempt_path(problem.slug).exists()))


@_command("start")
def start(slug: Slug) -> None:
    """Copy a problem's files to ./attempts (or PREP_WORKSPACE). Files that are there are kept."""
    from grader import workspace

    problem = _bank().get(slug)
    report.show(report.started_page(problem, workspace.start(problem)))


@_command("grade")
def grade(
    slug: Slug,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The answer; attempts/SLUG/attempt.py unless "
                                                                     "told.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON, and nothing else.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Also save JUnit XML.")] = None,
    gradescope: Annotated[Path | None, typer.Option(metavar="FILE",
                                                    help="Also save Gradescope's results.json.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="No colour, no progress line (also: NO_COLOR=1).")] = False,
    profile: Annotated[str | None, typer.Option(help="Training problems: smoke, cpu or gpu; what this machine has "
                                                     "unless told.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="Training problems: cpu, cuda or cuda:N.",
                                               show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="Training problems: instead of the profile's own.", min=0,
                                             show_default=False)] = None,
    data_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Where MNIST and CIFAR-10 are (also: "
                                                                      "PREP_DATA_DIR).", show_default=False)] = None,
) -> None:
    """Judge an answer. Exit code: 0 accepted, 1 not, 2 wrong usage, 3 a fault of prep."""
    from grader import workspace

    problem = _bank().get(slug)
    default = workspace.attempt_path(problem.slug)
    path = file or default
    in_workspace = path.absolute() == default.absolute()
    source = workspace.read_attempt(path, problem.slug)
    documents = [(option, target, render) for option, target, render in (
        ("--junit", junit, report.as_junit), ("--gradescope", gradescope, report.as_gradescope)) if target]
    report.check_targets({option: target for option, target, _ in documents},
                         report.grade_command(problem.slug, file), inputs=[path], folders={})

    from grader import judge

    if problem.kind == "training" or any(word is not None for word in (profile, device, seed, data_dir)):
        from grader import profiles

        plan = profiles.plan(problem, profile, device=device, seed=seed, data_dir=data_dir)
        with report.training_progress(problem.slug, quiet=plain) as (on_case, on_log):
            profiles.prepare(plan)
            verdict = judge.grade(problem, source, filename=path.name, on_case=on_case, plan=plan, on_log=on_log)
    else:
        with report.progress(problem.slug, quiet=plain) as on_case:
            verdict = judge.grade(problem, source, filename=path.name, on_case=on_case)
    try:
        record = _recorded(verdict, source)
        if json:
            report.emit(report.as_json(verdict))
        else:
            page = report.verdict_page(verdict, problem, record=record, file=path, in_workspace=in_workspace)
            report.show(page, plain=plain)
        for _, target, render in documents:
            report.save(target, render(verdict))
    except KeyboardInterrupt:
        raise Interrupted("The verdict was reached, and may be on record:  prep stats") from None
    raise typer.Exit(verdict.exit_code)


@_command("show-run")
def show_run(
    slug: Annotated[str | None, typer.Argument(metavar="[SLUG]", help="A training problem; the latest run of all "
                                               "unless told.", autocompletion=_slugs, show_default=False)] = None,
    attempt: Annotated[int | None, typer.Option(metavar="N", help="The attempt of this number.",
                                                show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Draw the curves of a training run that was graded, and its confusion matrix."""
    if slug is not None:
        slug = _bank().get(slug).slug
    found = _history().last_training(slug, attempt)
    if found is None:
        what = f" of {slug}" if slug else ""
        what += f" with number {attempt}" if attempt is not None else ""
        raise PrepError(f"No training run{what} is on record.",
                        f"prep grade {slug or 'cnn-mnist'}    (prep list --kind training shows what there is)")
    if json:
        report.emit(report.run_json(*found))
    else:
        report.show(report.run_page(*found))


@_command("watch")
def watch(
    slug: Slug,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The answer; attempts/SLUG/attempt.py unless "
                                                                     "told.", show_default=False)] = None,
    poll: Annotated[float | None, typer.Option(metavar="SECONDS", min=0.05, help="For network file systems: read the "
                                               "file this often.", show_default=False)] = None,
) -> None:
    """Judge an answer each time it is saved. Keys: h hint, s solution, n next, r again, q quit."""
    from grader import watch, workspace

    bank = _bank()
    problem = bank.get(slug)
    path = file or workspace.attempt_path(problem.slug)
    raise typer.Exit(watch.watch(problem, path, bank=bank, poll_s=poll))


@_command("batch")
def batch(
    slug: Annotated[str | None, typer.Argument(metavar="[SLUG]", help="A problem's name; none with --manifest.",
                                               autocompletion=_slugs)] = None,
    paths: Annotated[list[str] | None, typer.Argument(
        metavar="FOLDER_OR_GLOB...", help="Folders of student.py or student/attempt.py; files; globs.")] = None,
    manifest: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Several problems: [[problem]] tables "
                                                                            "with slug and submissions.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", show_default=False,
                                             help="Where results are kept; prep-batch/SLUG unless told.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Save a table as CSV.")] = None,
    jsonl: Annotated[Path | None, typer.Option("--jsonl", metavar="FILE", help="Save verdicts as JSON lines.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Save JUnit XML.")] = None,
    gradescope: Annotated[Path | None, typer.Option("--gradescope", metavar="DIR", help="Save DIR/STUDENT/results.json."
                                                    )] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Save a report to read.")] = None,
    executor: Annotated[str, typer.Option(help="local or ray.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster: HOST:6379. One on this machine unless told.",
                                                show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="One per core unless told.", show_default=False)] = None,
    speed: Annotated[bool, typer.Option("--speed", help="Also time accepted answers; best with one worker.")] = False,
    trust_submissions: Annotated[bool, typer.Option("--trust-submissions", help="Grade even where this machine cannot "
                                                                                "jail the answers.")] = False,
    timeout: Annotated[float | None, typer.Option(
        min=0.001, metavar="SECONDS", help="Of one answer, where that is less than the problem allows.",
        show_default=False)] = None,
    profile: Annotated[str | None, typer.Option(help="Training problems: smoke (unless told), cpu or gpu; with the "
                                                     "last two, one worker unless told.", show_default=False)] = None,
) -> None:
    """Grade many submissions. What is graded is kept: an interrupted batch goes on. Exit code 3 for faults of prep."""
    from grader.batch import documents, page, run, store, submissions

    bank = _bank()
    if (manifest is None) == (slug is None) or (manifest and paths):
        raise PrepError("Name one problem and its submissions, or a manifest.",
                        "prep batch SLUG FOLDER    or:  prep batch --manifest FILE.toml")
    if manifest:
        assignments = submissions.read_manifest(bank, manifest)
    else:
        assignments = (submissions.find(bank, slug or "", paths or []),)
    folder = out or Path("prep-batch") / (manifest.stem if manifest else assignments[0].problem.slug)
    saved = [(option, target, render) for option, target, render in (
        ("--csv", csv, documents.csv_lines), ("--jsonl", jsonl, documents.json_lines),
        ("--junit", junit, documents.junit_lines),
        ("--html", html, lambda results: page.render(results, [a.problem for a in assignments]))) if target]
    report.check_targets({option: target for option, target, _ in saved}, submissions.command(slug, manifest),
                         inputs=[*submissions.inputs(assignments, manifest), *store.files(folder)],
                         folders={"--out": folder} | ({"--gradescope": gradescope} if gradescope else {}))
    for line in [line for assignment in assignments for line in assignment.skipped]:
        report.warn(f"Not graded: {line}")
    options = run.Options(executor, address, workers, speed, trust_submissions, timeout, profile)
    try:
        with report.batching() as on_progress:
            outcome = run.grade(assignments, folder, options, on_progress=on_progress)
    except run.Interrupted as error:
        raise Interrupted(str(error)) from None
    with store.read(folder) as results:
        report.show(report.batch_page(outcome, documents.rows(results), several=len(assignments) > 1, html=html))
        for _, target, render in saved:
            documents.save(target, render(results))
        if gradescope:
            documents.save_gradescope(gradescope, results)
    raise typer.Exit(outcome.exit_code)


@_command("hint")
def hint(slug: Slug) -> None:
    """Show the next hint. None of them is the answer."""
    from grader.history import Summary, utc_now

    problem, history = _bank().get(slug), _history()

    def take() -> tuple[int, Summary]:
        return history.take_hint(problem.slug, rungs=len(problem.hints), now=utc_now()), history.summary(problem.slug)

    rung, record = _or_warn(take, (1, Summary()))
    report.show(report.hint_page(problem, rung, record=record))


@_command("solution")
def solution(
    slug: Slug,
    give_up: Annotated[bool, typer.Option("--give-up", help="Show it before you have solved the problem. This is "
                                                            "recorded.")] = False,
) -> None:
    """Show the reference and its notes. For those who have solved the problem, or give up."""
    from grader.history import Summary, utc_now

    problem, history = _bank().get(slug), _history()
    code, notes = _text(problem.solution, slug), _text(problem.notes, slug)
    record = _or_warn(lambda: history.summary(problem.slug), Summary())
    if not (record.solved or record.gave_up_at):
        if not give_up:
            raise PrepError(f"You have not solved '{problem.slug}' yet.",
                            f"A hint:  prep hint {problem.slug}\n"
                            f"To see the solution all the same:  prep solution {problem.slug} --give-up")
        _or_warn(lambda: history.give_up(problem.slug, now=utc_now()), None)
    report.show(report.solution_page(problem, code, notes, record=record))


@_command("reset")
def reset(slug: Slug) -> None:
    """Put the starter back. Your answer is backed up beside it first."""
    from grader import workspace
    from grader.history import utc_now

    problem = _bank().get(slug)
    backup = workspace.reset(problem, now=utc_now())
    report.show(report.reset_page(problem, workspace.attempt_path(problem.slug), backup))


@_command("stats")
def stats() -> None:
    """Show your record: attempts, first passes, best times, topics."""
    report.show(report.stats_page(_bank().all(), _history().summaries()))


@_command("doctor")
def doctor() -> None:
    """Check this machine and say how to mend what is amiss. Exit code 1 where something needed is missing."""
    from grader.doctor import PROBLEM, examine

    findings = list(examine())
    report.show(report.doctor_page(findings))
    raise typer.Exit(int(any(finding.level == PROBLEM for finding in findings)))


@_command("verify")
def verify(
    slugs: Annotated[list[str] | None, typer.Argument(metavar="SLUG...", help="Problems to prove.",
                                                      autocompletion=_slugs)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every problem of the bank.")] = False,
    mutants: Annotated[bool, typer.Option("--mutants/--no-mutants", help="Also try wrong variants of the solution."
                                          )] = True,
    training: Annotated[bool, typer.Option("--training", help="Every training problem of the bank.")] = False,
    profile: Annotated[str, typer.Option(help="Training problems: smoke, cpu or gpu.")] = "smoke",
) -> None:
    """For authors: prove a problem. Its solutions pass, its wrong answers fail as they say, mutants are caught."""
    from grader import author

    bank = _bank()
    wanted = bank.slugs() if every else slugs or []
    if training:
        wanted = [*wanted, *(p.slug for p in bank.all() if p.kind == "training" and p.slug not in wanted)]
    if not wanted:
        raise PrepError("No problem was named.", "prep verify SLUG    or:  prep verify --all")
    good = True
    for problem in [bank.get(slug) for slug in wanted]:
        with report.verifying(problem.slug) as on_event:
            outcome = author.verify(problem, mutants=mutants, on_event=on_event, profile=_profile(problem, profile))
        report.emit(author.render_text(outcome))
        good &= outcome.ok
    raise typer.Exit(int(not good))


def _profile(problem: Problem, name: str) -> str:
    """The profile that is asked for, where this is a training problem. Raises PrepError where it cannot be had here."""
    if problem.kind != "training":
        return "smoke"
    from grader import profiles

    profiles.plan(problem, name)
    return name


@_command("new")
def new(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="Its name: small letters, digits, hyphens.")],
    kind: Annotated[str, typer.Option(help="function, module, training or debug.",
                                      autocompletion=_completes(_kinds))] = "function",
) -> None:
    """For authors: lay out the files of a new problem."""
    from grader import scaffold

    report.show(report.new_page(slug, scaffold.new(slug, kind, _bank().root)))


site = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The study site: questions, answers, problems.")
export = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Take the question bank elsewhere.")
data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="MNIST and CIFAR-10, for training problems.")
app.add_typer(site, name="site")
app.add_typer(export, name="export")
app.add_typer(data, name="data")


@_command("build", site)
def site_build(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to: a new or empty folder, or an earlier build.")
                   ] = Path("site"),
    draft: Annotated[bool, typer.Option("--draft", help="Build what there is; warn of what leads nowhere.")] = False,
) -> None:
    """Build the study site as files that open without a server or a network."""
    from grader.site.build import build

    report.show(report.site_page(build(out, draft=draft)))


@_command("serve", site)
def site_serve(port: Annotated[int, typer.Option(help="On this machine only; 0 takes a free one.")] = 8000) -> None:
    """Show the site on this machine, and rebuild it when a file changes. Ctrl-C ends it."""
    import tempfile

    from grader.site.serve import Server

    with tempfile.TemporaryDirectory(prefix="prep-site-") as folder:
        server = Server(Path(folder) / "site", port=port, tell=report.rebuilt)
        report.emit(f"Study site: {server.url}   (Ctrl-C ends it)")
        try:
            server.run()
        except KeyboardInterrupt:
            report.emit("Stopped.  prep site build")


@_command("anki", export)
def export_anki(path: Annotated[Path, typer.Argument(metavar="FILE.apkg", help="The deck to write.")]) -> None:
    """Write the questions as an Anki deck, in both languages."""
    from grader.site.anki import export as write

    report.emit(f"{write(path)} notes in {path}. Open it with Anki.")


def _datasets() -> list[str]:
    from grader import datasets

    return list(datasets.REAL)


DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", show_default=False, help=(
    "Instead of PREP_DATA_DIR, or of the cache where that is not set."))]


@_command("fetch", data)
def data_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="mnist, cifar10: one or both.",
                                               autocompletion=_completes(_datasets))],
    data_dir: DataDir = None,
) -> None:
    """Download data sets, and check them. What was interrupted goes on where it stopped."""
    from grader import datasets

    wanted = [datasets.get(name) for name in dict.fromkeys(names)]
    try:
        for dataset in wanted:
            with report.downloading() as on_progress:
                folder = datasets.fetch(dataset.name, data_dir, progress=on_progress)
            report.emit(report.fetched(dataset, folder))
    except KeyboardInterrupt:
        raise Interrupted("What has come is kept; the same command goes on from there.") from None


@_command("status", data)
def data_status(
    data_dir: DataDir = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which data sets are there and whole, file by file."""
    from grader import datasets

    folder, files = datasets.root(data_dir), datasets.status(data_dir)
    if json:
        report.emit(report.data_json(folder, files))
    else:
        report.show(report.data_page(folder, files))


def _history() -> History:
    from grader.history import History

    return History(warn=report.warn)


def _recorded(verdict: Verdict, source: str) -> Summary:
    """Record a verdict; what is then on record. A record that cannot be kept must not cost the learner the verdict."""
    from grader.history import Summary, utc_now

    def keep() -> Summary:
        history = _history()
        history.record(verdict, source, now=utc_now())
        return history.summary(verdict.problem)

    return _or_warn(keep, Summary(), "This verdict was not recorded. ")


def _or_warn(work: Callable[[], T], otherwise: T, prefix: str = "") -> T:
    """What `work` returns; where the record cannot be used, a warning and `otherwise`."""
    try:
        return work()
    except PrepError as error:
        report.warn(f"{prefix}{error.what} {error.fix}")
        return otherwise


def _text(path: Path, slug: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PrepError(f"{path} cannot be read: {error}", f"prep verify {slug}") from None


def main() -> NoReturn:
    """Run the command line; the exit code is as README.md promises."""
    report.prepare_streams()
    try:
        app(prog_name="prep")
    except PrepError as error:
        report.error(error)
        sys.exit(2)
    except (Interrupted, KeyboardInterrupt) as error:
        report.interrupted(str(error) or "Nothing was recorded.", ["prep", *sys.argv[1:]])
        sys.exit(130)
    except Exception:
        report.fault()
        sys.exit(3)
    sys.exit(0)
