"""Learning-rate schedules, and activation functions with their derivatives: curves of formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

from grader.site.figures.figure import Figure, Say
from grader.site.figures.svg import Axes, Panel

Function = Callable[[float], float]

SCHEDULES: dict[str, Function] = {
    "step": lambda t: 0.1 * 0.5 ** (t // 10),
    "exponential": lambda t: 0.1 * 0.9**t,
    "inverse": lambda t: 0.1 / (1 + t / 10),
    "cosine": lambda t: 0.05 * (1 + math.cos(math.pi * t / 30)),
    "warm-up": lambda t: 0.1 * t / 5 if t < 5 else 0.05 * (1 + math.cos(math.pi * (t - 5) / 25)),
}


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def _phi(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2


ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
    "tanh": (math.tanh, lambda z: 1 - math.tanh(z) ** 2),
    "ReLU": (lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "GELU": (lambda z: z * _phi(z), lambda z: _phi(z) + z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)),
}


def _learning_rates(say: Say) -> list[Panel]:
    panel = Panel(340, 400, say("Learning-rate schedules", "学习率调度"), say(
        "Learning rate over 30 epochs, starting from 0.1. Step decay halves it every 10 epochs; exponential decay "
        "falls by a tenth each epoch; inverse-time decay falls fast and then slowly; cosine stays high, then falls "
        "to zero; warm-up rises for five epochs before the cosine.",
        "30 个 epoch 内的学习率，从 0.1 开始。阶梯衰减每 10 个 epoch 减半；指数衰减每个 epoch 减少十分之一；"
        "反比例衰减先快后慢；余弦先保持较高，再降到零；预热先上升五个 epoch，再接余弦。"))
    axes = Axes(panel, (0, 30), (0, 0.1), (44, 30, 330, 252))
    axes.frame((0, 5, 10, 15, 20, 25, 30), (0, 0.05, 0.1), "epoch", say("learning rate", "学习率"))
    for i, schedule in enumerate(SCHEDULES.values(), 1):
        axes.plot([(t / 10, schedule(t / 10)) for t in range(300)], f"l{i}")
    names = (say("step: halve every 10", "阶梯：每 10 个减半"), say("exponential: × 0.9", "指数：× 0.9"),
             say("inverse time: 1/(1 + t/10)", "反比例：1/(1 + t/10)"), say("cosine to 0", "余弦到 0"),
             say("warm-up, then cosine", "预热后接余弦"))
    axes.legend([(f"l{i}", name) for i, name in enumerate(names, 1)], 60, 312)
    return [panel]


def _activations(say: Say) -> list[Panel]:
    panels = []
    for which, title in enumerate((say("Activation functions", "激活函数"), say("Their derivatives", "它们的导数"))):
        panel = Panel(340, 290, title, say(
            "Sigmoid rises from 0 to 1 and tanh from −1 to 1; ReLU is 0 and then the identity; GELU dips slightly "
            "below 0 before it follows ReLU.", "sigmoid 从 0 升到 1，tanh 从 −1 升到 1；ReLU 先为 0，再为恒等；GELU "
                                       "先略低于 0，再贴近 ReLU。")
            if which == 0 else say(
            "The sigmoid's derivative is at most 0.25 and the tanh's at most 1; both vanish for large inputs. The "
            "ReLU's is 0 or 1; the GELU's overshoots 1 a little.",
            "sigmoid 的导数最大 0.25，tanh 的最大 1，输入很大时都趋于零。ReLU 的导数是 0 或 1；GELU 的略超过 1。"))
        axes = Axes(panel, (-4, 4), (-1.2, 3) if which == 0 else (-0.2, 1.2), (40, 30, 330, 236))
        axes.frame((-4, -2, 0, 2, 4), (-1, 0, 1, 2, 3) if which == 0 else (0, 0.25, 0.5, 1), "z", title)
        for i, (name, functions) in enumerate(ACTIVATIONS.items(), 1):
            points = [(z / 20, functions[which](z / 20)) for z in range(-80, 81)]
            if name == "ReLU":
                points = [(-4, 0), (0, 0), *([(3, 3)] if which == 0 else [(0, 1), (4, 1)])]
            axes.plot([p for p in points if p[1] <= 3], f"l{i}")
        axes.legend([(f"l{i}", name) for i, name in enumerate(ACTIVATIONS, 1)], 56, 56)
        panels.append(panel)
    return panels


FIGURES = (
    Figure("learning-rates", (
        "Five schedules from the same initial rate of 0.1. Step and inverse-time decay agree at epochs 0 and 10 and "
        "nowhere else in the first ten.",
        "同一初始学习率 0.1 的五种调度。阶梯衰减与反比例衰减在前十个 epoch 中只在第 0 和第 10 个相同。"),
        _learning_rates),
    Figure("activations", (
        "What a unit puts out, and what it multiplies the gradient by on the way back.",
        "单元输出什么，以及反向传播时给梯度乘上什么。"), _activations),
)
