"""Builds the study site into a folder, and rebuilds only what changed. Serves nothing, prints nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from grader.errors import PrepError
from grader.markup import Markup, target
from grader.paths import bank_root
from grader.site import pages
from grader.site.pages import Content, Page
from grader.site.questions import QuestionBank
from grader.site.render import ASSETS, STATIC, TEMPLATES, Renderer, place
from grader.site.search import Index

MANIFEST = ".prep-site"


@dataclass(frozen=True)
class Report:
    """What a build did."""

    out: Path
    pages: int
    written: int
    seconds: float
    warnings: tuple[str, ...] = ()
    """names and links that lead nowhere; only a draft may have any"""


def build(out: Path, *, root: Path | None = None, draft: bool = False) -> Report:
    """Build everything into the folder `out`.

    root: bank to build from, the installed one by default. draft: links that lead nowhere become warnings.
    Raises PrepError for a broken question, problem or link, and for a folder that holds something else.
    """
    return Site(root or bank_root(), out, draft=draft).build()


class Site:
    """One site in one folder; build() again after a change rewrites only the files that came out differently."""

    def __init__(self, root: Path, out: Path, *, draft: bool = False) -> None:
        self.root, self.out, self.draft = root, out, draft
        self._questions = QuestionBank(root)
        self._markup = Markup()
        self._index = Index(self._markup)
        self._pages: dict[str, Page] = {}
        self._texts: dict[str, bytes] = {}
        self._look: tuple[tuple[Path, int], ...] = ()

    def build(self) -> Report:
        """Bring the folder up to date. Raises PrepError, and leaves the folder as it was."""
        started = time.perf_counter()
        content = pages.read(self.root, self._questions)
        warnings = (*content.unfinished, *pages.dangling(content), *self._dead_links(content))
        if warnings and not self.draft:
            more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
            raise PrepError(f"{warnings[0]}{more}.", "Mend it, or build what there is:  prep site build --draft")
        look = _stamps(TEMPLATES)
        if look != self._look:
            self._pages, self._look = {}, look
        renderer = Renderer(self._markup)
        found = {place(page.language, page.path): page for page in pages.pages(content)}
        texts = {name: self._texts[name] if self._pages.get(name) == page else renderer.render(page).encode()
                 for name, page in found.items()}
        texts |= {ASSETS + path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.is_file()}
        texts[ASSETS + "search-index.js"] = self._index.script(content).encode()
        written = self._write(texts)
        self._pages, self._texts = found, texts
        count = sum(name.endswith(".html") for name in texts)
        return Report(self.out, count, written, time.perf_counter() - started, warnings)

    def _dead_links(self, content: Content) -> list[str]:
        there = {f"q/{q.id}.html" for q in content.questions} | {f"p/{p.slug}.html" for p in content.problems}
        return [f"{path}: link to '{link}': there is no such question or problem"
                for path, text, level in _markdown(content)
                for link in self._markup.render(text, where=str(path), level=level).links if target(link) not in there]

    def _write(self, texts: dict[str, bytes]) -> int:
        known = self._claim()
        written = 0
        for name, text in texts.items():
            path = self.out / name
            if self._texts.get(name) == text and path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
            written += 1
        for name in known - set(texts):  # pages of an earlier build
            (self.out / name).unlink(missing_ok=True)
        (self.out / MANIFEST).write_text("\n".join(sorted(texts)) + "\n", encoding="utf-8")
        return written

    def _claim(self) -> set[str]:
        """Make the folder ours; the names that an earlier build put there."""
        manifest = self.out / MANIFEST
        if manifest.is_file():
            names = manifest.read_text(encoding="utf-8").splitlines()
            return {name for name in names if name and ".." not in name and not name.startswith("/")}
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise PrepError(f"{self.out} holds something else; the site would be mixed up with it.",
                            "Name an empty folder or a new one:  prep site build --out site")
        self.out.mkdir(parents=True, exist_ok=True)
        return set()


def _markdown(content: Content) -> list[tuple[Path, str, int]]:
    """Every block of Markdown with its file and the level of its headings."""
    found = [(text.path, part, level) for q in content.questions for _, text in q.texts
             for part, level in ((text.asked, 1), (text.answer, 3), (text.next_answer, 3), (text.mistake, 3))]
    for p in content.problems:
        text = pages.problem_text(p, "zh")
        found += [(p.prompt, text.prompt, 2), (p.notes, text.notes, 2)]
    return found


def _stamps(folder: Path) -> tuple[tuple[Path, int], ...]:
    return tuple((path, path.stat().st_mtime_ns) for path in sorted(folder.iterdir()))
