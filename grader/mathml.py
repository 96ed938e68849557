"""One formula: LaTeX -> MathML that browsers set well. Knows no Markdown, no page."""

from __future__ import annotations

import html
import re
from functools import lru_cache
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert

_ROWS = ("math", "mrow", "mtd", "mstyle", "msqrt")
_FUNCTIONS = frozenset("log ln exp sin cos tan tanh lim arg det Pr max min sup inf argmax argmin sign erf".split())
_LIMITS = frozenset("max min lim sup inf argmax argmin".split())
_ACCENTS = frozenset("^¯~→˙¨ˆ˜")
_THIN = "0.167em"


@lru_cache(maxsize=8192)
def mathml(latex: str, display: bool = False) -> str:
    """A formula as a <math> element. Raises ValueError if it cannot be converted, or if any TeX is left over."""
    bare = re.sub(r"\\.", "", latex)
    if bare.count("{") != bare.count("}"):  # the converter closes them by itself, anywhere
        raise ValueError(latex)
    try:
        tree = ElementTree.fromstring(convert(latex, display="block" if display else "inline"))
    except Exception as error:  # the converter has an exception class for each kind of mistake
        raise ValueError(latex) from error
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2]
    _tidy(tree)
    if display:
        for element in [*tree, *(child for row in tree for child in row)]:
            if element.tag == "msub" and element[0].text in _LIMITS:
                element.tag = "munder"
    else:
        tree.attrib.pop("display", None)
    found = _serialise(tree)
    if re.search(r"[\\$]", found):
        raise ValueError(latex)
    return found


def _tidy(element: Element) -> None:
    """What latex2mathml leaves undone: words in one piece, and TeX's spaces around them."""
    for child in element:
        _tidy(child)
    if element.tag == "mo" and element.text in ("/", "∣"):
        gap = "0" if element.text == "/" else "0.222em"
        element.attrib |= {"lspace": gap, "rspace": gap}
    elif element.tag == "mo" and element.text in ("∂", "∇"):  # letters, not operators with a gap before them
        element.tag, element.attrib = "mi", {"mathvariant": "normal"}
    elif element.tag == "mo" and (element.text or "")[:1].isalpha():
        element.tag, element.attrib = "mi", {}
    elif element.tag in ("mover", "munder") and len(element) == 2 and element[1].tag == "mo":
        if element[1].text in _ACCENTS:  # otherwise it is set as far away as a limit
            element.set("accent", "true")
    elif element.tag in _ROWS:
        element[:] = _spaced(_joined(list(element)))
    if element.tag == "mrow" and len(element) == 1 and not element.attrib:
        only = element[0]
        element.tag, element.text, element.attrib = only.tag, only.text, dict(only.attrib)
        element[:] = list(only)


def _joined(row: list[Element]) -> list[Element]:
    """\\mathrm{softmax} comes as seven upright letters: make them one identifier."""
    found: list[Element] = []
    for element in row:
        last = found[-1] if found else None
        if last is not None and _is_upright(element) and _is_upright(last, any_length=True):
            last.text = (last.text or "") + (element.text or "")
        else:
            found.append(element)
    for element in found:
        if _is_upright(element, any_length=True) and len(element.text or "") > 1:
            element.attrib.pop("mathvariant")  # longer identifiers are upright anyway
    return found


def _is_upright(element: Element, any_length: bool = False) -> bool:
    text = element.text or ""
    return (element.tag == "mi" and element.get("mathvariant") == "normal" and text.isalpha() and text != "∂"
            and (any_length or len(text) == 1))


def _spaced(row: list[Element]) -> list[Element]:
    """A thin space between a function's name and what it is applied to without a bracket: log p, 2 log p."""
    found: list[Element] = []
    for element in row:
        if found and element.tag not in ("mo", "mspace", "mtext") and found[-1].tag not in ("mo", "mspace", "mtext"):
            is_bracketed = element.tag == "mrow" and len(element) and element[0].tag == "mo"
            if _is_function(element) or (_is_function(found[-1]) and not is_bracketed):
                found.append(Element("mspace", width=_THIN))
        found.append(element)
    return found


def _is_function(element: Element) -> bool:
    while element.tag in ("msub", "msup", "msubsup", "munder", "mover", "munderover") and len(element):
        element = element[0]
    return element.tag == "mi" and (element.text or "").strip() in _FUNCTIONS


def _serialise(element: Element) -> str:
    attributes = "".join(f' {name}="{html.escape(value)}"' for name, value in element.attrib.items())
    inside = html.escape(element.text or "", quote=False) + "".join(map(_serialise, element))
    return f"<{element.tag}{attributes}>{inside}</{element.tag}>"
