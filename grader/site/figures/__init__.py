"""Which pictures belong to which question, and their HTML. The drawing is in the modules beside it."""

from __future__ import annotations

from functools import lru_cache
from html import escape

from grader.site.figures import blocks, curves, measured, windows
from grader.site.figures.figure import Figure

FIGURES: dict[str, Figure] = {figure.name: figure for module in (windows, curves, measured, blocks)
                              for figure in module.FIGURES}

OF_QUESTION: dict[str, tuple[str, ...]] = {
    "what-is-convolution": ("convolution-steps",),
    "convolution-by-hand": ("convolution-steps",),
    "receptive-field": ("receptive-field",),
    "learning-rate-schedules": ("learning-rates",),
    "why-warm-up": ("learning-rates",),
    "choosing-the-learning-rate": ("learning-rates",),
    "activation-functions": ("activations",),
    "sigmoid-derivative": ("activations",),
    "over-and-underfitting-curves": ("fitting",),
    "prevent-overfitting": ("fitting",),
    "early-stopping": ("fitting",),
    "evaluate-a-classifier": ("confusion-matrix",),
    "roc-vs-pr": ("roc-and-pr",),
    "accuracy-at-one-percent": ("roc-and-pr",),
    "why-resnet-trains": ("residual-block",),
    "identity-vs-projection-shortcut": ("residual-block",),
    "causal-mask-and-kv-cache": ("causal-mask",),
    "self-attention": ("causal-mask",),
}


def of(question: str) -> tuple[str, ...]:
    """The names of a question's figures."""
    return OF_QUESTION.get(question, ())


@lru_cache
def html(name: str, language: str) -> str:
    """A <figure>: its panels side by side where there is room, and the caption."""
    figure = FIGURES[name]
    panels = "".join(panel.svg(f"{name}-{i}") for i, panel in enumerate(figure.draw(figure.words_in(language))))
    caption = escape(figure.caption[language == "zh"], quote=False)
    return f'<figure><div class="panels">{panels}</div><figcaption>{caption}</figcaption></figure>'
