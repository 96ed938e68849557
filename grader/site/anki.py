"""The question bank as an Anki package: one note per question, a deck per topic, both languages on each card."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from grader.errors import PrepError
from grader.markup import Markup
from grader.paths import bank_root
from grader.site.questions import Question, QuestionBank, Text
from grader.site.topics import LANGUAGES, TOPICS
from grader.site.words import words

FIELDS = ("Question", "Answer", "问题", "回答", "Id")
_STYLE = """
.card { font: 17px/1.55 system-ui, sans-serif; text-align: left; max-width: 42rem; margin: 0 auto; padding: 0 .5rem; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid #8886; border-radius: 6px; font-size: .8rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .6rem; border-bottom: 1px solid #8886; text-align: left; }
.formula { overflow-x: auto; margin: .6rem 0; } h4 { margin: 1rem 0 .3rem; } summary { cursor: pointer; }
"""
_FRONT = "{{Question}}<hr>{{问题}}"
_BACK = "{{FrontSide}}<hr id=answer>{{Answer}}<hr>{{回答}}"


def export(path: Path, *, root: Path | None = None) -> int:
    """Write PATH, an .apkg; the number of notes. Ids depend on names only: a later import updates the same notes.

    Raises PrepError where genanki (extra prep[anki]) is missing, or a question is broken.
    """
    try:
        import genanki  # type: ignore[import-untyped]
    except ImportError:
        raise PrepError("The Anki export needs genanki, which is not installed.",
                        "pip install 'prep[anki]'") from None
    model = genanki.Model(number("model"), "prep question", fields=[{"name": name} for name in FIELDS], css=_STYLE,
                          templates=[{"name": "Card", "qfmt": _FRONT, "afmt": _BACK}])
    markup = Markup()
    decks = {topic.slug: genanki.Deck(number("deck", topic.slug), f"prep::{topic.name['en']} {topic.name['zh']}")
             for topic in TOPICS}
    questions = QuestionBank(root or bank_root()).all()
    if not questions:
        raise PrepError("There are no questions to export.", "Unset PREP_BANK, or reinstall prep.  prep doctor")
    for q in questions:
        decks[q.topic].add_note(_note(genanki, model, markup, q))
    path.parent.mkdir(parents=True, exist_ok=True)
    genanki.Package([deck for deck in decks.values() if deck.notes]).write_to_file(path)
    return len(questions)


def number(*names: str) -> int:
    """A number that Anki takes for an id, always the same for the same names."""
    digest = hashlib.sha256("/".join(("prep", *names)).encode()).digest()
    return int.from_bytes(digest[:5], "big") | 1 << 30


def _note(genanki: Any, model: Any, markup: Markup, q: Question) -> Any:
    fields: list[str] = []
    for language in LANGUAGES:
        fields += _sides(markup, q.text(language), words(language))
    return genanki.Note(model=model, fields=[*fields, q.id], guid=genanki.guid_for("prep", q.id),
                        tags=[q.level, q.topic, *q.tags])


def _sides(markup: Markup, text: Text, t: dict[str, str]) -> tuple[str, str]:
    def html(part: str, level: int = 5) -> str:
        # a card has no pages around it: keep the words of a link, drop the way
        whole = markup.render(part, where=str(text.path), level=level).html
        return re.sub(r'<a href="site:[^"]*">(.*?)</a>', r"\1", whole)

    front = f"<h3>{markup.render(text.title, where=str(text.path), inline=True).html}</h3>{html(text.asked)}"
    back = (f"{html(text.answer)}<h4>{t['show_follow_up']}</h4><p><strong>{html(text.next_asked)[3:-4]}</strong></p>"
            f"{html(text.next_answer)}<h4>{t['show_mistake']}</h4>{html(text.mistake)}")
    return front, back
