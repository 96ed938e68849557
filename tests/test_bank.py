"""Finding problems, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader.bank import Bank
from grader.errors import PrepError
from grader.problem import Problem

MakeProblem = Callable[..., Problem]


@pytest.fixture
def bank(make_problem: MakeProblem, tmp_path: Path) -> Bank:
    for slug in ("softmax", "conv2d", "cnn-cifar10"):
        make_problem(slug)
    return Bank(tmp_path / "bank")


def vary(bank: Bank, slug: str, before: str, after: str) -> None:
    path = bank.root / "problems" / slug / "problem.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_slugs_are_the_folders_that_hold_a_problem(bank: Bank) -> None:
    (bank.root / "problems" / "notes").mkdir()
    (bank.root / "problems" / "README.md").write_text("")
    assert bank.slugs() == ["cnn-cifar10", "conv2d", "softmax"]


def test_get(bank: Bank) -> None:
    problem = bank.get(" conv2d/ ")  # as a shell completes a folder
    assert problem.slug == "conv2d"
    assert problem.solution == bank.root / "solutions" / "conv2d" / "solution.py"


@pytest.mark.parametrize(("typed", "meant"), [
    ("sofmax", "softmax"), ("Conv2D", "conv2d"), ("cifar", "cnn-cifar10"), ("conv", "conv2d")])
def test_did_you_mean(bank: Bank, typed: str, meant: str) -> None:
    with pytest.raises(PrepError) as caught:
        bank.get(typed)
    assert caught.value.what == f"No problem '{typed}'."
    assert f"Did you mean {meant}" in caught.value.fix and caught.value.fix.endswith("prep list")


@pytest.mark.parametrize("slug", ["", "..", "../problems/softmax", "/etc", ".hidden", "zzzzzz"])
def test_what_is_no_slug_is_no_problem(bank: Bank, slug: str) -> None:
    with pytest.raises(PrepError, match="prep list"):
        bank.get(slug)


def test_an_empty_bank_says_so(tmp_path: Path) -> None:
    assert Bank(tmp_path).slugs() == []
    with pytest.raises(PrepError, match="There are no problems"):
        Bank(tmp_path).get("softmax")


def test_easiest_first(bank: Bank) -> None:
    vary(bank, "cnn-cifar10", '"easy"', '"hard"')
    vary(bank, "conv2d", "minutes = 5", "minutes = 30")
    assert [p.slug for p in bank.all()] == ["softmax", "conv2d", "cnn-cifar10"]


def test_filters_are_joined_by_and(bank: Bank) -> None:
    vary(bank, "softmax", '["toys"]', '["toys", "loss"]')
    vary(bank, "conv2d", '["toys"]', '["loss"]')
    vary(bank, "conv2d", '"easy"', '"medium"')
    assert [p.slug for p in bank.select(topic="loss")] == ["softmax", "conv2d"]
    assert [p.slug for p in bank.select(topic="loss", difficulty="medium")] == ["conv2d"]
    assert bank.select(topic="toys", difficulty="hard") == []
    assert len(bank.select(kind="function")) == 3


@pytest.mark.parametrize(("wrong", "says"), [
    ({"topic": "toy"}, "Did you mean toys?"), ({"difficulty": "brutal"}, "easy, medium, hard"),
    ({"kind": "modul"}, "Did you mean module?")])
def test_a_filter_that_nothing_can_match_is_a_mistake(bank: Bank, wrong: dict[str, str], says: str) -> None:
    with pytest.raises(PrepError) as caught:
        bank.select(**wrong)
    assert says in caught.value.fix


def test_one_broken_problem_is_named(bank: Bank) -> None:
    vary(bank, "conv2d", '"easy"', '"trivial"')
    with pytest.raises(PrepError, match=r"conv2d.problem\.toml:3: difficulty"):
        bank.all()
    assert bank.get("softmax").slug == "softmax"


def test_every_problem_that_ships_loads() -> None:
    bank = Bank(Path(__file__).resolve().parent.parent)
    assert [p.slug for p in sorted(bank.all(), key=lambda p: p.slug)] == bank.slugs()
