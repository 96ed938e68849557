"""What is graded, what is kept, what is written of it. The gradings themselves: test_batch_run.py."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from grader import profiles, report
from grader.attempt import launch
from grader.bank import Bank
from grader.batch import documents, page, run, submissions, work
from grader.batch.store import FILE, Entry, Store, read, verdict_from_json
from grader.batch.submissions import Assignment
from grader.errors import PrepError
from grader.problem import Problem
from grader.report import clean
from grader.verdict import Case, Speed, Status, Verdict

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def toy(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(suite="def test_f(attempt): pass\n", solution="def f(x): return x\n")


@pytest.fixture
def bank(toy: Problem) -> Bank:
    return Bank(toy.folder.parent.parent)


def names(assignment: Assignment) -> list[str]:
    return [submission.student for submission in assignment.submissions]


# Which files


def test_a_folder_of_files_and_of_folders(bank: Bank, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("zoe.py", "adam.py", "mia/attempt.py", "mia/other.py", "noname/answer.py", ".hidden.py",
                 "__init__.py", "__pycache__/adam.py", "read.me"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x = 1\n")
    found = submissions.find(bank, "toy", [str(folder)])
    assert names(found) == ["adam", "mia", "zoe"]
    assert [line.partition(": ")[2] for line in found.skipped] == [
        "it makes a package of its folder, and is no answer", "the folder holds no attempt.py", "not a .py file"]
    assert names(submissions.find(bank, "toy", [f"{folder}/*.py"])) == ["adam", "zoe"]


def test_globs_files_and_folders_of_one(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/x1.py", "a/x2.py", "b/eve/attempt.py", "c/[odd].py"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("x = 1\n")
    assert names(submissions.find(bank, "toy", ["a/x*.py", "b/*", "c/[odd].py", "a"])) == ["[odd]", "eve", "x1", "x2"]
    assert names(submissions.find(bank, "toy", ["b/eve/attempt.py"])) == ["eve"]


@pytest.mark.parametrize(("patterns", "what"), [
    (["nowhere"], "Nothing matches nowhere."), (["a/*.txt"], r"Nothing matches a/\*.txt."), ([], "No submissions"),
    (["empty"], "There are no submissions in empty."),
    (["a", "b"], "Two submissions for toy are called 'eve': .*eve.py and .*eve/attempt.py"),
])
def test_what_cannot_be_meant(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: list[str],
                              what: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/eve.py", "b/eve/attempt.py", "empty/x"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    Path("empty/x").unlink()
    with pytest.raises(PrepError, match=what):
        submissions.find(bank, "toy", patterns)


def test_files_that_cannot_be_read_have_verdicts(toy: Problem, bank: Bank, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.py").write_text("secret = 1\n")
    (folder / "binary.py").write_bytes(b"\x7fELF\0\0")
    (folder / "empty.py").write_text(" \n")
    (folder / "huge.py").write_text("#" * (1 << 20) + "#")
    (folder / "latin.py").write_bytes(b"name = '\xe9'\n")
    (folder / "link_within.py").symlink_to(folder / "fine.py")
    (folder / "link_out.py").symlink_to(tmp_path / "secret.py")
    (folder / "link_lost.py").symlink_to(folder / "nowhere.py")
    (folder / "link_loop.py").symlink_to(folder / "link_loop.py")
    (folder / "link_long.py").symlink_to("a" * 300)
    (folder / "link_long").symlink_to("a" * 300)
    os.mkfifo(folder / "pipe.py")
    (folder / "fine.py").write_text("def f(x): return x\n")
    (folder / "dir" / "attempt.py").mkdir(parents=True)
    (folder / os.fsdecode(b"caf\xe9.py")).write_text("")
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "attempt.py").write_text("x = 1\n")
    found = submissions.find(bank, "toy", [str(folder)])
    faults: dict[str, str] = {}
    readable = []
    for submission in found.submissions:
        try:
            submission.read("toy")
            readable.append(submission.student)
        except PrepError as error:
            faults[submission.student] = error.what
            assert str(tmp_path) not in error.what
    assert readable == ["fine", "link_within"]
    assert {name: text for name, text in faults.items() if "link that leads out" in text}.keys() == {"link_out", "out"}
    assert "zero byte" in faults["binary"] and "is empty" in faults["empty"] and "larger than 1 MiB" in faults["huge"]
    assert "not UTF-8" in faults["latin"] and "not a regular file" in faults["pipe"]
    assert "cannot be read" in faults["link_lost"] and "cannot be read" in faults["link_loop"]
    assert faults["link_long"] == "link_long.py cannot be read: File name too long"
    assert found.skipped == (f"{folder / 'link_long'}: not a .py file",)
    assert "is a folder" in faults["dir"] and "caf\\xe9" in faults


def test_a_folder_that_is_shut_ends_no_batch(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "shut").mkdir(parents=True)
    (tmp_path / "in" / "ann.py").write_text("x = 1\n")
    lstat = os.lstat

    def as_an_ordinary_user(path: Path, **options: int) -> os.stat_result:
        if "shut/" in str(path):
            raise PermissionError(13, "Permission denied")
        return lstat(path, **options)

    monkeypatch.setattr(os, "lstat", as_an_ordinary_user)
    found = submissions.find(bank, "toy", [str(tmp_path / "in")])
    assert names(found) == ["ann"]
    assert found.skipped == (f"{tmp_path / 'in' / 'shut'}: the folder cannot be read: Permission denied",)


def test_names_that_look_alike_are_told_apart(bank: Bank, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (b"\xff", b"\\xff", b"\\\xff", b"\\\\xff", b"\\udcff", b"\\", b"plain"):
        (folder / os.fsdecode(name + b".py")).write_text("x = 1\n")
    found = {os.fsencode(s.path.stem): s.student for s in submissions.find(bank, "toy", [str(folder)]).submissions}
    assert len(found) == 7
    assert found[b"\xff"] == "\\xff" and found[b"\\xff"] == "\\\\xff"
    assert found[b"\\"] == "\\" and found[b"plain"] == "plain", "what cannot be mistaken stays as it is"


def test_a_manifest(make_problem: Callable[..., Problem], bank: Bank, tmp_path: Path) -> None:
    make_problem("second")
    for name in ("one/b.py", "one/a.py", "two/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    manifest = tmp_path / "all.toml"
    manifest.write_text('[[problem]]\nslug = "toy"\nsubmissions = ["one/*.py"]\n'
                        '[[problem]]\nslug = "second"\nsubmissions = "two"\n')
    found = submissions.read_manifest(bank, manifest)
    assert [(a.problem.slug, names(a)) for a in found] == [("toy", ["a", "b"]), ("second", ["a"])]


@pytest.mark.parametrize(("text", "what"), [
    ("[[problem]", "not valid TOML"), ("", "expected tables"), ("x = 1", "expected tables"),
    ("[problem]\nslug = 1", "expected tables"), ('[[problem]]\nslug = "toy"', "problem 1: the keys"),
    ('[[problem]]\nslug = 1\nsubmissions = "x"', "problem 1: slug"),
    ('[[problem]]\nslug = "toy"\nsubmissions = []', "problem 1: submissions"),
    ('[[problem]]\nslug = "toi"\nsubmissions = "one"', "No problem 'toi'"),
    ('[[problem]]\nslug = "toy"\nsubmissions = "one"\n' * 2, "stands there twice"),
    ('[[problem]]\nslug = "toy"\nsubmissions = "no*"', r"(?s)Nothing matches no\*\..*prep batch --manifest .*m\.toml"),
])
def test_mistakes_in_a_manifest(bank: Bank, tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.py").write_text("x = 1\n")
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(PrepError, match=what):
        submissions.read_manifest(bank, tmp_path / "m.toml")


# What decides a verdict


def test_the_key_names_all_that_decides(toy: Problem) -> None:
    terms = work.Terms("process")

    def key(source: str = "x = 1", problem: Problem = toy, terms: work.Terms = terms) -> str:
        return work.Conditions.of(problem, terms).key(source)

    first = key()
    assert key() == first
    limits = dataclasses.replace(toy, limits=dataclasses.replace(toy.limits, total_s=1.0))
    others = {key("x = 2"), key(problem=limits), key(terms=work.Terms("bubblewrap")),
              key(terms=work.Terms("process", speed=True))}
    (toy.folder / "extra.txt").write_text("a file the suite may read")
    others.add(key())
    toy.solution.write_text("def f(x): return 2 * x\n")
    others.add(key())
    assert len(others | {first}) == 7
    before = key()
    (toy.folder / "__pycache__").mkdir()
    (toy.folder / "__pycache__" / "test_hidden.pyc").write_text("")
    assert key() == before


def test_other_peoples_files_are_jailed(toy: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "probe", lambda: ("process", "bwrap is not installed"))
    with pytest.raises(PrepError, match="cannot jail them: bwrap is not installed") as caught:
        run.grade([Assignment(toy, ())], tmp_path / "out", run.Options())
    assert "--trust-submissions" in caught.value.fix and not (tmp_path / "out").exists()
    assert run.required_isolation(trusted=True) == "process"
    monkeypatch.setattr(launch, "probe", lambda: ("bubblewrap", ""))
    assert run.required_isolation(trusted=False) == "bubblewrap"


@pytest.mark.parametrize(("options", "says", "fix"), [
    (run.Options(profile="nonsense"), "toy trains nothing: it has no profiles.", "without --profile"),
    (run.Options(profile="gpu"), "toy trains nothing", "prep batch"), (run.Options(profile="smoke"), "trains", "prep"),
    (run.Options(address="head:6379"), "--address is that of a Ray cluster", "--executor ray --address head:6379"),
    (run.Options("slurm"), "No executor 'slurm'", "local, ray")])
def test_options_that_nothing_obeys(toy: Problem, tmp_path: Path, options: run.Options, says: str, fix: str) -> None:
    with pytest.raises(PrepError, match=says) as caught:
        run.grade([Assignment(toy, ())], tmp_path / "out", options)
    assert fix in caught.value.fix and not (tmp_path / "out").exists()


def test_profiles_are_those_of_the_training_problems(toy: Problem, tmp_path: Path) -> None:
    training = Bank(ROOT).get("cnn-mnist")
    run.check([Assignment(toy, ()), Assignment(training, ())], run.Options(profile="smoke"))
    with pytest.raises(PrepError, match="cnn-mnist has no profile 'nonsense'; it has smoke") as caught:
        run.check([Assignment(toy, ()), Assignment(training, ())], run.Options(profile="nonsense"))
    assert caught.value.fix == "prep batch ... --profile smoke"


def test_a_cluster_may_have_the_gpus_that_this_machine_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_cuda_devices", lambda: 0)
    training = [Assignment(Bank().get("cnn-mnist"), ())]
    run.check(training, run.Options("ray", profile="gpu"))
    with pytest.raises(PrepError, match="finds none that it can use here"):
        run.check(training, run.Options(profile="gpu"))


# What is kept


VERDICTS = {
    "ann": Verdict("toy", Status.ACCEPTED, "All 2 cases pass.", score=2, max_score=2, isolation="bubblewrap",
                   cases=(Case("test_a", "passed", 1, 1, "Why a."), Case("test_b", "passed", 1, 1)),
                   speed=Speed("correct", float("inf"), 1.0, 0.1), versions={"prep": "0"}),
    "=bob": Verdict("toy", Status.WRONG_ANSWER, "test_a: <b>no</b>", score=1, max_score=2, isolation="bubblewrap",
                    cases=(Case("test_a", "wrong-answer", 0, 1, "Why a.", "</pre><script>alert(1)</script>\x1b[31m",
                                "1", "\u202e2", (0, 1), float("nan"), "f(1)", "Trace", "out\ud800", True),
                           Case("test_b", "passed", 1, 1))),
    "cy": Verdict("toy", Status.WRONG_ANSWER, "test_a: no", score=1, max_score=2,
                  cases=(Case("test_a", "wrong-answer", 0, 1), Case("test_b", "passed", 1, 1))),
    "<i>dee": Verdict("toy", Status.TIME_LIMIT, "f did not end", traceback="x" * 9, output="y\n" * 99, max_score=2,
                      cases=(Case("test_a", "time-limit", 0, 1, message="f did not end"),
                             Case("test_b", "not-run", 0, 1))),
    "eli": Verdict("toy", Status.RULE_VIOLATION, "uses eval (line 1)", "Do not.", max_score=0),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store(tmp_path / "out")
    opened.enlist([Entry("toy", name, f"in/{name}.py", f"key {name}", f"# {name}\n") for name in VERDICTS])
    for name, verdict in VERDICTS.items():
        assert opened.record(f"key {name}", verdict, now=NOW) == 1
    return opened


def test_verdicts_come_back_whole(store: Store) -> None:
    found = {result.student: result.verdict for result in store.results()}
    assert list(found) == list(VERDICTS)
    for name, verdict in VERDICTS.items():
        assert repr(found[name]) == repr(verdict).replace("\\ud800", "\\\\ud800")
    assert store.count() == (5, 5) and not store.pending()
    assert store.statuses() == {"accepted": 1, "rule-violation": 1, "time-limit": 1, "wrong-answer": 2}
    json.loads(json.dumps(VERDICTS["ann"].to_json() | {"speed": None}))
    assert verdict_from_json(VERDICTS["cy"].to_json()) == VERDICTS["cy"]


def test_what_is_graded_stays_and_our_faults_are_tried_again(tmp_path: Path) -> None:
    entries = [Entry("toy", name, name, f"key {name}", name) for name in ("a", "b", "c")]
    with Store(tmp_path) as store:
        store.enlist(entries)
        store.record("key b", Verdict("toy", Status.ACCEPTED), now=NOW)
        store.record("key c", Verdict("toy", Status.JUDGE_ERROR), now=NOW)
    with read(tmp_path) as store:
        assert store.count() == (3, 2)
        store.enlist([*reversed(entries), Entry("toy", "d", "d", "key b", "b")])
        assert store.pending() == ["key c", "key a"] and store.count() == (4, 2)
        assert [result.student for result in store.results()] == ["b", "d"]
        assert store.task("key a") == ("toy", "a")


@pytest.mark.parametrize("damage", ["'{bad'", "'{}'", "'[]'", "'null'", "NULL", "X'ff00'", "'{\"status\": \"best\"}'",
                                    "'" + "[" * 100_000 + "'"])
def test_a_verdict_that_cannot_be_read_is_reached_again(tmp_path: Path, damage: str) -> None:
    entries = [Entry("toy", name, name, f"key {name}", name) for name in ("a", "b")]
    with Store(tmp_path) as store:
        store.enlist(entries)
        for name in ("a", "b"):
            store.record(f"key {name}", Verdict("toy", Status.ACCEPTED), now=NOW)
        store._db.execute(f"UPDATE answers SET verdict_json = {damage} WHERE key = 'key a'")
    with read(tmp_path) as store:
        store.enlist(entries)
        assert store.pending() == ["key a"] and [result.student for result in store.results()] == ["b"]


def test_one_batch_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(PrepError, match="Another prep batch"):
        Store(tmp_path)
    Store(tmp_path).close()


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(PrepError, match="There are no results"):
        read(tmp_path)
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(PrepError, match="cannot be used: file is not a database"):
        Store(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(PrepError, match="cannot be made"):
        Store(tmp_path / "file" / "out")


# What is written of it


def test_csv(store: Store) -> None:
    table = list(csv.DictReader(io.StringIO("".join(documents.csv_lines(store)), newline="")))
    assert [row["student"] for row in table] == ["ann", "'=bob", "cy", "<i>dee", "eli"]
    assert table[1] | {"status": "wrong-answer", "passed": "1", "failed": "1", "first_failure": "test_a",
                       "score": "1", "not_run": "0"} == table[1]
    assert table[0]["tier"] == "correct" and table[3]["not_run"] == "1"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@A1", "\t=1", "\n=1", "\r=1", " =1", "\u00a0=1", "\uff1d1", "\t1",
                                  "\x1b[1m=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert str(documents._cell(text)).startswith("'")
    assert documents._cell("a=1") == "a=1" and documents._cell("") == "" and documents._cell(-1.0) == -1.0


def test_json_lines_follow_the_schema(store: Store) -> None:
    schema = json.loads((ROOT / "docs" / "verdict.schema.json").read_text())
    lines = "".join(documents.json_lines(store)).splitlines()
    assert len(lines) == 5
    for line, name in zip(lines, VERDICTS):
        row = json.loads(line)
        assert row["student"] == name and line.isascii() and "NaN" not in line
        jsonschema.validate(row["verdict"], schema)


def test_junit(store: Store) -> None:
    root = ElementTree.fromstring("".join(documents.junit_lines(store)).partition("\n")[2])
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == [f"toy.{name}" for name in VERDICTS]
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("9", "2", "2", "1")
    assert len(root.findall(".//testcase")) == 9 and len(root.findall(".//error")) == 2
    assert {case.get("classname") for case in suites[0]} == {"toy.ann"}


def test_gradescope_has_one_document_each(store: Store, tmp_path: Path) -> None:
    assert documents.save_gradescope(tmp_path / "gs", store) == 5
    found = {path.parent.name: json.loads(path.read_text()) for path in (tmp_path / "gs").glob("*/results.json")}
    assert found.keys() == VERDICTS.keys()
    assert found["ann"]["score"] == 2 and found["=bob"]["tests"][0]["visibility"] == "visible"


def test_gradescope_writes_in_its_own_folder_only(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"a/b").hexdigest()[:12]
    students = ["..", ".", "", "a/b", f"a_b-{digest}", "../../up", "x" * 400, "x" * 401, "\u00e9" * 100,
                "\u00e9" * 101, "nul\0", "file"]
    place = tmp_path / "deep" / "gs"
    place.mkdir(parents=True)
    (place / "file").write_text("in the way")
    with Store(tmp_path / "out") as store:
        store.enlist([Entry("toy", name, "a.py", f"key {name}", name) for name in students])
        for name in students:
            store.record(f"key {name}", Verdict("toy", Status.ACCEPTED, name), now=NOW)
        with pytest.raises(PrepError, match=r"1 of 12 students have no results\.json: .*file cannot be made"):
            documents.save_gradescope(place, store)
    found = {json.loads(path.read_text())["output"].partition("\n")[2]: path.parent.name
             for path in place.glob("*/results.json")}
    assert len(found) == len(set(found.values())) == 11 and not found.keys() - {clean(name) for name in students}
    assert len(list(tmp_path.rglob("results.json"))) == 11
    assert found["a/b"] == f"a_b-{digest}" != found[f"a_b-{digest}"] and found["\u00e9" * 100] == "\u00e9" * 100
    assert max(len(os.fsencode(name)) for name in found.values()) <= 200


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    documents.save(tmp_path / "pipe", ["a", "b"])
    assert os.read(reader, 10) == b"ab" and (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_documents_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    documents.save(target, ["a", "b"])
    assert target.read_text() == "ab" and target.stat().st_mode & 0o777 == 0o666 & ~documents._umask()

    def broken() -> object:
        yield "c"
        raise OSError(28, "No space left on device")

    with pytest.raises(PrepError, match="cannot be written: No space left"):
        documents.save(target, broken())  # type: ignore[arg-type]
    assert target.read_text() == "ab" and os.listdir(tmp_path) == ["a.csv"]
    with pytest.raises(PrepError, match="cannot be written"):
        documents.save(tmp_path / "nowhere" / "a.csv", ["a"])


class _Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.last_class: str | None = None
        self.tables: list[tuple[str, str | None]] = []
        """the tag that holds each table, and its class"""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        if identity := values.get("id"):
            self.ids.append(identity)
        self.links += [value for name in ("href", "src") if (value := values.get(name))]
        if tag == "table":
            self.tables.append((self.open[-1], self.last_class))
        self.last_class = values.get("class")
        if tag not in ("meta", "br", "rect", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_in_which_submissions_are_text(store: Store, toy: Problem) -> None:
    text = "".join(page.render(store, [toy]))
    outline = _Outline()
    outline.feed(text)
    assert not outline.open, "a tag is not closed"
    assert not outline.tags & {"script", "i", "b", "link", "img", "iframe"}
    assert len(set(outline.ids)) == len(outline.ids) == 6
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert "://" not in text and "\x1b" not in text and "\u202e" not in text
    assert "</pre><script>alert(1)</script>" in outline.text and "<i>dee" in outline.text
    assert outline.tables == [("div", "table")] * 2 and ".table { overflow-x: auto; }" in text, "phones are narrower"
    assert "1 of 5 accepted" in outline.text and "median score 50 %" in outline.text
    # two wrong answers fail the same case, and make one group
    assert "2 WRONG ANSWER: 1 failing, first test_a" in outline.text
    assert text.encode()


def test_the_page_of_several_problems(make_problem: Callable[..., Problem], toy: Problem, tmp_path: Path) -> None:
    second = make_problem("second")
    with Store(tmp_path / "two") as store:
        store.enlist([Entry(slug, "ann", "ann.py", slug, slug) for slug in ("toy", "second")])
        for slug in ("toy", "second"):
            store.record(slug, Verdict(slug, Status.ACCEPTED), now=NOW)
        outline = _Outline()
        outline.feed("".join(page.render(store, [second, toy])))
        assert documents.save_gradescope(tmp_path / "gs", store) == 2
    assert outline.ids[0] == "toy" and len(set(outline.ids)) == 4 and "toy: 1 of 1 accepted" in outline.text
    assert (tmp_path / "gs" / "second" / "ann" / "results.json").exists()


def test_the_screen_of_a_batch(store: Store, tmp_path: Path) -> None:
    outcome = run.Outcome(tmp_path, 5, 0, 5, {"accepted": 1}, 1.0, "bubblewrap")
    rows = list(documents.rows(store))
    text = report.batch_page(outcome, rows).text()
    assert "\nstudent  verdict " in text and "--html class.html" in text
    text = report.batch_page(outcome, rows, several=True, html=Path("class.html")).text()
    assert "\nproblem  student  verdict " in text and "\ntoy      ann      ACCEPTED " in text
    assert "Report:  class.html\n" in text and "--html" not in text


def test_names_leave_the_table_a_table(store: Store, tmp_path: Path) -> None:
    outcome = run.Outcome(tmp_path, 2, 0, 2, {"accepted": 2}, 1.0, "bubblewrap")
    first = next(documents.rows(store))
    rows = [dataclasses.replace(first, student=name) for name in ("a\tb\nc\x1b[31m", "x" * 200 + "-the-end")]
    lines = report.batch_page(outcome, rows).text().partition("\nstudent")[2].splitlines()
    assert lines[1].startswith("a\\tb\\nc  ") and "xxx...xxxx-the-end  ACCEPTED" in lines[2]
    assert len({line.index("ACCEPTED") for line in lines[1:3]}) == 1 and len(lines[2]) < 80


def test_progress_in_words() -> None:
    line = run.Progress(120, 4000, 20, 23.14, 167.7).line()
    assert line == "graded 120 of 4,000, 23.1 a second, 2 min 48 s left"
    assert run.Progress(1, 2, 0, 0.25, 4.0).line() == "graded 1 of 2, 4.0 s each, 4 s left"
    assert run.Progress(2, 2, 2).line() == "graded 2 of 2"
