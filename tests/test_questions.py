"""The question bank itself: complete in both languages, every name leads somewhere, every listing runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from grader.bank import Bank
from grader.mathml import mathml
from grader.site import errata, figures
from grader.site.questions import Question, QuestionBank, Text

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = QuestionBank(ROOT).all()
ERRATA = errata.read(ROOT)
each = pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.id)

# Runs pages beside each other in one process, each in a child of its own where the system can fork: Torch is
# imported once, and what a page does to NumPy's or Torch's global state dies with it.
RUNNER = """
import contextlib, io, json, os, sys, time, traceback
import numpy, torch
torch.set_num_threads(1)

def run(blocks):
    names, started = {"__name__": "__main__"}, time.monotonic()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for i, block in enumerate(blocks):
                exec(compile(block, f"<listing {i + 1}>", "exec"), names)
    except BaseException:
        return time.monotonic() - started, traceback.format_exc(limit=-2)
    return time.monotonic() - started, ""

def forked(blocks):
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        with os.fdopen(write, "w") as out:
            json.dump(run(blocks), out)
            out.flush()
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else (0, "the listing ended the process")

run_one = forked if hasattr(os, "fork") else run
json.dump({name: run_one(blocks) for name, blocks in json.load(sys.stdin).items()}, sys.stdout)
"""


def listings(text: Text) -> list[str]:
    """The listings of a page that run, in order."""
    whole = "\n".join((text.asked, text.answer, text.next_answer, text.mistake))
    return re.findall(r"^```python\n(.*?)^```", whole, re.DOTALL | re.MULTILINE)


def formulas(text: Text) -> list[tuple[str, bool]]:
    """(LaTeX, whether it stands on its own) of every formula of a page."""
    whole = "\n\n".join((text.asked, text.answer, text.next_asked, text.next_answer, text.mistake))
    bare = re.sub(r"^```.*?^```|`[^`\n]*`", "", whole, flags=re.DOTALL | re.MULTILINE)
    return [(display or inline, bool(display))
            for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", bare, re.DOTALL)]


@pytest.fixture(scope="module")
def runs() -> dict[str, tuple[float, str]]:
    """Seconds and traceback of each page's listings, run by two processes."""
    pages = {q.id: blocks for q in QUESTIONS if (blocks := listings(q.text("en")))}
    halves = [dict(list(pages.items())[i::2]) for i in range(2)]
    workers = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", RUNNER], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True, encoding="utf-8") for _ in halves]
    for worker, half in zip(workers, halves):
        assert worker.stdin
        worker.stdin.write(json.dumps(half))
        worker.stdin.close()
    found: dict[str, tuple[float, str]] = {}
    for worker in workers:
        assert worker.stdout
        with worker.stdout as out:
            found |= json.load(out)
        assert worker.wait() == 0
    return found


def test_there_are_at_least_150_questions() -> None:
    assert len(QUESTIONS) >= 150


@each
def test_a_question_has_both_languages(question: Question) -> None:
    assert [language for language, _ in question.texts] == ["en", "zh"]


@each
def test_its_names_lead_somewhere(question: Question) -> None:
    assert question.problems
    assert set(question.problems) <= set(Bank(ROOT).slugs())
    assert set(question.questions) <= {q.id for q in QUESTIONS} - {question.id}
    assert set(question.errata) <= {e.id for e in ERRATA}


@each
def test_its_tags_are_few_and_plain(question: Question) -> None:
    assert 1 <= len(question.tags) <= 4
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", tag) for tag in question.tags)


@each
def test_its_languages_say_the_same(question: Question) -> None:
    en, zh = question.text("en"), question.text("zh")
    assert listings(en) == listings(zh)
    assert len(formulas(en)) == len(formulas(zh))
    assert len(re.findall(r"[\u4e00-\u9fff]", zh.answer)) > 50 > len(re.findall(r"[\u4e00-\u9fff]", en.answer))


@each
def test_its_formulas_become_mathml(question: Question) -> None:
    for _, text in question.texts:
        for latex, display in formulas(text):
            assert mathml(latex.strip(), display).startswith("<math")


@pytest.mark.parametrize("name", [q.id for q in QUESTIONS if listings(q.text("en"))])
def test_its_listings_run(name: str, runs: dict[str, tuple[float, str]]) -> None:
    seconds, failure = runs[name]
    assert not failure, failure
    assert seconds < 20, f"{seconds:.1f} s: a listing should take less than 2 s on a quiet machine"


def test_every_erratum_is_asked_about() -> None:
    asked = {number for q in QUESTIONS for number in q.errata}
    assert [e.id for e in ERRATA] == [f"E{n:02d}" for n in range(1, 58)]
    assert {e.id for e in ERRATA} - asked == set()


def test_every_picture_belongs_to_a_question() -> None:
    assert set(figures.OF_QUESTION) <= {q.id for q in QUESTIONS}
    assert {name for names in figures.OF_QUESTION.values() for name in names} == set(figures.FIGURES)
