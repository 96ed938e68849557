"""Finds problems: discovery, look-up with did-you-mean, filters. Reads problem.toml files and nothing else."""

from __future__ import annotations

import difflib
from pathlib import Path

from grader import problem as problems
from grader.errors import PrepError
from grader.paths import bank_root
from grader.problem import DIFFICULTIES, Problem


class Bank:
    """The problems under ROOT/problems with their solutions under ROOT/solutions."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or bank_root()

    def slugs(self) -> list[str]:
        """Every problem folder's name, sorted. Cheap: parses nothing."""
        folder = self.root / "problems"
        if not folder.is_dir():
            return []
        return sorted(entry.name for entry in folder.iterdir() if (entry / "problem.toml").is_file())

    def get(self, slug: str) -> Problem:
        """The problem called `slug`. Raises PrepError with the nearest names where there is none."""
        slug = slug.strip().strip("/")
        folder = self.root / "problems" / slug
        if not slug or "/" in slug or slug.startswith(".") or not (folder / "problem.toml").is_file():
            raise self._unknown(slug)
        return problems.load(folder, self.root / "solutions" / slug)

    def all(self) -> list[Problem]:
        """Every problem, easiest first. Raises PrepError at the first broken problem.toml."""
        found = [self.get(slug) for slug in self.slugs()]
        return sorted(found, key=lambda p: (DIFFICULTIES.index(p.difficulty), p.minutes, p.slug))

    def select(self, topic: str | None = None, difficulty: str | None = None, kind: str | None = None) -> list[Problem]:
        """The problems that match every filter given. Raises PrepError for a filter no problem can match."""
        found = self.all()
        for name, wanted, values in (
            ("topic", topic, sorted({t for p in found for t in p.topics})),
            ("difficulty", difficulty, list(DIFFICULTIES)),
            ("kind", kind, list(problems.KINDS)),
        ):
            if wanted is not None and wanted not in values:
                near = difflib.get_close_matches(wanted, values, n=1)
                hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(values)}."
                raise PrepError(f"No {name} '{wanted}'.", f"{hint}  prep list")
        return [p for p in found if (topic is None or topic in p.topics)
                and (difficulty is None or p.difficulty == difficulty) and (kind is None or p.kind == kind)]

    def _unknown(self, slug: str) -> PrepError:
        slugs = self.slugs()
        if not slugs:
            return PrepError(f"There are no problems in {self.root / 'problems'}.",
                             "Unset PREP_BANK, or reinstall prep.  prep doctor")
        near = difflib.get_close_matches(slug.lower(), slugs, n=3, cutoff=0.5)
        near += [s for s in slugs if slug and slug.lower() in s and s not in near]
        if near:
            return PrepError(f"No problem '{slug}'.", f"Did you mean {' or '.join(near[:3])}?  prep list")
        return PrepError(f"No problem '{slug}'.", "See them all:  prep list")
