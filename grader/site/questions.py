"""docs/questions/<topic>/<id>.<language>.md -> Question, every mistake reported by file and what was expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.errors import PrepError
from grader.site.topics import LANGUAGES, LEVELS, TOPICS

HEADINGS = {"en": ("Answer", "Follow-up", "Mistake to avoid"), "zh": ("回答", "追问", "常见错误")}
_LISTS = {"tags": 1, "problems": 1, "questions": 0, "sources": 1, "errata": 0}
_STRINGS = ("title", "topic", "level")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Text:
    """One language of a question. All but the title is Markdown."""

    path: Path
    title: str
    asked: str
    answer: str
    next_asked: str
    """the follow-up question"""
    next_answer: str
    mistake: str


@dataclass(frozen=True)
class Question:
    """One entry of the bank, with the languages that there are."""

    id: str
    topic: str
    level: str
    number: int
    tags: tuple[str, ...]
    problems: tuple[str, ...]
    questions: tuple[str, ...]
    sources: tuple[str, ...]
    errata: tuple[str, ...]
    texts: tuple[tuple[str, Text], ...]

    def text(self, language: str) -> Text:
        """In `language`, or else in the language that there is."""
        texts = dict(self.texts)
        return texts.get(language) or self.texts[0][1]

    def written_in(self, language: str) -> str:
        """`language`, or else the language that text() gives instead."""
        return language if language in dict(self.texts) else self.texts[0][0]


class QuestionBank:
    """The questions under ROOT/docs/questions. Reads a file again only when it has changed on disk."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "docs" / "questions"
        self._read: dict[Path, tuple[tuple[int, int], dict[str, Any], Text]] = {}

    def all(self) -> list[Question]:
        """Every question, by topic and number. Raises PrepError at the first broken file."""
        by_id: dict[str, dict[str, tuple[dict[str, Any], Text]]] = {}
        for path in sorted(self.folder.glob("*/*.md")):
            name, _, language = path.stem.rpartition(".")
            if language not in LANGUAGES or not _ID.fullmatch(name):
                raise _broken(path, "a name such as receptive-field.en.md or receptive-field.zh.md")
            front, text = self._file(path, language)
            other = next(iter(by_id.get(name, {}).values()), None)
            if other and other[1].path.parent != path.parent:
                raise _broken(path, f"an id of its own: {other[1].path} has the same")
            if other and other[0] != front:
                keys = ", ".join(key for key in front if front[key] != other[0][key])
                raise _broken(path, f"the same front matter but for the title as in {other[1].path.name}: {keys}")
            by_id.setdefault(name, {})[language] = (front, text)
        order = [topic.slug for topic in TOPICS]
        found = [_question(name, languages) for name, languages in by_id.items()]
        return sorted(found, key=lambda q: (order.index(q.topic), q.number, q.id))

    def _file(self, path: Path, language: str) -> tuple[dict[str, Any], Text]:
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        if path not in self._read or self._read[path][0] != stamp:
            self._read[path] = (stamp, *parse(path, language))
        return self._read[path][1:]


def parse(path: Path, language: str) -> tuple[dict[str, Any], Text]:
    """Front matter (without the title, which is the text's) and text of one file. Raises PrepError."""
    match = re.fullmatch(r"\+\+\+\n(.*?)\n\+\+\+\n(.*)", path.read_text(encoding="utf-8"), re.DOTALL)
    if not match:
        raise _broken(path, "front matter between two lines +++, then the question")
    try:
        front = tomllib.loads(match[1])
    except tomllib.TOMLDecodeError as error:
        raise _broken(path, f"TOML as front matter ({error})") from None
    _check(path, front)
    asked, *sections = _sections(match[2])
    wanted = HEADINGS[language]
    if tuple(heading for heading, _ in sections) != wanted or not asked[1]:
        raise _broken(path, f"the question, then the headings {', '.join(f'## {h}' for h in wanted)}")
    for heading, body in sections:
        if not body:
            raise _broken(path, f"words under '## {heading}'")
    answer, follow_up, mistake = (body for _, body in sections)
    follow = re.fullmatch(r"\*\*(.+?)\*\*\s*(.+)", follow_up, re.DOTALL)
    if not follow:
        raise _broken(path, f"the next question in **bold** and its answer under '## {wanted[1]}'")
    title = front.pop("title")
    return front, Text(path, title, asked[1], answer, follow[1].strip(), follow[2].strip(), mistake)


def _check(path: Path, front: dict[str, Any]) -> None:
    for key in (*_STRINGS, *_LISTS, "number"):
        if key not in front:
            raise _broken(path, f"the key {key}")
    for key, value in front.items():
        if key in _LISTS:
            if not isinstance(value, list) or len(value) < _LISTS[key] or not all(
                    isinstance(item, str) and item for item in value):
                raise _broken(path, f"{key}: a list of at least {_LISTS[key]} strings, found {value!r}")
        elif key in _STRINGS:
            if not isinstance(value, str) or not value.strip():
                raise _broken(path, f"{key}: a string, found {value!r}")
        elif key != "number":
            raise _broken(path, f"one of the keys {', '.join((*_STRINGS, *_LISTS, 'number'))}, found {key}")
    if type(front["number"]) is not int:
        raise _broken(path, f"number: a whole number, found {front['number']!r}")
    if front["level"] not in LEVELS:
        raise _broken(path, f"level: one of {', '.join(LEVELS)}, found {front['level']!r}")
    if front["topic"] != path.parent.name or front["topic"] not in {topic.slug for topic in TOPICS}:
        raise _broken(path, f"topic: the folder's name, one of the topics, found {front['topic']!r}")


def _sections(body: str) -> Iterator[tuple[str, str]]:
    """(heading, text) pairs; the first has no heading. A line "## ..." inside a listing is no heading."""
    heading, lines, fenced = "", list[str](), False
    for line in body.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            yield heading, "\n".join(lines).strip()
            heading, lines = line[3:].strip(), []
        else:
            lines.append(line)
    yield heading, "\n".join(lines).strip()


def _question(name: str, languages: dict[str, tuple[dict[str, Any], Text]]) -> Question:
    front = next(iter(languages.values()))[0]
    lists = {key: tuple(front[key]) for key in _LISTS}
    return Question(id=name, topic=front["topic"], level=front["level"], number=front["number"], **lists,
                    texts=tuple((language, languages[language][1]) for language in LANGUAGES if language in languages))


def _broken(path: Path, expected: str) -> PrepError:
    return PrepError(f"{path}: expected {expected}.", "Mend it, then:  prep site build")
