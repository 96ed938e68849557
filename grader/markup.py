"""Markdown, maths and code -> HTML. Escapes HTML by default; knows no page and checks no link's target.

A link to another page of the site comes out as href="site:q/receptive-field.html": whoever places the HTML replaces
"site:" by the way to the root. Text cannot forge it, because its quotation marks are escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments.lexers import get_lexer_by_name
from pygments.token import Token as Code
from pygments.util import ClassNotFound

from grader.errors import PrepError
from grader.mathml import mathml

SITE = "site:"


@dataclass(frozen=True)
class Rendered:
    """A piece of HTML, and the links in it that lead to a page of the site, as they were written."""

    html: str
    links: tuple[str, ...] = ()


class Markup:
    """Renders Markdown, and remembers what it has rendered: an unchanged text costs nothing the second time."""

    def __init__(self) -> None:
        self._markdown = (
            MarkdownIt("commonmark", {"html": False})
            .enable("table")
            .use(dollarmath_plugin, allow_labels=False, double_inline=True)
        )
        self._markdown.inline.ruler.at("emphasis", _emphasis)
        for name, rule in (("fence", _fence), ("code_block", _fence), ("math_inline", _math_inline),
                           ("math_inline_double", _math_inline), ("math_block", _math_block),
                           ("table_open", _table_open), ("table_close", _table_close)):
            self._markdown.add_render_rule(name, rule)
        self._known: dict[tuple[str, int, bool], Rendered] = {}

    def render(self, text: str, *, where: str, level: int = 1, inline: bool = False) -> Rendered:
        """HTML of a Markdown text.

        where: file that the text comes from, for errors. level: what "#" becomes: 3 makes it <h3>. inline: no <p>.
        Raises PrepError where a formula cannot be converted.
        """
        key = (text, level, inline)
        if key not in self._known:
            try:
                self._known[key] = self._render(*key)
            except _BadFormula as error:
                raise PrepError(f"{where}: the formula {error} cannot be converted to MathML.",
                                "Write it with plainer LaTeX, then:  prep site build") from None
        return self._known[key]

    def _render(self, text: str, level: int, inline: bool) -> Rendered:
        tokens = (self._markdown.parseInline if inline else self._markdown.parse)(text)
        links: list[str] = []
        for i, token in enumerate(tokens):
            if token.type == "th_open" and not tokens[i + 1].content:
                token.tag = tokens[i + 2].tag = "td"  # the empty corner of a table heads nothing
            if token.type in ("heading_open", "heading_close"):
                token.tag = f"h{min(6, int(token.tag[1]) + level - 1)}"
            for child in token.children or ():
                if child.type == "link_open":
                    _aim(child, links)
        return Rendered(self._markdown.renderer.render(tokens, self._markdown.options, {}).strip(), tuple(links))


def target(link: str) -> str:
    """The site's path of an internal link: "problem:conv2d" -> "p/conv2d.html", "pooling" -> "q/pooling.html"."""
    kind, _, slug = link.rpartition(":")
    return f"{'p' if kind == 'problem' else 'q'}/{slug}.html"


@lru_cache(maxsize=4096)
def highlight(code: str, language: str) -> str:
    """HTML of a listing: spans of the classes k(eyword) s(tring) n(umber) c(omment) f(unction) b(uilt-in), no more."""
    try:
        lexer = get_lexer_by_name(language or "text", stripnl=False, ensurenl=False)
    except ClassNotFound:
        return html.escape(code, quote=False)
    out: list[str] = []
    last, run = "", ""
    for kind, text in lexer.get_tokens(code.rstrip("\n")):
        name = _code_class(kind)
        if name != last and not (name == "" and text.isspace()):
            out.append(_span(last, run))
            last, run = name, ""
        run += text
    return "".join([*out, _span(last, run)])


class _BadFormula(ValueError):
    pass


def _math(latex: str, *, display: bool) -> str:
    try:
        return mathml(latex.strip(), display)
    except ValueError as error:
        raise _BadFormula(f"'{error}'") from None


def _math_inline(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    found = _math(tokens[index].content, display=tokens[index].type == "math_inline_double")
    # browsers do not break formulas: one that is wider than a phone scrolls
    return f'<span class="long scrolls">{found}</span>' if len(re.sub("<[^>]*>", "", found)) > 28 else found


def _math_block(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return f'<div class="formula scrolls">{_math(tokens[index].content, display=True)}</div>\n'


def _fence(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return f'<pre class="scrolls"><code>{highlight(tokens[index].content, tokens[index].info.strip())}</code></pre>\n'


def _table_open(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return '<div class="table scrolls"><table>\n'


def _table_close(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _aim(token: Token, links: list[str]) -> None:
    href = str(token.attrs.get("href", ""))
    if not re.match(r"https?://|mailto:|#", href):
        links.append(href)
        token.attrs["href"] = SITE + target(href)


def _span(name: str, text: str) -> str:
    escaped = html.escape(text, quote=False)
    return f'<span class="{name}">{escaped}</span>' if name and text else escaped


def _code_class(kind: Any) -> str:
    for base, name in _CODE_CLASSES:
        if kind in base:
            return name
    return ""


_CODE_CLASSES = (
    (Code.Comment, "c"), (Code.Literal.String, "s"), (Code.Literal.Number, "n"), (Code.Keyword, "k"),
    (Code.Operator.Word, "k"), (Code.Name.Function, "f"), (Code.Name.Class, "f"), (Code.Name.Decorator, "f"),
    (Code.Name.Builtin, "b"), (Code.Name.Exception, "b"),
)

_EAST_ASIAN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u2018-\u201d\u2014\u2026]")


def _emphasis(state: StateInline, silent: bool) -> bool:
    """markdown-it's own rule, but a delimiter beside a Chinese character or punctuation mark may open and close.

    CommonMark decides by the spaces around it, and Chinese has none: **“预热”**之后 would keep its asterisks.
    """
    start, marker = state.pos, state.src[state.pos]
    if silent or marker not in "_*":
        return False
    scanned = state.scanDelims(start, marker == "*")
    can_open, can_close = scanned.can_open, scanned.can_close
    if marker == "*":
        before = state.src[start - 1] if start else " "
        after = state.src[start + scanned.length:][:1] or " "
        if _EAST_ASIAN.match(before) or _EAST_ASIAN.match(after):
            can_open, can_close = can_open or not after.isspace(), can_close or not before.isspace()
    for _ in range(scanned.length):
        token = state.push("text", "", 0)
        token.content = marker
        state.delimiters.append(Delimiter(marker=ord(marker), length=scanned.length, token=len(state.tokens) - 1,
                                          end=-1, open=can_open, close=can_close))
    state.pos += scanned.length
    return True


def plain(markup: str) -> str:
    """The words of a piece of HTML. Formulas keep their letters together, paragraphs stay apart."""
    text = re.sub(r"<math.*?</math>", lambda found: _formula(ElementTree.fromstring(found[0])), markup, flags=re.DOTALL)
    text = re.sub(r"</?(?:span|code|strong|em|a)\b[^>]*>", "", text)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _formula(node: ElementTree.Element) -> str:
    """A formula on one line: 1/√d, x^2. Its meaning must not change, as 1/√d would without the root."""
    parts = [_formula(child) for child in node]
    kind = node.tag.rpartition("}")[2]
    if kind == "msqrt":
        inside = "".join(parts)
        return f"√{inside}" if len(inside) == 1 else f"√({inside})"
    if kind == "mfrac" and len(parts) == 2:
        return "/".join(part if len(part) == 1 else f"({part})" for part in parts)
    if kind == "msup" and len(parts) == 2:
        return "^".join(parts)
    return html.escape((node.text or "").strip()) + "".join(parts)
