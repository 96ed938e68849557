"""Figures of real runs: over- and underfitting, a confusion matrix, ROC and PR curves. Draws what runs.py measured."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from grader.site.figures.figure import Figure, Say
from grader.site.figures.svg import Axes, Panel

FILE = Path(__file__).with_name("runs.json")


@cache
def runs() -> dict[str, Any]:
    """What runs.py wrote."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def _fitting(say: Say) -> list[Panel]:
    rows = runs()["polynomials"]["rows"]
    best = min(rows, key=lambda row: row[2])
    by_degree = Panel(340, 300, say("Error by capacity", "误差与容量"), say(
        f"Training error falls from {rows[0][1]} to {rows[-1][1]} as the degree grows from 0 to 10; validation "
        f"error falls to {best[2]} at degree {best[0]} and ends at {rows[-1][2]}.",
        f"次数从 0 增到 10，训练误差从 {rows[0][1]} 降到 {rows[-1][1]}；验证误差在 {best[0]} 次时降到 {best[2]}，"
        f"最后为 {rows[-1][2]}。"))
    axes = Axes(by_degree, (0, 10), (0, 0.8), (40, 30, 330, 246))
    axes.frame((0, 2, 4, 6, 8, 10), (0, 0.2, 0.4, 0.6, 0.8), say("degree of the polynomial", "多项式次数"), "RMSE")
    _train_and_validation(say, axes, rows, (190, 56))

    rows = runs()["epochs"]["rows"]
    turn = min(rows, key=lambda row: row[2])
    by_epoch = Panel(340, 300, say("Loss by epoch", "损失与 epoch"), say(
        f"Training loss falls to {rows[-1][1]} after {rows[-1][0]} epochs; validation loss is lowest, {turn[2]}, at "
        f"epoch {turn[0]}, and rises to {rows[-1][2]}.",
        f"训练损失在 {rows[-1][0]} 个 epoch 后降到 {rows[-1][1]}；验证损失在第 {turn[0]} 个 epoch 最低，为 "
        f"{turn[2]}，之后升到 {rows[-1][2]}。"))
    axes = Axes(by_epoch, (0, 600), (0, 0.8), (40, 30, 330, 246))
    axes.frame((0, 200, 400, 600), (0, 0.2, 0.4, 0.6, 0.8), "epoch", say("cross-entropy (nats)", "交叉熵（nat）"))
    x, y = axes.at(turn[0], 0)
    by_epoch.line(x, axes.at(0, 0.8)[1], x, y, "l0 dashed")
    by_epoch.text(x + 5, y - 8, say(f"stop here: {turn[0]}", f"在此停止：{turn[0]}"), "q", "start")
    _train_and_validation(say, axes, rows, (120, 56))
    return [by_degree, by_epoch]


def _train_and_validation(say: Say, axes: Axes, rows: list[list[float]], legend: tuple[float, float]) -> None:
    axes.plot([(row[0], row[1]) for row in rows], "l1")
    axes.plot([(row[0], row[2]) for row in rows], "l2")
    axes.legend([("l1", say("training", "训练")), ("l2", say("validation", "验证"))], *legend)


def _confusion(say: Say) -> list[Panel]:
    counts = runs()["confusion"]["counts"]
    right = sum(counts[i][i] for i in range(10))
    worst = max((counts[i][j], i, j) for i in range(10) for j in range(10) if i != j)
    panel = Panel(400, 396, say("Confusion matrix", "混淆矩阵"), say(
        f"Ten digits, 200 test images each; {right} of 2000 are right. The most frequent mistake: {worst[1]} taken "
        f"for {worst[2]}, {worst[0]} times.",
        f"十个数字，每个 200 张测试图；2000 张中对了 {right} 张。最常见的错误：把 {worst[1]} 认成 {worst[2]}，共 "
        f"{worst[0]} 次。"))
    size, left, top = 34, 46, 44
    panel.text(left + 5 * size, 12, say("predicted", "预测"), "q")
    panel.text(8, top - 8, say("true", "真实"), "q", "start")
    for i, row in enumerate(counts):
        panel.text(left - 12, top + size * i + 21, str(i), "q")
        panel.text(left + size * i + 17, top - 8, str(i), "q")
        for j, count in enumerate(row):
            x, y = left + size * j, top + size * i
            panel.rect(x + 1, y + 1, size - 2, size - 2, "f1" if i == j else "f2",
                       opacity=min(0.5, 0.04 + count / 400 if i == j else count / 70), round_by=3)
            if count:
                panel.text(x + 17, y + 21, str(count))
    return [panel]


def _roc_and_pr(say: Say) -> list[Panel]:
    ranking = runs()["ranking"]
    roc = Panel(340, 300, say("ROC curve", "ROC 曲线"), say(
        f"True-positive rate against false-positive rate, area {ranking['auc']:.3f}, far above the diagonal of "
        f"chance.",
        f"真正率对假正率，面积 {ranking['auc']:.3f}，远高于随机的对角线。"))
    axes = Axes(roc, (0, 1), (0, 1), (40, 30, 330, 246))
    axes.frame((0, 0.25, 0.5, 0.75, 1), (0, 0.5, 1), say("false-positive rate", "假正率"), say("true-positive "
                                                                                            "rate", "真正率"))
    axes.plot(ranking["roc"], "l1")
    axes.plot([(0, 0), (1, 1)], "l0 dashed")
    roc.text(250, 190, f"AUC {ranking['auc']:.3f}")
    roc.text(236, 124, say("chance", "随机"), "q", "end")

    pr = Panel(340, 300, say("Precision-recall curve", "PR 曲线"), say(
        f"Precision against recall, average precision {ranking['ap']:.3f}; chance is a line at 0.01.",
        f"精确率对召回率，平均精确率 {ranking['ap']:.3f}；随机水平是 0.01 处的水平线。"))
    axes = Axes(pr, (0, 1), (0, 1), (40, 30, 330, 246))
    axes.frame((0, 0.25, 0.5, 0.75, 1), (0, 0.5, 1), say("recall", "召回率"), say("precision", "精确率"))
    axes.plot(ranking["pr"], "l2")
    axes.plot([(0, 0.01), (1, 0.01)], "l0 dashed")
    pr.text(240, 100, f"AP {ranking['ap']:.3f}")
    pr.text(60, 238, say("chance: 0.01", "随机：0.01"), "q", "start")
    return [roc, pr]


FIGURES = (
    Figure("fitting", (
        "Two real runs on generated data. Left: polynomials fitted to 24 noisy points of a sine; low degrees "
        "underfit, high ones overfit. Right: a network with 64 hidden units on 60 noisy points; the training loss "
        "keeps falling, the validation loss turns.",
        "两次真实运行，数据为生成数据。左：用多项式拟合正弦曲线上的 24 个带噪点，次数低则欠拟合，次数高则过拟合。"
        "右：64 个隐藏单元的网络，60 个带噪点；训练损失一直下降，验证损失掉头上升。"), _fitting),
    Figure("confusion-matrix", (
        "A real run: softmax regression on noisy, shifted digits of a 5×7-pixel font, 200 test images per digit. "
        "Rows sum to 200: read recall along a row and precision down a column.",
        "一次真实运行：对 5×7 像素字体的带噪、平移数字做 softmax 回归，每个数字 200 张测试图。每行之和为 200："
        "沿行看召回率，沿列看精确率。"),
        _confusion),
    Figure("roc-and-pr", (
        "The same scores twice: 200 positives from N(2, 1) among 19,800 negatives from N(0, 1). With 1 % positives "
        "the ROC curve looks excellent, while at a recall of one half about four of five that are flagged are false "
        "alarms.",
        "同一组得分画两次：200 个正例来自 N(2, 1)，19,800 个负例来自 N(0, 1)。正例只占 1 % 时，ROC 曲线看上去很好，"
        "但在召回率为一半时，被判为正的约五分之四是误报。"), _roc_and_pr),
)
