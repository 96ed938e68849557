"""Which pages the site has, and what each one shows. Renders nothing, writes nothing.

A page's context is plain, comparable data: two equal pages look the same, so a rebuild renders only those that differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.bank import Bank
from grader.errors import PrepError
from grader.problem import Problem
from grader.site import errata as errata_file
from grader.site import figures
from grader.site.errata import Erratum
from grader.site.questions import Question, QuestionBank
from grader.site.topics import LANGUAGES, LEVELS, TOPICS


@dataclass(frozen=True)
class ProblemText:
    """The files of a problem that its page shows."""

    prompt: str
    prompt_language: str
    starter: str
    solution: str
    notes: str


@dataclass(frozen=True)
class Content:
    """Everything there is to show."""

    root: Path
    questions: list[Question]
    problems: list[Problem]
    errata: list[Erratum]
    unfinished: tuple[str, ...]
    """problems that cannot be shown: "file: what" """


@dataclass(frozen=True)
class Page:
    language: str
    path: str
    """below the language's root: "q/pooling.html" """
    template: str
    context: dict[str, Any]


def read(root: Path, questions: QuestionBank) -> Content:
    """The content of a bank. Raises PrepError at the first broken file."""
    problems = Bank(root).all()
    missing = {p.slug: [path for path in (p.prompt, p.starter, p.solution, p.notes) if not path.is_file()]
               for p in problems}
    return Content(root, questions.all(), [p for p in problems if not missing[p.slug]], errata_file.read(root),
                   tuple(f"{paths[0]}: there is no such file" for paths in missing.values() if paths))


def pages(content: Content) -> Iterator[Page]:
    """Every page in every language."""
    for language in LANGUAGES:
        yield from _in_language(content, language)


def path_order(questions: list[Question]) -> list[Question]:
    """The order in which to learn: all that is junior, topic by topic, then mid, then senior."""
    return sorted(questions, key=lambda q: LEVELS.index(q.level))  # stable: they come by topic and number


def dangling(content: Content) -> list[str]:
    """Names in front matter that lead nowhere: "file: what". """
    ids, slugs = {q.id for q in content.questions}, {p.slug for p in content.problems}
    numbers = {e.id for e in content.errata}
    return [f"{q.texts[0][1].path}: {kind}: there is no '{name}'"
            for q in content.questions
            for kind, names, known in (("questions", q.questions, ids), ("problems", q.problems, slugs),
                                       ("errata", q.errata, numbers))
            for name in names if name not in known]


def problem_text(problem: Problem, language: str) -> ProblemText:
    """Raises PrepError if a file of the problem cannot be read."""
    translated = problem.folder / "prompt.zh.md"
    is_zh = language == "zh" and translated.exists()
    try:
        return ProblemText(_body(translated if is_zh else problem.prompt), "zh-Hans" if is_zh else "en",
                           problem.starter.read_text(encoding="utf-8"), problem.solution.read_text(encoding="utf-8"),
                           _body(problem.notes))
    except (OSError, UnicodeDecodeError) as error:
        raise PrepError(f"The page of {problem.slug} needs a file that cannot be read: {error}",
                        f"prep verify {problem.slug}") from None


def _body(path: Path) -> str:
    """A Markdown file without its first heading: the page has its own."""
    text = path.read_text(encoding="utf-8").lstrip()
    return text.partition("\n")[2] if text.startswith("# ") else text


def _in_language(content: Content, language: str) -> Iterator[Page]:
    questions, problems = content.questions, {p.slug: p for p in content.problems}
    by_id = {q.id: q for q in questions}
    by_topic: dict[str, list[Question]] = defaultdict(list)
    asked_in: dict[str, list[Question]] = defaultdict(list)
    practised_in: dict[str, list[Question]] = defaultdict(list)
    for q in questions:
        by_topic[q.topic].append(q)
        for number in q.errata:
            asked_in[number].append(q)
        for slug in q.problems:
            practised_in[slug].append(q)
    order = [_Line.of(q, language) for q in path_order(questions)]
    topics = [(topic, [q.id for q in by_topic[topic.slug]]) for topic in TOPICS if by_topic[topic.slug]]

    def page(path: str, template: str, **context: Any) -> Page:
        return Page(language, path, template, context)

    yield page("index.html", "home.html", questions=len(questions), path_order=order, topics=topics, levels=LEVELS,
               problems=content.problems, errata=len(content.errata))
    yield page("search.html", "search.html")
    yield page("cards.html", "cards.html", path_order=order, topics=topics, levels=LEVELS)
    yield page("errata.html", "errata.html", errata_path=content.root / "docs" / "errata.toml",
               errata=sorted(content.errata, key=lambda e: errata_file.GROUPS.index(e.group)),
               asked_in={number: [_Line.of(q, language) for q in found] for number, found in asked_in.items()})
    yield page("print/index.html", "print.html", full=False, topic=None,
               questions=[_Line.of(q, language) for q in questions])
    for topic, _ in topics:
        mine = by_topic[topic.slug]
        shown = [name for q in mine for name in figures.of(q.id)]
        yield page(f"topics/{topic.slug}.html", "topic.html", topic=topic, figures=list(dict.fromkeys(shown)),
                   questions=[_Line.of(q, language) for q in mine])
        yield page(f"print/{topic.slug}.html", "print.html", full=True, topic=topic, questions=mine)
        for i, q in enumerate(mine):
            neighbours = [mine[j] if 0 <= j < len(mine) else None for j in (i - 1, i + 1)]
            before, after = (_Line.of(n, language) if n else None for n in neighbours)
            yield page(f"q/{q.id}.html", "question.html", q=q, before=before, after=after, figures=figures.of(q.id),
                       related=[_Line.of(by_id[name], language) for name in q.questions if name in by_id],
                       problems=[problems[slug] for slug in q.problems if slug in problems],
                       errata=[n for n in q.errata if any(e.id == n for e in content.errata)])
            yield page(f"cards/{q.id}.js", "card.html", q=q)
    for problem in content.problems:
        yield page(f"p/{problem.slug}.html", "problem.html", p=problem, text=problem_text(problem, language),
                   related=[_Line.of(q, language) for q in practised_in[problem.slug]])


@dataclass(frozen=True)
class _Line:
    """A question as a list shows it: an edited answer changes no page that only links to it."""

    id: str
    topic: str
    level: str
    title: str
    lang: str
    """the language of the title where it is not the page's, otherwise empty"""

    @classmethod
    def of(cls, q: Question, language: str) -> _Line:
        written = q.written_in(language)
        return cls(q.id, q.topic, q.level, q.text(language).title, "" if written == language else written)
