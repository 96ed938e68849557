"""The ResNet block, and the causal attention mask."""

from __future__ import annotations

from grader.site.figures.figure import Figure, Say
from grader.site.figures.svg import Panel


def _residual(say: Say) -> list[Panel]:
    return [_block(say, projects) for projects in (False, True)]


def _block(say: Say, projects: bool) -> Panel:
    title = say("Projection shortcut", "投影捷径") if projects else say("Identity shortcut", "恒等捷径")
    panel = Panel(300, 440, title, say(
        "From top to bottom: x, 3 by 3 convolution, batch norm, ReLU, 3 by 3 convolution, batch norm, addition, "
        "ReLU, y. "
        + ("The shortcut goes through a 1 by 1 convolution of stride 2 and batch norm to the addition." if projects
           else "The shortcut leads x unchanged to the addition."),
        "从上到下：x、3×3 卷积、批归一化、ReLU、3×3 卷积、批归一化、相加、ReLU、y。"
        + ("捷径经过步幅为 2 的 1×1 卷积和批归一化，再到相加处。" if projects else "捷径把 x 原样送到相加处。")))
    x, top, step = 84, 50, 46
    panel.text(150, 14, title, "q")
    panel.text(x, 36, "x", "t")
    names = ("3×3, 64 → 128, /2" if projects else "3×3, 64 → 64", "BatchNorm", "ReLU",
             "3×3, 128 → 128" if projects else "3×3, 64 → 64", "BatchNorm")
    panel.arrow([(x, 42), (x, top + 12)])
    for i, name in enumerate(names):
        y = top + 12 + step * i
        style, opacity = ("f1", 0.16) if name.startswith("3") else ("f0", 0.07)
        panel.rect(x - 66, y, 132, 30, style, opacity=opacity, round_by=6)
        panel.text(x, y + 20, name)
        panel.arrow([(x, y + 30), (x, y + step)])
    add = top + 12 + step * 5 + 12
    panel.circle(x, add, 12, "hollow")
    panel.text(x, add + 5, "+")
    side = 232
    panel.arrow([(x, 50), (side, 50), (side, add), (x + 12, add)], "l2")
    if projects:
        panel.rect(side - 60, 128, 120, 30, "paper")
        panel.rect(side - 60, 128, 120, 30, "f2", opacity=0.2, round_by=6)
        panel.text(side, 148, "1×1, 64 → 128, /2", "t small")
        panel.rect(side - 60, 174, 120, 30, "paper")
        panel.rect(side - 60, 174, 120, 30, "f0", opacity=0.07, round_by=6)
        panel.text(side, 194, "BatchNorm")
    panel.text(side + 8, 250, say("shortcut", "捷径"), "q", "start")
    panel.arrow([(x, add + 12), (x, add + 30)])
    panel.rect(x - 66, add + 30, 132, 30, "f0", opacity=0.07, round_by=6)
    panel.text(x, add + 50, "ReLU")
    panel.arrow([(x, add + 60), (x, add + 78)])
    panel.text(x, add + 94, "y = ReLU(F(x) + Wx)" if projects else "y = ReLU(F(x) + x)")
    return panel


def _mask(say: Say) -> list[Panel]:
    tokens = ("the", "cat", "sat", "on", "the", "mat")
    panel = Panel(400, 300, say("Causal attention mask", "因果注意力掩码"), say(
        "A 6 by 6 table. Query i may attend to keys 1 to i: the lower triangle with the diagonal is open; above it "
        "the score is minus infinity before the softmax.",
        "6×6 的表。第 i 个查询只能看第 1 到 i 个键：含对角线的下三角可见；上方的得分在 softmax 之前置为负无穷。"))
    left, top, size = 96, 46, 38
    panel.text(left + 3 * size, 14, say("key (what is looked at)", "键（被看的）"), "q")
    panel.text(8, top - 6, say("query", "查询"), "q", "start")
    for i, token in enumerate(tokens):
        panel.text(left - 12, top + size * i + 23, token, "t", "end")
        panel.text(left + size * i + 19, top - 6, token, "t")
        for j in range(6):
            x, y = left + size * j, top + size * i
            if j <= i:
                panel.rect(x + 1, y + 1, size - 2, size - 2, "f1", opacity=0.3, round_by=3)
                panel.text(x + 19, y + 23, "q·k", "t small")
            else:
                panel.rect(x + 1, y + 1, size - 2, size - 2, "f0", opacity=0.06, round_by=3)
                panel.text(x + 19, y + 23, "−∞", "q")
    return [panel]


FIGURES = (
    Figure("residual-block", (
        "The basic block of ResNet-18 and -34. Where the shape stays the same the shortcut is the identity; where "
        "stride or width change, a 1×1 convolution brings x to the new shape.",
        "ResNet-18 和 ResNet-34 的基本块。形状不变时捷径就是恒等映射；步幅或宽度改变时，用 1×1 卷积把 x "
        "变成新的形状。"), _residual),
    Figure("causal-mask", (
        "Scores before the softmax, one row per query. A row's softmax runs over its open entries only, so no "
        "position uses a later token.",
        "softmax 之前的得分，每行一个查询。每行只对可见的项做 softmax，因此任何位置都用不到后面的词元。"), _mask),
)
