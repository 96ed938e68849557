"""Page -> text: the Jinja2 environment, its filters, and the ways from one page to another. Reads only templates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup as Safe
from markupsafe import escape

from grader.markup import Markup, highlight, plain
from grader.site import figures
from grader.site.pages import Page
from grader.site.topics import LANGUAGES, TOPICS
from grader.site.words import words

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")
ASSETS = "static/"


class Renderer:
    """Fills the templates. Knows where each page lies, so that all links in it can be relative."""

    def __init__(self, markup: Markup) -> None:
        self._markup = markup
        self._words = {language: words(language) for language in LANGUAGES}
        self._names = {language: {topic.slug: topic.name[language] for topic in TOPICS} for language in LANGUAGES}
        self._jinja = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True)
        self._jinja.filters |= {"markdown": self._block, "inline": self._inline, "code": _code, "plain": plain,
                                "groupby_order": _groupby_order, "figure": _figure}
        self._jinja.globals["q_title"] = _title

    def render(self, page: Page) -> str:
        """The page's text, every link in it relative to where it lies."""
        text = self._jinja.get_template(page.template).render(
            page.context, language=page.language, path=page.path, t=self._words[page.language],
            topic_names=self._names[page.language])
        if page.path.endswith(".js"):  # a card's HTML is shown by cards.html, one folder up
            front, _, back = _relative(text, page.language, "cards.html").partition("<!--back-->")
            name = page.path.rpartition("/")[2].removesuffix(".js")
            return f"prepCard({json.dumps([name, front.strip(), back.strip()], ensure_ascii=False)})\n"
        return _relative(text, page.language, page.path)

    def _block(self, text: str, where: Path, level: int = 1) -> Safe:
        return Safe(self._markup.render(text, where=str(where), level=level).html)

    def _inline(self, text: str, where: Path) -> Safe:
        return Safe(self._markup.render(text, where=str(where), inline=True).html)


def place(language: str, path: str) -> str:
    """Where a page lies below the site's root: English at the top, Chinese below zh/."""
    return path if language == "en" else f"{language}/{path}"


def _relative(text: str, language: str, path: str) -> str:
    up = "../" * path.count("/")
    root = up if language == "en" else up + "../"
    other = root + "zh/" if language == "en" else root
    for mark, way in (("site:", up), ("asset:", root + ASSETS), ("other:", other)):
        text = text.replace(f'="{mark}', f'="{way}')
    return text


def _title(line: Any) -> Safe:
    """A question's title, marked where it is in another language than the page."""
    return Safe('<span lang="{}">{}</span>').format(line.lang, line.title) if line.lang else escape(line.title)


def _code(text: str) -> Safe:
    return Safe(highlight(text, "python"))


def _groupby_order(items: Iterable[Any], attribute: str) -> Iterator[tuple[Any, list[Any]]]:
    """Runs of equal items in the order in which they come (Jinja2's own groupby sorts)."""
    for key, run in groupby(items, key=lambda item: getattr(item, attribute)):
        yield key, list(run)


def _figure(name: str, language: str) -> Safe:
    return Safe(figures.html(name, language))
