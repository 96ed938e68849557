"""Convolution step by step, and the receptive field."""

from __future__ import annotations

from grader.site.figures.figure import Figure, Say
from grader.site.figures.svg import Panel

IMAGE = ((1, 1, 1, 0, 0), (0, 1, 1, 1, 0), (0, 0, 1, 1, 1), (0, 0, 1, 1, 0), (0, 1, 1, 0, 0))
KERNEL = ((1, 2, 0), (0, 1, 0), (0, 0, -1))


def correlate() -> list[list[int]]:
    """The kernel's dot product with each window of the image: 3 x 3 numbers."""
    return [[sum(_terms(i, j)) for j in range(3)] for i in range(3)]


def _terms(i: int, j: int) -> list[int]:
    return [IMAGE[i + r][j + s] * KERNEL[r][s] for r in range(3) for s in range(3) if KERNEL[r][s]]


def _convolution(say: Say) -> list[Panel]:
    out = correlate()
    panel = Panel(356, 480, say("Convolution step by step", "逐步计算卷积"), say(
        "A 3 by 3 kernel slides over a 5 by 5 image in nine steps; each step multiplies the window by the kernel "
        "entry by entry and adds up. The result is " + "; ".join(" ".join(map(str, row)) for row in out) + ".",
        "3×3 的核在 5×5 的图像上滑动九步；每一步把窗口与核逐项相乘再求和。结果是 "
        + "；".join(" ".join(map(str, row)) for row in out) + "。"))
    panel.text(70, 20, say("kernel", "卷积核"), "q")
    _grid(panel, 40, 30, 20, KERNEL, "f2", 0.18)
    panel.text(262, 20, say("result", "结果"), "q")
    _grid(panel, 232, 30, 20, tuple(map(tuple, out)), "f1", 0.18)
    for i in range(3):
        for j in range(3):
            left, top = 10 + 118 * j, 116 + 124 * i
            panel.rect(left + 18 * j, top + 18 * i, 54, 54, "f2", opacity=0.22)
            _grid(panel, left, top, 18, IMAGE)
            panel.rect(left + 18 * j, top + 18 * i, 54, 54, "l2")
            terms = "".join(f"{'−' if t < 0 else '+'}{abs(t)}" for t in _terms(i, j)).removeprefix("+")
            panel.text(left + 45, top + 107, f"{terms} = {str(out[i][j]).replace('-', '−')}", "t")
    return [panel]


def _grid(panel: Panel, left: float, top: float, size: float, rows: tuple[tuple[int, ...], ...],
          style: str = "", opacity: float = 0) -> None:
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            if style:
                panel.rect(left + size * j, top + size * i, size, size, style, opacity=opacity)
            panel.rect(left + size * j, top + size * i, size, size, "cell")
            panel.text(left + size * (j + 0.5), top + size * (i + 0.5) + 4, str(value).replace("-", "−"))


def field_of(stride: int, layers: int = 3, kernel: int = 3) -> list[int]:
    """Receptive field after each layer: 3, 5, 7 for stride 1; 3, 7, 15 for stride 2."""
    found, field, jump = [], 1, 1
    for _ in range(layers):
        field, jump = field + (kernel - 1) * jump, jump * stride
        found.append(field)
    return found


def _receptive_field(say: Say) -> list[Panel]:
    return [_pyramid(say, stride) for stride in (1, 2)]


def _pyramid(say: Say, stride: int) -> Panel:
    fields = field_of(stride)
    panel = Panel(340, 218, say(f"Receptive field, stride {stride}", f"感受野，步幅 {stride}"), say(
        f"One output of three layers with kernel 3 and stride {stride} sees {', '.join(map(str, fields))} inputs, "
        "counted back one layer at a time.",
        f"核大小为 3、步幅为 {stride} 的三层：往回逐层数，一个输出看到 {'、'.join(map(str, fields))} 个输入。"))
    panel.text(10, 16, say(f"kernel 3, stride {stride}", f"核 3，步幅 {stride}"), "t", "start")
    rows = [[(0, i) for i in range(-7, 8)]]  # (layer, position in input pixels)
    jump = 1
    for layer in range(1, 4):
        jump *= stride
        reach = 7 - (fields[layer - 1] - 1) // 2
        rows.append([(layer, i) for i in range(-reach // jump * jump, reach + 1) if i % jump == 0 and abs(i) <= reach])
    seen: dict[int, set[int]] = {3: {0}}
    for layer in (3, 2, 1):
        step = stride ** (layer - 1)
        seen[layer - 1] = {p + d * step for p in seen[layer] for d in (-1, 0, 1)}

    def x(position: int) -> float:
        return 178 + 20 * position

    def y(layer: int) -> float:
        return 190 - 48 * layer

    for layer in (3, 2, 1):
        step = stride ** (layer - 1)
        for p in sorted(seen[layer]):
            for d in (-1, 0, 1):
                panel.line(x(p), y(layer), x(p + d * step), y(layer - 1), "axis")
    for row in rows:
        for layer, p in row:
            panel.circle(x(p), y(layer), 5.5, "f1" if p in seen[layer] else "hollow")
    for layer in range(4):
        panel.text(10, y(layer) + 4, str(1 if layer == 3 else fields[2 - layer]), "q", "start")
    return panel


FIGURES = (
    Figure("convolution-steps", (
        "All nine steps of a 3×3 kernel on a 5×5 image, stride 1, no padding. The kernel is not flipped: this is "
        "cross-correlation, what deep-learning libraries compute.",
        "3×3 的核在 5×5 图像上的全部九步，步幅 1，无填充。核没有翻转：这是互相关，也就是深度学习库实际计算的运算。"),
        _convolution),
    Figure("receptive-field", (
        "Which inputs one output (top) sees. The numbers on the left count the units seen in each layer, going down "
        "from the output. With stride 1 the field grows by two per layer; with stride 2 the growth itself doubles.",
        "最上面的一个输出能看到哪些输入。左侧数字是从输出往下、每层被看到的单元数。步幅为 1 时每层增加 2；步幅为 2 "
        "时，增量本身逐层翻倍。"),
        _receptive_field),
)
