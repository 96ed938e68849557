"""What a figure is: a name, a caption in both languages, and a function that draws its panels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from grader.site.figures.svg import Panel

Say = Callable[[str, str], str]
"""say("English", "中文") gives the words in the language of the page."""


@dataclass(frozen=True)
class Figure:
    name: str
    caption: tuple[str, str]
    draw: Callable[[Say], list[Panel]]

    @staticmethod
    def words_in(language: str) -> Say:
        return lambda english, chinese: chinese if language == "zh" else english
