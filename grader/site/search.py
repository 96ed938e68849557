"""The search index: words and Chinese bigrams -> pages. Builds the table that static/search.js looks things up in."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass

from grader.markup import Markup, plain
from grader.site.errata import Erratum
from grader.site.pages import Content, problem_text
from grader.site.questions import Text
from grader.site.topics import LANGUAGES, TOPICS

_WORD = re.compile(r"[a-z0-9_]+|[\u3400-\u9fff]+")
_STOP = frozenset("a an and are as at be but by can do does for from has have how if in is it its not of on one or so "
                  "than that the then there they this to was what when which why with you your".split())


@dataclass(frozen=True)
class Document:
    path: str
    language: str
    kind: str
    """q(uestion), p(roblem), e(rratum)"""
    title: str
    lead: str
    tokens: frozenset[str]


def tokens(text: str) -> frozenset[str]:
    """Lower-case words, and every two neighbouring Chinese characters. static/search.js does the same to a query."""
    found: set[str] = set()
    for run in _WORD.findall(text.lower()):
        if run[0] >= "\u3400":
            found.update(run[i:i + 2] for i in range(max(1, len(run) - 1)))
        else:
            words = {run, *run.split("_")}
            found.update(word[:24] for word in words if word not in _STOP and (len(word) > 1 or word.isalpha()))
    return frozenset(found - {""})


class Index:
    """Remembers the tokens of every text, so that a change costs only what has changed."""

    def __init__(self, markup: Markup) -> None:
        self._markup = markup
        self._known: dict[str, frozenset[str]] = {}

    def script(self, content: Content) -> str:
        """The index as one JavaScript file: a call with its data."""
        documents = self._documents(content)
        postings: dict[str, list[int]] = defaultdict(list)
        for number, document in enumerate(documents):
            for token in document.tokens:
                postings[token].append(number)
        lines = [f"{token} {_deltas(numbers)}" for token, numbers in sorted(postings.items())]
        rows = [[d.path, d.language, d.kind, d.title, d.lead] for d in documents]
        data = {"documents": rows, "terms": "\n".join(lines)}
        return f"prepIndex({json.dumps(data, ensure_ascii=False, separators=(',', ':'))})\n"

    def _documents(self, content: Content) -> list[Document]:
        return [document for language in LANGUAGES for document in (
            *self._questions(content, language), *self._problems(content, language),
            *(self._erratum(erratum, language) for erratum in content.errata))]

    def _questions(self, content: Content, language: str) -> list[Document]:
        names = {topic.slug: " ".join(topic.name.values()) for topic in TOPICS}
        found = []
        for q in content.questions:
            if q.written_in(language) != language:
                continue
            text = q.text(language)
            words = self._tokens(text, (text.asked, text.answer, text.next_asked, text.next_answer, text.mistake))
            words |= self._of(" ".join((text.title, names[q.topic], *q.tags, *q.sources, *q.errata)))
            found.append(Document(f"q/{q.id}.html", language, "q", text.title, self._lead(text.asked), words))
        return found

    def _problems(self, content: Content, language: str) -> list[Document]:
        found = []
        for p in content.problems:
            text = problem_text(p, language)
            if language == "zh" and text.prompt_language == "en":
                continue
            words = self._of(" ".join((p.slug, p.title, *p.topics, *p.follow_ups, text.prompt)))
            found.append(Document(f"p/{p.slug}.html", language, "p", p.title, self._lead(text.prompt), words))
        return found

    def _erratum(self, erratum: Erratum, language: str) -> Document:
        w = erratum.words(language)
        return Document(f"errata.html#{erratum.id}", language, "e", plain(self._html(w.says, inline=True)),
                        plain(self._html(w.fact, inline=True))[:140],
                        self._of(" ".join((erratum.id, w.says, w.fact, w.evidence))))

    def _tokens(self, text: Text, parts: tuple[str, ...]) -> frozenset[str]:
        return frozenset().union(*(self._of(plain(self._html(part))) for part in parts))

    def _of(self, text: str) -> frozenset[str]:
        if text not in self._known:
            self._known[text] = tokens(text)
        return self._known[text]

    def _lead(self, text: str) -> str:
        lead = plain(self._html(text))
        return lead if len(lead) <= 140 else lead[:139].rstrip() + "…"

    def _html(self, text: str, inline: bool = False) -> str:
        return self._markup.render(text, where="the search index", inline=inline).html


def _deltas(numbers: list[int]) -> str:
    """3 5 9 -> "3,2,4" in base 36."""
    return ",".join(_base36(b - a) for a, b in zip([0, *numbers], numbers))


def _base36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, last = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[last] + digits
    return digits
