"""The topics, in the order in which to learn them. A table, no logic."""

from __future__ import annotations

from dataclasses import dataclass

LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Topic:
    slug: str
    name: dict[str, str]
    about: dict[str, str]
    """one sentence: what an interviewer wants to find out"""


def _topic(slug: str, en: str, zh: str, about_en: str, about_zh: str) -> Topic:
    return Topic(slug, {"en": en, "zh": zh}, {"en": about_en, "zh": about_zh})


TOPICS = tuple(_topic(*row) for row in (
    ("activations-and-losses", "Activations and losses", "激活函数与损失",
     "What a network's last layers compute, in which unit, and without overflow.",
     "网络最后几层算的是什么、用什么单位、如何不溢出。"),
    ("backpropagation", "Back-propagation", "反向传播",
     "Gradients by hand, with shapes, and how to know that they are right.",
     "手推梯度，写清形状，并且知道怎样验证它是对的。"),
    ("convolution", "Convolution", "卷积",
     "Sizes, costs and symmetries of convolutional networks.",
     "卷积网络的尺寸、代价与对称性。"),
    ("optimisation", "Optimisation", "优化",
     "Optimisers, learning rates and schedules: what each one changes and when it matters.",
     "优化器、学习率与调度：各自改变什么，何时要紧。"),
    ("data-and-evaluation", "Data and evaluation", "数据与评估",
     "What the numbers rest on: data sets, splits, leakage and honest baselines.",
     "数字从何而来：数据集、划分、泄漏，以及诚实的基线。"),
    ("metrics", "Metrics", "评价指标",
     "What each number rewards, and how far it can be trusted.",
     "每个指标奖励什么，可以信到什么程度。"),
    ("regularisation", "Regularisation", "正则化",
     "Why the validation curve turns, and what really helps.",
     "验证曲线为什么掉头，什么才真正有用。"),
    ("normalisation-and-residuals", "Normalisation and residuals", "归一化与残差",
     "What lets a hundred layers train, and what breaks in evaluation mode.",
     "什么让上百层能够训练，评估模式下又会坏在哪里。"),
    ("transfer-learning", "Transfer learning", "迁移学习",
     "Taking over someone else's weights without losing what they know.",
     "接过别人的权重，又不丢掉它们学到的东西。"),
    ("imbalance-and-multi-label", "Imbalance and multi-label", "类别不平衡与多标签",
     "Rare classes, several labels at once, and the leaks of resampling.",
     "稀有类别、一图多标签，以及重采样造成的泄漏。"),
    ("debugging", "Debugging", "调试",
     "Finding out why a network does not learn, in order and with evidence.",
     "网络不学习时，有次序、有证据地找出原因。"),
    ("large-models", "Large models and fine-tuning", "大模型与微调",
     "What scale costs, what pretraining gives, and which parameters to train.",
     "规模的代价、预训练的收获，以及该训练哪些参数。"),
    ("language-models", "Language models", "语言模型",
     "Attention, decoding, alignment and serving, as asked in language-model interviews.",
     "语言模型面试常问的注意力、解码、对齐与推理服务。"),
    ("compression-and-deployment", "Compression and deployment", "压缩与部署",
     "Making a trained model smaller and faster, and measuring what it cost.",
     "让训练好的模型更小更快，并量出付出了什么。"),
    ("dynamic-data-and-systems", "Dynamic data and systems", "动态数据与系统",
     "Data that changes, training on many machines, and what runs around a model.",
     "变化的数据、多机训练，以及模型周围的系统。"),
    ("interpretability-and-fairness", "Interpretability and fairness", "可解释性与公平性",
     "What an explanation shows, whom a model treats worse, and what it remembers.",
     "解释说明了什么，模型亏待了谁，又记住了什么。"),
))

LEVELS = ("junior", "mid", "senior")
