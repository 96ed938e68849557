"""The built site in a real Chromium, from file://, without a network.

Needs Playwright's Python package (its browsers are not used) and a Chromium: PREP_CHROMIUM, or chromium on PATH.
The accessibility check needs axe-core (npm): PREP_AXE, the path of axe.min.js, or node_modules/ at the top.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grader.site.build import Report, build

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = os.environ.get("PREP_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
KINDS = ("index.html", "topics/convolution.html", "q/why-p-minus-y.html", "q/receptive-field.html", "p/conv2d.html",
         "errata.html", "cards.html", "search.html?q=softmax", "print/convolution.html", "print/index.html")
Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build(tmp_path_factory.mktemp("site") / "out", root=ROOT, draft=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="no playwright (pip): NO PAGE WAS SEEN IN A BROWSER")
    if not CHROMIUM:
        pytest.skip("no chromium on PATH and no PREP_CHROMIUM: NO PAGE WAS SEEN IN A BROWSER")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, report: Report) -> Iterator[Open]:
    """visit("q/pooling.html", width=360, theme="dark") -> Page. Fails on a console message or an outside request."""
    complaints: list[str] = []
    contexts = []

    def go(path: str, *, width: int = 1200, height: int = 800, theme: str = "light", script: bool = True) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, java_script_enabled=script,
                                      color_scheme="dark" if theme == "dark" else "light")
        contexts.append(context)
        page = context.new_page()

        def requested(request: Request) -> None:
            if not request.url.startswith(("file://", "data:")):
                complaints.append(f"{page.url}: outside: {request.url}")

        def failed(request: Request) -> None:
            if request.failure != "net::ERR_ABORTED":  # aborted: we went on before the icon came
                complaints.append(f"{page.url}: {request.failure}: {request.url}")

        page.on("console", lambda message: complaints.append(f"{page.url}: {message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("request", requested)
        page.on("requestfailed", failed)
        page.goto(f"{report.out.as_uri()}/{path}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert not complaints, complaints


def open_all(page: Page) -> None:
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")


def focus(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_every_page_loads_without_a_complaint_and_fits_a_small_screen(visit: Open, report: Report) -> None:
    page = visit("index.html", width=360, height=640)
    too_wide = []
    for path in sorted(report.out.rglob("*.html")):
        page.goto(path.as_uri())
        content, window = page.evaluate("""() => {
            for (const part of document.querySelectorAll("details")) part.open = true;
            return [document.documentElement.scrollWidth, document.documentElement.clientWidth];
        }""")
        if content > window:
            too_wide.append(f"{path}: {content} pixels")
    assert not too_wide


@pytest.mark.parametrize(("query", "language", "title"), [
    ("dilation", "", "What is the receptive field"),
    ("相邻两个输出", "zh/", "感受野"),
    ("log-sum-exp", "", "softmax"),
    ("交叉熵", "", "交叉熵"),  # Chinese words on the English page
])
def test_search_as_it_is_typed(visit: Open, query: str, language: str, title: str) -> None:
    page = visit(f"{language}search.html")
    page.keyboard.type(query)  # the field has the focus
    page.wait_for_selector("#results li")
    assert title in page.locator("#results").inner_text()
    assert re.search(r"\d+", page.locator("#search-state").inner_text())
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # the first result has the focus now
    page.wait_for_url(lambda url: "search.html" not in url)
    page.go_back()
    page.wait_for_selector("#results li")
    assert page.input_value("#words") == query


def test_search_from_the_home_page_and_by_slash(visit: Open) -> None:
    page = visit("index.html")
    page.keyboard.press("/")
    assert focus(page) == "words"
    page.keyboard.type("einsum")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results li")
    page.fill("#words", "qqzz")
    assert "Nothing found" in page.locator("#search-state").inner_text()


def test_search_shows_markup_as_text(visit: Open) -> None:
    page = visit("search.html?q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    page.wait_for_timeout(200)
    assert page.locator("main img").count() == 0


def test_cards_by_keyboard(visit: Open) -> None:
    page = visit("cards.html?topic=convolution")
    title = page.locator("#card-title")
    first = title.inner_text()
    assert page.locator("#card-back").is_hidden()
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('#card-answer').textContent.length > 200")
    assert page.locator("#card-back").is_visible()
    page.keyboard.press("ArrowRight")
    second = title.inner_text()
    assert second != first and page.locator("#card-back").is_hidden()
    page.keyboard.press("ArrowLeft")
    assert title.inner_text() == first
    page.keyboard.press("3")  # not turned: no grade
    assert title.inner_text() == first
    page.keyboard.press("Space")
    page.keyboard.press("4")
    assert title.inner_text() == second
    page.keyboard.press("Space")
    page.keyboard.press("1")  # comes back at the end
    page.reload()
    assert title.inner_text() not in (first,)
    total = int(re.findall(r"\d+", page.locator("#card-position").inner_text())[1])
    page.goto(page.url.replace("cards.html", "zh/cards.html"))
    assert int(re.findall(r"\d+", page.locator("#card-position").inner_text())[1]) == total  # grades hold in both
    page.goto(page.url.replace("zh/cards.html", "topics/convolution.html").partition("?")[0])
    assert page.locator(".known").count() == 1


def test_home_suggests_what_is_not_known_yet(visit: Open) -> None:
    page = visit("index.html")
    before = page.locator("#next li a").all_inner_texts()
    page.goto(page.url.replace("index.html", "cards.html"))
    page.keyboard.press("Space")
    page.keyboard.press("3")
    page.goto(page.url.replace("cards.html", "index.html"))
    after = page.locator("#next li a").all_inner_texts()
    assert after[:4] == before[1:5] and len(after) == 5


def test_language_switch_keeps_the_place(visit: Open) -> None:
    page = visit("q/receptive-field.html")
    page.locator("#follow-up summary").click()
    page.locator(".language").click()
    page.wait_for_url("**/zh/q/receptive-field.html*")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.locator("#follow-up").get_attribute("open") is not None
    assert page.locator("#answer").get_attribute("open") is None
    page.locator(".language").click()
    page.wait_for_url("**/out/q/receptive-field.html*")


def test_theme_follows_the_system_and_the_switch(visit: Open) -> None:
    def paper(page: Page) -> str:
        return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    light, dark = visit("index.html"), visit("index.html", theme="dark")
    assert paper(light) != paper(dark)
    button = light.locator(".theme")
    assert button.get_attribute("aria-pressed") == "false"
    button.focus()
    light.keyboard.press("Enter")
    assert paper(light) == paper(dark) and button.get_attribute("aria-pressed") == "true"
    light.goto(light.url.replace("index.html", "q/pooling.html"))
    assert paper(light) == paper(dark)
    figure = light.evaluate("getComputedStyle(document.querySelector('main')).color")
    assert figure == dark.evaluate("getComputedStyle(document.querySelector('main')).color")


def test_reading_needs_no_script(visit: Open) -> None:
    page = visit("q/receptive-field.html", script=False)
    assert page.locator("#answer p").first.is_hidden()
    page.locator("#answer summary").click()
    assert page.locator("#answer p").first.is_visible()
    assert page.locator(".theme").is_hidden() and page.locator(".copy").first.is_hidden()
    page = visit("cards.html", script=False)
    assert page.locator("noscript a").is_visible()


def test_everything_is_reached_by_keyboard(visit: Open) -> None:
    page = visit("q/receptive-field.html", width=360)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")  # the topic
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#answer").get_attribute("open") is not None
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.scrolls') !== null")  # what scrolls can be scrolled
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_hints_come_one_by_one(visit: Open) -> None:
    page = visit("p/conv2d.html")
    hints = page.locator(".hint > summary")
    for i in range(3):
        assert hints.nth(i).is_visible() and not (i < 2 and hints.nth(i + 1).is_visible())
        hints.nth(i).click()
    assert page.locator("#solution pre").first.is_hidden()


def test_print_shows_what_is_folded(visit: Open) -> None:
    page = visit("q/receptive-field.html")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#mistake p").first.is_visible() and page.locator(".top").is_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#mistake").get_attribute("open") is None


def axe_script() -> Path:
    places = [os.environ.get("PREP_AXE"), ROOT / "node_modules" / "axe-core" / "axe.min.js"]
    for place in places:
        if place and Path(place).is_file():
            return Path(place)
    pytest.skip("no axe-core (npm install axe-core, or PREP_AXE=.../axe.min.js): ACCESSIBILITY WAS NOT CHECKED")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", [*KINDS, "zh/index.html", "zh/q/why-p-minus-y.html", "zh/p/conv2d.html"])
def test_axe_finds_nothing(visit: Open, path: str, theme: str) -> None:
    script = axe_script()
    page = visit(path, theme=theme, width=400)
    if "search" in path:
        page.wait_for_selector("#results li")
    if "cards" in path:
        page.keyboard.press("Space")
        page.wait_for_function("document.querySelector('#card-answer').textContent.length > 200")
    open_all(page)
    page.add_script_tag(path=script)
    found: list[dict[str, Any]] = page.evaluate("axe.run({ preload: false }).then((result) => result.violations)")
    assert not found, [(rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"][:3]]) for rule in found]
