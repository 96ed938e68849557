"""The built site: what is on the pages, where the links lead, what a change costs. For browsers see tests/site."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from grader.bank import Bank
from grader.errors import PrepError
from grader.markup import Markup
from grader.mathml import mathml
from grader.site import anki, figures
from grader.site.build import MANIFEST, Report, Site, build
from grader.site.figures import measured, runs, windows
from grader.site.questions import QuestionBank
from grader.site.render import STATIC
from grader.site.search import tokens
from grader.site.serve import Server
from grader.site.topics import TOPICS
from grader.site.words import words

ROOT = Path(__file__).resolve().parent.parent
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


class Reader(HTMLParser):
    """What the tests ask of a page: links, ids, tags that do not match, and the text outside listings."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.language = ""
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self._open, f"{path}: not closed: {self._open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if tag not in VOID:
            self._open.append(tag)
        if tag == "html":
            self.language = found.get("lang") or ""
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if name := found.get("id"):
            self.ids.append(name)
        for key in ("href", "src"):
            if (way := found.get(key)) is not None:
                self.links.append((tag, way))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, text: str) -> None:
        if not {"code", "pre", "script", "style"} & set(self._open):
            self.text.append(text)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build(tmp_path_factory.mktemp("site") / "out", root=ROOT, draft=True)


@pytest.fixture(scope="module")
def pages(report: Report) -> dict[str, Reader]:
    return {path.relative_to(report.out).as_posix(): Reader(path) for path in sorted(report.out.rglob("*.html"))}


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A small bank of its own: three questions and one problem."""
    root = tmp_path / "bank"
    for name in ("pooling", "receptive-field", "conv-output-size"):
        for language in ("en", "zh"):
            source = ROOT / "docs" / "questions" / "convolution" / f"{name}.{language}.md"
            text = re.sub(r"^(problems|questions|errata) = .*$", r"\1 = []", source.read_text(encoding="utf-8"),
                          flags=re.MULTILINE).replace("problems = []", 'problems = ["conv2d"]')
            text = re.sub(r"\]\([a-z0-9:-]+\)", "](pooling)", text)
            target = root / "docs" / "questions" / "convolution" / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    for part in ("problems", "solutions"):
        shutil.copytree(ROOT / part / "conv2d", root / part / "conv2d")
    return root


def question(bank: Path, name: str = "pooling", language: str = "en") -> Path:
    return bank / "docs" / "questions" / "convolution" / f"{name}.{language}.md"


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


# --- the whole site

def test_no_name_and_no_link_leads_nowhere(report: Report) -> None:
    assert report.warnings == ()


def test_every_page_is_there_in_both_languages(report: Report, pages: dict[str, Reader]) -> None:
    questions, problems = QuestionBank(ROOT).all(), Bank(ROOT).slugs()
    topics = {q.topic for q in questions}
    unfinished = {Path(w.partition(": ")[0]).parent.name for w in report.warnings if "no such file" in w}
    problems = [slug for slug in problems if slug not in unfinished]
    expected = {"index.html", "cards.html", "search.html", "errata.html", "print/index.html",
                *(f"q/{q.id}.html" for q in questions), *(f"p/{slug}.html" for slug in problems),
                *(f"{kind}/{topic}.html" for kind in ("topics", "print") for topic in topics)}
    assert set(pages) == expected | {f"zh/{name}" for name in expected}
    assert report.pages == 2 * len(expected)
    assert all(page.language == ("zh-Hans" if name.startswith("zh/") else "en") for name, page in pages.items())


def test_every_link_leads_to_a_file_and_a_place(report: Report, pages: dict[str, Reader]) -> None:
    dead = []
    for name, page in pages.items():
        for tag, way in page.links:
            assert not way.startswith("/") and "site:" not in way and "asset:" not in way, (name, way)
            path, _, place = way.partition("#")
            path = path.partition("?")[0]
            full = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
            if not (report.out / full).is_file() or (place and place not in pages[full].ids):
                dead.append((name, tag, way))
    assert not dead


def test_nothing_comes_from_outside(report: Report) -> None:
    for path in report.out.rglob("*"):
        if path.suffix in (".html", ".css") or (path.parent.name == "static" and path.name != "search-index.js"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"(?:src|href|url|import|fetch)\W{1,3}(?:https?:)?//", text), path


def test_pages_are_well_formed(pages: dict[str, Reader]) -> None:
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        assert page.headings.count(1) == 1 and page.headings[0] == 1, name
        assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:])), (name, page.headings)


def test_no_raw_tex_and_no_raw_markdown_is_shown(pages: dict[str, Reader]) -> None:
    for name, page in pages.items():
        text = " ".join(page.text)
        left = re.findall(r".{,30}(?:\\[A-Za-z({\[]|\$|\*\*|\]\().{,20}", text)
        assert not left, (name, left)


def test_page_weight(report: Report) -> None:
    """A page with the styles and scripts that it loads by itself: under 100 kB without pictures, 200 kB with them."""
    for path in report.out.rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        parts = re.findall(r'(?:stylesheet" href|script src)="([^"]+)"', html)
        assert parts
        weight = sum((path.parent / part).stat().st_size for part in parts)
        pictures = "".join(re.findall(r"<figure>.*?</figure>", html, re.DOTALL))
        assert len(html.encode()) + weight < 200_000, path
        assert len(html.encode()) - len(pictures.encode()) + weight < 100_000, path


def test_chinese_pages_mark_what_is_english(report: Report) -> None:
    page = (report.out / "zh" / "p" / "conv2d.html").read_text(encoding="utf-8")
    assert '<h1 lang="en">' in page and '<div lang="en"><p>Write the forward pass' in page


def test_both_languages_have_the_same_words() -> None:
    en, zh = words("en"), words("zh")
    assert en.keys() == zh.keys() and all(en.values()) and all(zh.values())
    for key in en:
        assert re.findall(r"{\w+}", en[key]) == re.findall(r"{\w+}", zh[key]), key


# --- building

def test_a_change_of_one_page_writes_few(bank: Path, tmp_path: Path) -> None:
    site = Site(bank, tmp_path / "out", draft=True)
    site.build()
    for i in range(3):
        edit(question(bank), "## Answer\n", f"## Answer\nEdited {i}. ")
        assert 1 <= site.build().written <= 3  # the page, its card, the index where a word is new
        assert f"Edited {i}." in (tmp_path / "out" / "q" / "pooling.html").read_text(encoding="utf-8")


def test_an_unchanged_bank_writes_nothing(bank: Path, tmp_path: Path) -> None:
    site = Site(bank, tmp_path / "out")
    assert site.build().written > 20
    assert site.build().written == 0


def test_a_new_title_reaches_the_pages_that_show_it(bank: Path, tmp_path: Path) -> None:
    site = Site(bank, tmp_path / "out")
    site.build()
    edit(question(bank), 'title = "', 'title = "Now then: ')
    site.build()
    for name in ("index.html", "topics/convolution.html", "q/conv-output-size.html", "cards.html", "p/conv2d.html"):
        assert "Now then: " in (tmp_path / "out" / name).read_text(encoding="utf-8"), name
    assert "Now then: " not in (tmp_path / "out" / "zh" / "index.html").read_text(encoding="utf-8")


def test_a_page_that_is_gone_is_removed_and_nothing_else(bank: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out, root=bank)
    (out / "mine.txt").write_text("kept")
    for language in ("en", "zh"):
        question(bank, "receptive-field", language).unlink()
    build(out, root=bank)
    assert not (out / "q" / "receptive-field.html").exists()
    assert (out / "mine.txt").exists() and (out / "q" / "pooling.html").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(bank: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("")
    with pytest.raises(PrepError, match="holds something else"):
        build(tmp_path / "home", root=bank)
    assert not (tmp_path / "home" / MANIFEST).exists()


@pytest.mark.parametrize(("before", "after", "complaint"), [
    ('problems = ["conv2d"]', 'problems = ["conv3d"]', "pooling.en.md: problems: there is no 'conv3d'"),
    ("## Answer\n", "## Answer\nSee [this](no-such-page). ", "pooling.en.md: link to 'no-such-page'"),
    ("## Answer\n", "## Answer\n$\\nosuch{x}$ ", "pooling.en.md: the formula '.nosuch{x}' cannot be converted"),
    ("## Answer", "## Reply", "pooling.en.md: expected the question, then the headings ## Answer"),
    ('level = "junior"', 'level = "easy"', "pooling.en.md: expected level: one of junior, mid, senior, found 'easy'"),
    ('topic = "convolution"', 'topic = "pooling"', "pooling.en.md: expected topic: the folder's name"),
    ("tags = [", "tags = 3 #", "pooling.en.md: expected tags: a list of at least 1 strings, found 3"),
    ("number = ", "nummer = ", "pooling.en.md: expected the key number"),
    ("+++\n", "", "pooling.en.md: expected front matter"),
    ("level = ", "level = = ", "pooling.en.md: expected TOML"),
    ("## Follow-up\n**", "## Follow-up\n", "pooling.en.md: expected the next question in .*bold"),
    ('level = "junior"', 'level = "mid"', "pooling.zh.md: expected the same front matter .* level"),
])
def test_a_mistake_names_the_file_and_what_is_expected(bank: Path, tmp_path: Path, before: str, after: str,
                                                       complaint: str) -> None:
    edit(question(bank), before, after)
    if "problems" in before:
        edit(question(bank, language="zh"), before, after)
    with pytest.raises(PrepError, match=complaint) as caught:
        build(tmp_path / "out", root=bank)
    assert caught.value.fix
    assert not (tmp_path / "out").exists()


def test_a_draft_may_have_names_that_lead_nowhere(bank: Path, tmp_path: Path) -> None:
    edit(question(bank), "## Answer\n", "## Answer\nSee [this](no-such-page). ")
    assert len(build(tmp_path / "out", root=bank, draft=True).warnings) == 1


def test_a_problem_without_its_solution_is_refused_and_left_out_of_a_draft(bank: Path, tmp_path: Path) -> None:
    (bank / "solutions" / "conv2d" / "solution.py").unlink()
    with pytest.raises(PrepError, match=r"solution.py: there is no such file"):
        build(tmp_path / "out", root=bank)
    assert build(tmp_path / "out", root=bank, draft=True).warnings
    assert not (tmp_path / "out" / "p" / "conv2d.html").exists()


def test_a_question_without_a_translation_shows_what_there_is(bank: Path, tmp_path: Path) -> None:
    question(bank, language="zh").unlink()
    build(tmp_path / "out", root=bank)
    assert '<article lang="en">' in (tmp_path / "out" / "zh" / "q" / "pooling.html").read_text(encoding="utf-8")


def test_a_translated_prompt_is_shown_on_the_chinese_page(bank: Path, tmp_path: Path) -> None:
    (bank / "problems" / "conv2d" / "prompt.zh.md").write_text("# 卷积\n\n写出前向过程。\n", encoding="utf-8")
    build(tmp_path / "out", root=bank)
    assert '<div lang="zh-Hans"><p>写出前向过程。' in (tmp_path / "out" / "zh" / "p" / "conv2d.html").read_text("utf-8")
    assert "前向过程" not in (tmp_path / "out" / "p" / "conv2d.html").read_text(encoding="utf-8")


# --- markup

@pytest.mark.parametrize(("text", "html"), [
    ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
    ('see [it](pooling "site:x")', '<p>see <a href="site:q/pooling.html" title="site:x">it</a></p>'),
    ("[try](problem:conv2d)", '<p><a href="site:p/conv2d.html">try</a></p>'),
    ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
    ("先做**“预热”**之后再训练", "<p>先做<strong>“预热”</strong>之后再训练</p>"),
    ("a * b * c, 2*3*4, **b**", "<p>a * b * c, 2<em>3</em>4, <strong>b</strong></p>"),
    ("```python\nx = 1  # <b>\n```",
     '<pre class="scrolls"><code>x = <span class="n">1  </span><span class="c"># &lt;b&gt;</span></code></pre>'),
])
def test_markup(text: str, html: str) -> None:
    assert Markup().render(text, where="here").html == html


@pytest.mark.parametrize(("latex", "part"), [
    (r"\mathrm{softmax}(z)", "<mi>softmax</mi><mo"),
    (r"\log_2 p", '<msub><mi>log</mi><mn>2</mn></msub><mspace width="0.167em"></mspace><mi>p</mi>'),
    (r"\frac{\partial L}{\partial z}", '<mi mathvariant="normal">∂</mi><mi>L</mi>'),
    (r"\hat{y}", '<mover accent="true"><mi>y</mi>'),
    ("a/b", '<mo lspace="0" rspace="0">/</mo>'),
    ("x < y", "<mo>&lt;</mo>"),
])
def test_formulas(latex: str, part: str) -> None:
    assert part in mathml(latex)


@pytest.mark.parametrize("latex", [r"\nosuch", r"\frac{a", "a $ b"])
def test_a_formula_that_cannot_be_converted_is_refused(latex: str) -> None:
    with pytest.raises(ValueError):
        mathml(latex)


# --- search

def node(script: str, *paths: Path) -> object:
    """The JSON that a script prints; it finds the paths in `argv`."""
    if not (program := shutil.which("node")):
        pytest.skip("node is not installed: the search function was not run")
    done = subprocess.run([program, "-e", f"const argv = process.argv.slice(1); {script}", *map(str, paths)],
                          capture_output=True, text=True, check=True, encoding="utf-8")
    return json.loads(done.stdout)


@pytest.mark.parametrize(("query", "language", "expected"), [
    ("receptive", "en", "q/receptive-field.html"),
    ("dilation", "en", "q/receptive-field.html"),  # in the middle of a sentence
    ("dilat", "en", "q/receptive-field.html"),  # not yet finished
    ("感受野", "zh", "q/receptive-field.html"),
    ("相邻两个输出", "zh", "q/receptive-field.html"),  # in the middle of a sentence, without spaces
    ("softmax 梯度", "zh", "q/why-p-minus-y.html"),
    ("log-sum-exp", "en", "q/stable-softmax.html"),  # a formula's name
    ("F1", "en", "q/f1-score.html"),
    ("torch.einsum", "en", "q/one-by-one-convolution.html"),
    ("learning rates", "en", "q/choosing-the-learning-rate.html"),
    ("conv2d", "en", "p/conv2d.html"),
    ("E13", "en", "errata.html#E13"),
])
def test_search_finds(report: Report, query: str, language: str, expected: str) -> None:
    script = ("const { decode, search } = require(argv[0]);"
              "global.prepIndex = (data) => { global.index = decode(data); }; require(argv[1]);"
              f" const hits = search(index, {json.dumps(query)}, {json.dumps(language)});"
              "console.log(JSON.stringify(hits))")
    hits = node(script, STATIC / "search.js", report.out / "static" / "search-index.js")
    assert isinstance(hits, list)
    assert expected in [hit[0] for hit in hits[:20]]
    assert all(hit[1] == language for hit in hits if hit[0] == expected)
    assert len({hit[0] for hit in hits}) == len(hits)


def test_a_query_is_cut_up_like_the_texts() -> None:
    texts = ["Cross-entropy of 交叉熵损失, F1 = 2PR", "batch_norm und BatchNorm2d", "学 习"]
    script = "const { queryTokens } = require(argv[0]); console.log(JSON.stringify(" \
             f"{json.dumps(texts)}.map(queryTokens)))"
    cut = node(script, STATIC / "search.js")
    assert isinstance(cut, list)
    for text, query in zip(texts, cut):
        assert set(query) - tokens(text) == set()
    assert {"交叉", "叉熵", "熵损", "损失", "cross", "entropy", "f1"} <= tokens(texts[0])


def test_intervals_of_the_cards_grow() -> None:
    script = ("const { graded } = require(argv[0]); let card; const days = [];"
              "for (const g of [3, 3, 4, 2, 1, 3]) { card = graded(card, g, 0); days.push(card.days); }"
              "console.log(JSON.stringify([days, card.due / 86400000, graded(null, 4, 5).days]))")
    assert node(script, STATIC / "cards.js") == [[1, 3, 10, 12, 0, 1], 1, 4]  # days, the last due day, first "easy"


# --- figures

def test_the_drawn_convolution_is_right() -> None:
    image, kernel = np.array(windows.IMAGE), np.array(windows.KERNEL)
    view = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    assert windows.correlate() == np.einsum("ijrs,rs->ij", view, kernel).tolist()
    assert windows.field_of(1) == [3, 5, 7] and windows.field_of(2) == [3, 7, 15]


def test_the_measured_figures_show_what_the_runs_give() -> None:
    def flat(value: object) -> Iterator[float]:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                yield from flat(item)
        else:
            yield float(value)  # type: ignore[arg-type]

    now, drawn = runs.everything(), measured.runs()
    # another BLAS rounds differently, and 600 steps of training let that grow a little
    assert np.allclose(list(flat(now)), list(flat(drawn)), rtol=0.02, atol=2)
    assert now["ranking"]["auc"] == pytest.approx(drawn["ranking"]["auc"], abs=1e-4)
    half = min(drawn["ranking"]["pr"], key=lambda point: abs(point[0] - 0.5))
    assert half[1] == pytest.approx(0.2, abs=0.02)  # the caption says: four of five are false alarms


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_figure_follows_the_theme_and_speaks(name: str, language: str) -> None:
    html = figures.html(name, language)
    assert "<title" in html and "<desc" in html and "<figcaption>" in html
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb\(|style=", html)
    assert bool(re.search(r"[\u4e00-\u9fff]", html)) == (language == "zh")


# --- serving and exporting

def test_serving_rebuilds_on_change_and_stays_on_loopback(bank: Path, tmp_path: Path) -> None:
    told: list[Report | PrepError] = []
    server = Server(tmp_path / "out", port=0, root=bank, tell=told.append)
    thread = threading.Thread(target=server.run)
    thread.start()

    def page() -> str:
        with urllib.request.urlopen(f"{server.url}q/pooling.html", timeout=5) as answer:
            assert answer.headers["Cache-Control"] == "no-cache"
            return str(answer.read().decode())

    def until(count: int) -> None:
        deadline = time.monotonic() + 10
        while len(told) < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    try:
        assert server.url.startswith("http://127.0.0.1:")
        page()
        edit(question(bank), "## Answer\n", "## Answer\nEdited. ")
        until(2)
        assert "Edited." in page()
        edit(question(bank), "## Answer", "## Reply")
        until(3)
        assert isinstance(told[2], PrepError) and "Edited." in page()
        edit(question(bank), "## Reply", "## Answer")
        until(4)
        assert isinstance(told[3], Report)
    finally:
        server.close()
        thread.join()


def test_a_port_that_is_taken_is_reported(bank: Path, tmp_path: Path) -> None:
    server = Server(tmp_path / "out", port=0, root=bank, tell=lambda outcome: None)
    try:
        with pytest.raises(PrepError, match="Port"):
            Server(tmp_path / "out", port=int(server.url.rsplit(":", 1)[1].strip("/")), root=bank,
                   tell=lambda outcome: None)
    finally:
        server._http.server_close()


def test_anki_package(bank: Path, tmp_path: Path) -> None:
    pytest.importorskip("genanki", reason="genanki (extra prep[anki]) is not installed: no package was made")
    import sqlite3

    rows = []
    for name in ("one.apkg", "two.apkg"):
        assert anki.export(tmp_path / name, root=bank) == 3
        with zipfile.ZipFile(tmp_path / name) as package:
            package.extract("collection.anki2", tmp_path)
        connection = sqlite3.connect(tmp_path / "collection.anki2")
        rows.append(connection.execute("select guid, flds, tags from notes order by guid").fetchall())
        connection.close()
    assert rows[0] == rows[1]  # the same ids and texts each time
    fields = next(row[1].split("\x1f") for row in rows[0] if row[1].endswith("receptive-field"))
    assert len(fields) == len(anki.FIELDS)
    assert "<math" in fields[1] and "感受野" in fields[3] and "site:" not in "".join(fields)


def test_ids_of_the_anki_decks_differ_and_stay() -> None:
    ids = [anki.number("deck", topic.slug) for topic in TOPICS]
    assert len(set(ids)) == len(ids) and all(1 << 30 <= i < 1 << 53 for i in ids)
    assert anki.number("model") == 959549685537
