"""problem.toml: what is read, and what is said of each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.errors import PrepError
from grader.problem import Limits, Problem, Rules, SpeedTest, load

GOOD = """\
title = "Softmax"
kind = "function"
difficulty = "easy"
minutes = 15
topics = ["softmax"]
entry = ["softmax(x, axis=-1)"]
hints = ["a", "b", "c"]
follow_ups = ["why subtract the maximum?"]
"""


def read(folder: Path, text: str) -> Problem:
    folder.mkdir(exist_ok=True)
    (folder / "problem.toml").write_text(text, encoding="utf-8")
    return load(folder, folder.parent / "answers")


def complaint(folder: Path, text: str) -> PrepError:
    with pytest.raises(PrepError) as caught:
        read(folder, text)
    return caught.value


def test_what_is_not_said_has_defaults(tmp_path: Path) -> None:
    problem = read(tmp_path / "softmax", GOOD)
    assert (problem.slug, problem.minutes, problem.topics) == ("softmax", 15, ("softmax",))
    assert problem.limits == Limits() and problem.rules == Rules() and problem.speed is None
    assert problem.entries[0].name == "softmax"
    assert problem.kit is None and not problem.uses_torch


def test_every_table_is_read(tmp_path: Path) -> None:
    problem = read(tmp_path / "softmax", GOOD + """
[limits]
call_s = 2
memory_mb = 64
[rules]
libraries = ["torch"]
forbid = ["torch.softmax"]
why = "It is the point."
[speed]
function = "softmax"
sizes = [1, 8]
[[equivalent_mutants]]
before = "a"
after = "b"
reason = "same"
""")
    assert problem.limits == Limits(call_s=2.0, memory_mb=64)
    assert problem.rules == Rules(libraries=("torch",), forbid=("torch.softmax",), why="It is the point.")
    assert problem.speed == SpeedTest("softmax", sizes=(1, 8))
    assert problem.equivalent_mutants[0].reason == "same"
    assert problem.uses_torch


def test_a_kit_is_found(tmp_path: Path) -> None:
    problem = read(tmp_path / "softmax", GOOD)
    (tmp_path / "softmax" / "kit.py").write_text("X = 1\n")
    assert problem.kit == tmp_path / "softmax" / "kit.py"


@pytest.mark.parametrize(("before", "after", "line", "says"), [
    ('kind = "function"', 'kind = "essay"', 2,
     "kind: expected one of function, module, training, debug, found 'essay'"),
    ('difficulty = "easy"', "difficulty = 1", 3, "difficulty: expected a string, found 1"),
    ("minutes = 15", "minutes = 0", 4, "minutes: expected a number of minutes above 0, found 0"),
    ("minutes = 15", "minutes = true", 4, "minutes: expected a whole number, found True"),
    ("minutes = 15\n", "", 1, "minutes: expected a whole number (the key is missing)"),
    ('topics = ["softmax"]', "topics = []", 5, "topics: expected a list of at least 1 non-empty strings, found []"),
    ('entry = ["softmax(x, axis=-1)"]', 'entry = ["softmax"]', 6, "entry: expected signatures such as"),
    ('hints = ["a", "b", "c"]', 'hints = ["a", "b"]', 7, "hints: expected a list of at least 3 non-empty strings"),
    ('hints = ["a", "b", "c"]', 'hints = ["a", " ", "c"]', 7, "hints: expected a list of at least 3 non-empty strings"),
    ('title = "Softmax"', 'titel = "Softmax"', 1, "titel: expected one of the keys difficulty, entry"),
    ('follow_ups = ["why subtract the maximum?"]\n', "follow_ups = ['why?']\n[limits]\ncalls = 3\n", 10,
     "limits.calls: expected one of the keys start_s"),
    ('follow_ups = ["why subtract the maximum?"]\n', "follow_ups = ['why?']\n[limits]\ncall_s = -1\n", 10,
     "limits.call_s: expected a number above 0, found -1"),
    ('follow_ups = ["why subtract the maximum?"]\n', "follow_ups = ['why?']\n[rules]\nforbid = 'numpy'\n", 10,
     "rules.forbid: expected a list, each a string, found 'numpy'"),
    ('follow_ups = ["why subtract the maximum?"]\n', "follow_ups = ['why?']\n[speed]\nfast = 2\n", 1,
     "speed.function: expected a string (the key is missing)"),
])
def test_a_mistake_is_named_by_file_line_and_key(tmp_path: Path, before: str, after: str, line: int,
                                                 says: str) -> None:
    assert before in GOOD
    error = complaint(tmp_path / "softmax", GOOD.replace(before, after))
    assert error.what.startswith(f"{tmp_path / 'softmax' / 'problem.toml'}:{line}: ")
    assert says in error.what
    assert error.fix.endswith("prep verify softmax")


def test_broken_toml_says_where(tmp_path: Path) -> None:
    error = complaint(tmp_path / "softmax", GOOD + "oops =\nminutes = 15\n")
    assert "not valid TOML" in error.what and "line 9" in error.what


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "problem.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(PrepError) as caught:
        load(tmp_path, tmp_path)
    assert "cannot be read" in caught.value.what and "UTF-8" in caught.value.fix


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(PrepError) as caught:
        load(tmp_path / "softmax", tmp_path)
    assert caught.value.fix.endswith("prep new softmax")


TRAINING = GOOD.replace('"function"', '"training"') + """
[profiles.smoke]
dataset = "synth-digits"
train = 100
test = 50
budget_s = 5
threshold = 0.5
why = "measured"
[profiles.cpu]
dataset = "mnist"
train = 1000
validation = 100
test = 500
seeds = [0, 1]
budget_s = 60
threshold = 0.97
why = "measured"
[profiles.cpu.settings]
gain_points = 3
[profiles.cpu.surrogate]
dataset = "synth-digits"
threshold = 0.9
[profiles.cpu.surrogate.settings]
gain_points = 5
"""


def test_profiles_are_read_and_a_surrogate_says_only_what_differs(tmp_path: Path) -> None:
    profiles = read(tmp_path / "softmax", TRAINING).profiles
    assert list(profiles) == ["smoke", "cpu"]
    smoke, cpu = profiles.values()
    assert (smoke.name, smoke.generated, smoke.surrogate, smoke.validation) == ("smoke", True, None, 0)
    assert (cpu.seeds, cpu.budget_s, cpu.generated, cpu.settings["gain_points"]) == ((0, 1), 60.0, False, 3)
    other = cpu.surrogate
    assert other is not None and (other.dataset, other.threshold, other.train, other.why) == (
        "synth-digits", 0.9, 1000, "measured")
    assert other.settings == {"gain_points": 5}


@pytest.mark.parametrize(("before", "after", "words"), [
    ("[profiles.smoke]", "[profiles.tiny]", "[profiles.smoke] and [profiles.cpu]"),
    ('dataset = "mnist"', 'dataset = "imagenet"', "one of mnist, cifar10"),
    ("threshold = 0.97", "threshold = 97", "an accuracy between 0 and 1"),
    ("train = 1000", "train = 0", "a whole number above 0"),
    ("validation = 100", "validation = -1", "a whole number"),
    ("train = 1000", 'train = "many"', "a whole number"),
    ("seeds = [0, 1]", "seeds = []", "at least one seed"),
    ("seeds = [0, 1]", 'seeds = ["a"]', "a list, each a whole number"),
    ('why = "measured"\n[profiles.cpu.settings]', "[profiles.cpu.settings]", "profiles.cpu.why"),
    ("gain_points = 3", "gain_points = [3]", "a number or a string"),
    ('"synth-digits"\nthreshold = 0.9', '"cifar10"\nthreshold = 0.9', "synth-digits or synth-shapes"),
    ('[profiles.cpu.surrogate]\ndataset = "synth-digits"\nthreshold = 0.9\n[profiles.cpu.surrogate.settings]\n'
     "gain_points = 5\n", "", "a [surrogate] table where the data set is real"),
    ("budget_s = 60", "budget_s = 60\nepochs = 3", "one of the keys"),
    ('"training"', '"function"', 'kind = "training"'),
])
def test_a_mistake_in_a_profile_is_named(tmp_path: Path, before: str, after: str, words: str) -> None:
    assert before in TRAINING
    error = complaint(tmp_path / "softmax", TRAINING.replace(before, after))
    assert words in error.what and "problem.toml:" in error.what, error.what
