"""docs/errata.toml -> Erratum: what tutorials say, what is right, how it was checked. Renders nothing."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.errors import PrepError
from grader.site.topics import LANGUAGES

GROUPS = ("data", "mathematics", "optimisation", "evaluation", "code", "claims")
_FIELDS = ("says", "fact", "evidence")


@dataclass(frozen=True)
class Wording:
    """One language of an erratum; Markdown without paragraphs."""

    says: str
    fact: str
    evidence: str


@dataclass(frozen=True)
class Erratum:
    id: str
    group: str
    en: Wording
    zh: Wording

    def words(self, language: str) -> Wording:
        return self.zh if language == "zh" else self.en


def read(root: Path) -> list[Erratum]:
    """The errata of ROOT/docs/errata.toml by number; none where there is no such file. Raises PrepError."""
    path = root / "docs" / "errata.toml"
    if not path.exists():
        return []
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("errata")
    except tomllib.TOMLDecodeError as error:
        raise _broken(path, f"TOML ({error})") from None
    if not isinstance(rows, list):
        raise _broken(path, "tables [[errata]]")
    found = [_erratum(path, row) for row in rows]
    if len({e.id for e in found}) < len(found):
        raise _broken(path, "a different id for each erratum")
    return sorted(found, key=lambda e: int(e.id[1:]))


def _erratum(path: Path, row: dict[str, Any]) -> Erratum:
    name, group = row.get("id"), row.get("group")
    if not isinstance(name, str) or not re.fullmatch(r"E\d\d", name):
        raise _broken(path, f'id = "E01", found {name!r}')
    if group not in GROUPS:
        raise _broken(path, f"{name}: group: one of {', '.join(GROUPS)}, found {group!r}")
    wordings = []
    for language in LANGUAGES:
        table = row.get(language)
        if not isinstance(table, dict) or set(table) != set(_FIELDS) or not all(
                isinstance(text, str) and text.strip() for text in table.values()):
            raise _broken(path, f"{name}: {language}: the texts {', '.join(_FIELDS)}")
        wordings.append(Wording(**{key: " ".join(text.split()) for key, text in table.items()}))
    return Erratum(name, group, *wordings)


def _broken(path: Path, expected: str) -> PrepError:
    return PrepError(f"{path}: expected {expected}.", "Mend it, then:  prep site build")
