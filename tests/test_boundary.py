"""What crosses the boundary, in both directions, as a suite sees it."""

from __future__ import annotations

import math
import textwrap
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from grader import check
from grader.attempt.outcomes import AttemptRaised, AttemptStopped
from grader.attempt.proxy import Attempt, Handle
from grader.counterexample import render
from grader.verdict import Status

Answer = Callable[..., Attempt]
ECHO = """
    import numpy as np
    def f(x): return x
    def kind(x): return type(x).__name__
    def flags(x): return [x.flags.c_contiguous, x.flags.f_contiguous]
"""


def same(a: Any, b: Any) -> bool:
    if isinstance(b, np.ndarray):
        return (type(a) is np.ndarray and a.dtype == b.dtype and a.shape == b.shape
                and bool(np.array_equal(a, b, equal_nan=b.dtype.kind in "fc")))
    if isinstance(b, dict):
        return type(a) is dict and list(a) == list(b) and all(same(a[k], b[k]) for k in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(b, float) and math.isnan(b):
        return isinstance(a, float) and math.isnan(a)
    return type(a) is type(b) and a == b


def test_plain_values(answer: Answer) -> None:
    attempt = answer(ECHO)
    for value in [None, True, 0, -1, 2**63, -(2**63), 2**200, -(2**200), 1.5, float("inf"), float("nan"), 1 + 2j,
                  "é漢", b"\0\xff", [], [1, [2, (3,)]], (), ((1, 2), [3]), {}, {"a": {1: (2,)}, (1, 2): None}, {1, 2},
                  frozenset("a"), slice(1, None, 2), range(3, 9, 2), Ellipsis, np.dtype("float32"), np.float16,
                  np.dtype(">i4")]:
        assert same(attempt.f(value), value), value


@pytest.mark.parametrize("dtype", "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 "
                                  "complex64 complex128 >f4 <U3 S2 M8[D]".split())
def test_arrays_of_every_dtype(answer: Answer, dtype: str) -> None:
    attempt = answer(ECHO)
    for shape in [(), (0,), (3,), (2, 0, 3), (2, 3, 4)]:
        value = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
        assert same(attempt.f(value), value)
    assert same(attempt.f([value[0, 0, 0]]), [value[0, 0, 0]]) or dtype.startswith((">", "<", "S"))


def test_layout_is_kept(answer: Answer) -> None:
    """A function that assumes a contiguous array must meet one that is not."""
    attempt = answer(ECHO)
    x = np.arange(24.0).reshape(4, 6)
    for value in (x, x.T, x[:, ::2], x[::-1], x[1:3, 2:4]):
        assert same(attempt.f(value), value)
        assert attempt.flags(value) == [value.flags.c_contiguous, value.flags.f_contiguous]
    t = torch.arange(24.0).reshape(4, 6)
    torch_attempt = answer("def f(x): return x\ndef contiguous(x): return x.is_contiguous()", libraries=("torch",))
    for tensor in (t, t.T, t[:, ::2], t.reshape(1, 4, 2, 3).to(memory_format=torch.channels_last)):
        assert torch_attempt.contiguous(tensor) is tensor.is_contiguous()
        assert torch.equal(torch_attempt.f(tensor), tensor)


def test_results_and_arguments_are_writable_copies(answer: Answer) -> None:
    attempt = answer("def f(x):\n    x += 1\n    return x")
    x = np.zeros(3)
    out = attempt.f(x)
    out += 1
    assert x.tolist() == [0, 0, 0] and out.tolist() == [2, 2, 2]


def test_subclasses_arrive_plain(answer: Answer) -> None:
    attempt = answer("""
        import enum, collections, numpy as np
        class Yes(np.ndarray):
            def __eq__(self, other): return True
        class S(str): pass
        class L(list): pass
        class I(enum.IntEnum): A = 3
        Point = collections.namedtuple("Point", "x y")
        def array(): return np.arange(3.).view(Yes)
        def many(): return [S("s"), L([1]), I.A, Point(1, 2), collections.OrderedDict(a=1), collections.Counter("aa")]
    """)
    out = attempt.array()
    assert type(out) is np.ndarray and not (out == 5).any()
    assert same(attempt.many(), ["s", [1], 3, (1, 2), {"a": 1}, {"a": 2}])


def test_objects_that_equal_everything_arrive_as_handles(answer: Answer) -> None:
    attempt = answer("""
        class Equal:
            def __eq__(self, other): return True
            def __array__(self, *a, **k): raise SystemExit
        def f(): return Equal()
    """)
    out = attempt.f()
    assert type(out) is Handle and out != 1 and repr(out) == "<Equal of the answer's>"


def test_handles(answer: Answer) -> None:
    attempt = answer("""
        class Box:
            limit = 3
            def __init__(self, items, *, name="box"): self.items, self.name, self.entered = list(items), name, 0
            def add(self, item, times=1):
                self.items += [item] * times
                return self
            def __len__(self): return len(self.items)
            def __getitem__(self, key): return self.items[key]
            def __setitem__(self, key, value): self.items[key] = value
            def __delitem__(self, key): del self.items[key]
            def __contains__(self, item): return item in self.items
            def __iter__(self): return iter(self.items)
            def __enter__(self):
                self.entered += 1
                return self
            def __exit__(self, *error): self.entered -= 1
            def __call__(self, x): return x * 2
        def total(box): return sum(box.items)
        def count(n):
            for i in range(n): yield i, [i]
    """)
    box = attempt.Box([1, 2], name="b")
    assert box.name == "b" and box.limit == 3 and attempt.Box.limit == 3
    assert box.add(5, times=2) is not None and len(box) == 4
    assert box[1] == 2 and box[1:3] == [2, 5] and 5 in box and 9 not in box
    box[0] = 7
    del box[1]
    assert list(box) == [7, 5, 5]
    box.name = "new"
    assert box.name == "new" and box(4) == 8
    with box as same_box:
        assert same_box.entered == 1
    assert box.entered == 0
    assert attempt.total(box) == 17
    assert list(attempt.count(3)) == [(0, [0]), (1, [1]), (2, [2])]
    with pytest.raises(AttributeError):
        _ = box.missing


COUNTER = """
    class Counter:
        def __init__(self, start): self.total = start
        def add(self, n):
            self.total += n
            return self.total
        def __call__(self, factor): return self.total * factor
        def itself(self): return self
"""


def test_an_object_and_its_methods_in_one_message(answer: Answer) -> None:
    here: dict[str, Any] = {}
    exec(textwrap.dedent(COUNTER), here)
    attempt = answer(COUNTER)
    before = attempt._connection.messages
    remote = check.made(attempt.Counter, (1,), ("add", 2), ("add", 3))
    assert attempt._connection.messages == before + 1
    for counter in (remote, check.made(here["Counter"], (1,), ("add", 2), ("add", 3))):
        assert counter.total == 6 and counter(2) == 12
    for factory in (attempt.Counter, here["Counter"]):
        assert check.outcome(factory, (1,), ("add", 2), ("", 10)) == 30
        assert check.outcome(factory, (1,), ("add", 2)) == 3
        assert check.outcome(factory, (1,), ("add", 2), ("itself",)).total == 3
        with pytest.raises(AttributeError, match="none"):
            check.outcome(factory, (1,), ("none",), ("add", 2))


def test_calls_in_one_message_are_told_one_by_one(answer: Answer) -> None:
    attempt = answer(COUNTER)
    check.outcome(attempt.Counter, (1,), ("add", 2), ("", 10))
    assert render(attempt.log.calls, 1, None) == ("from attempt import Counter\nobj = Counter(1)\nobj.add(2)\n"
                                                  "obj(10)")


def test_released_handles_are_forgotten(answer: Answer) -> None:
    attempt = answer("""
        import weakref
        class Thing: pass
        alive = weakref.WeakSet()
        def make():
            thing = Thing()
            alive.add(thing)
            return thing
        def count(): return len(alive)
    """)
    kept = attempt.make()
    for _ in range(20):
        attempt.make()
    assert attempt.count() <= 2  # the kept one, and perhaps the latest, whose release travels with the next call
    assert attempt.count() == 1 and isinstance(kept, Handle)


def test_callbacks_call_back(answer: Answer) -> None:
    attempt = answer("""
        def f(g, n): return [g(i, twice=i * 2) for i in range(n)]
        def back(g): return g
        def catches(g):
            try: g()
            except ValueError as error: return str(error)
        def again(g, x): return g(x)
    """)
    assert attempt.f(lambda i, twice: i + twice, 3) == [0, 3, 6]
    function = lambda: 1  # noqa: E731
    assert attempt.back(function) is function

    def broken() -> None:
        raise ValueError("no")

    assert attempt.catches(broken) == "no"
    with pytest.raises(AttemptRaised, match="no"):
        attempt.f(lambda i, twice: broken(), 1)
    # a callback may call the answer again
    assert attempt.again(lambda x: attempt.again(lambda y: y + 1, x) * 10, 4) == 50


def test_a_failed_check_in_a_callback_cannot_be_swallowed(answer: Answer) -> None:
    attempt = answer("""
        def f(g):
            try: g()
            except BaseException: pass
            return 1
    """)

    def check() -> None:
        raise AssertionError("seen")

    with pytest.raises(AssertionError, match="seen"):
        attempt.f(check)


def test_exceptions_are_what_they_were(answer: Answer) -> None:
    attempt = answer("""
        class Odd(KeyError): pass
        def f(x):
            return g(x)
        def g(x):
            raise {"value": ValueError("bad"), "odd": Odd("k"), "exit": SystemExit(0)}[x]
    """)
    with pytest.raises(ValueError, match="bad") as caught:
        attempt.f("value")
    error = caught.value
    assert isinstance(error, AttemptRaised) and error.attempt_error == "ValueError" and error.error.line == 6
    assert "line 4, in f" in error.error.traceback and "line 6, in g" in error.error.traceback
    assert "raise {" in error.error.traceback and "worker" not in error.error.traceback
    with pytest.raises(KeyError):
        attempt.f("odd")
    with pytest.raises(AttemptRaised) as caught_exit:
        attempt.f("exit")
    assert caught_exit.value.attempt_error == "SystemExit"


def test_arguments_after_the_call(answer: Answer) -> None:
    attempt = answer("def f(x, out=None):\n    x[0] = 9\n    out.append(1)\n    return 'r'")
    x = np.zeros(2)
    observed = attempt.f.observed(x, out=[0])
    assert observed.result == "r" and observed.args[0].tolist() == [9, 0] and observed.kwargs == {"out": [0, 1]}
    assert x.tolist() == [0, 0]


KEEPING = """
    import numpy as np
    buffer = np.zeros(8)
    def f(x, how, more=()):
        return {"new": lambda: x * 2, "itself": lambda: x, "view": lambda: {"a": [x[::-1][1:3]]},
                "of-more": lambda: (1, more[0].T), "scalar": lambda: x[0], "nothing": lambda: x[:0],
                "buffer": lambda: buffer, "first-half": lambda: buffer[:4], "second-half": lambda: buffer[4:]}[how]()
"""


@pytest.mark.parametrize("libraries", [(), ("torch",)], ids=["array", "tensor"])
@pytest.mark.parametrize(("how", "shares"), [("new", False), ("itself", True), ("view", True), ("of-more", True),
                                             ("scalar", False), ("nothing", False), ("buffer", False)])
def test_an_observed_result_tells_whether_it_lies_in_an_argument(answer: Answer, how: str, shares: bool,
                                                                 libraries: tuple[str, ...]) -> None:
    if libraries and how in ("view", "scalar"):
        return  # a tensor has no negative strides, and a number of its own keeps its place
    attempt = answer(KEEPING, libraries=libraries)
    x, more = np.arange(4.0), np.ones((2, 2))
    values = (torch.from_numpy(x), torch.from_numpy(more)) if libraries else (x, more)
    observed = attempt.f.observed(values[0], how, more=[values[1]])
    assert (observed.shares_argument, observed.shares_earlier) == (shares, False)


def test_an_observed_result_tells_whether_it_lies_in_the_one_before(answer: Answer) -> None:
    attempt = answer(KEEPING)
    for begin, pairs in enumerate((("new", "new", False), ("buffer", "buffer", True), ("buffer", "second-half", True),
                                   ("first-half", "second-half", False), ("new", "buffer", False))):
        attempt.begin_case(begin)
        first, second, shares = pairs
        assert not attempt.f.observed(np.ones(4), first).shares_earlier
        attempt.f(np.ones(4), "buffer")  # a call that is not observed is not remembered
        assert attempt.f.observed(np.ones(4), second).shares_earlier is shares, pairs
    attempt.f.observed(np.ones(4), "buffer")
    attempt.begin_case(9)
    assert not attempt.f.observed(np.ones(4), "buffer").shares_earlier


def test_new_arrays_says_whose_memory_it_is(answer: Answer) -> None:
    attempt, x = answer(KEEPING), np.arange(4.0)
    assert same(check.new_arrays(attempt.f, x, "new"), x * 2)
    with pytest.raises(check.CheckFailure, match="with an argument"):
        check.new_arrays(attempt.f, x, "itself")
    with pytest.raises(check.CheckFailure, match="what the call before returned"):
        check.new_arrays(attempt.f, x, "buffer")


@pytest.mark.parametrize("told", ["no", None, [], [False], [False, 0], [False, np.False_], [True, False, False]])
def test_nonsense_about_memory_breaks_the_protocol(answer: Answer, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the answer's process that says so: two booleans, or nothing that counts."""
    attempt = answer(ECHO)
    monkeypatch.setattr(attempt.f._connection, "do", lambda *args, **kwargs: [1, [1], {}, told])
    with pytest.raises(AttemptStopped, match="broke the protocol"):
        attempt.f.observed(1)


def test_random_generators_cross_with_their_state(answer: Answer) -> None:
    attempt = answer("def f(rng): return rng.normal(size=3)")
    rng = np.random.default_rng(5)
    rng.normal()
    twin = np.random.default_rng(5)
    twin.normal()
    assert same(attempt.f(rng), twin.normal(size=3))


def test_global_random_state_is_set_for_each_case(answer: Answer) -> None:
    attempt = answer("import random, numpy as np\ndef f(): return [random.random(), float(np.random.rand())]")
    attempt.begin_case(7)
    first = attempt.f()
    assert first != attempt.f()
    attempt.begin_case(7)
    assert attempt.f() == first


def test_large_arrays(answer: Answer) -> None:
    attempt = answer(ECHO)
    value = np.arange(3_000_000, dtype=np.float64)
    assert same(attempt.f(value), value)


TORCH = """
    import torch
    from torch import nn
    def f(x, w): return torch.tanh(x @ w), (x * 2).sum()
    def same(x): return x
    def inplace(x):
        x.add_(1)
        return x * x
    def twice(a, b): return a * b
    class Net(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.lin = nn.Linear(n, 2)
            self.bn = nn.BatchNorm1d(2)
            self.drop = nn.Dropout(0.5)
        def forward(self, x): return self.drop(self.bn(self.lin(x)))
    def step(model):
        with torch.no_grad():
            for p in model.parameters(): p -= 0.1 * p.grad
"""


@pytest.fixture
def net(answer: Answer) -> Attempt:
    return answer(TORCH, libraries=("torch", "numpy"), entry=["f(x, w)"])


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
                                   torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64,
                                   torch.complex128, torch.uint16])
def test_tensors_of_every_dtype(net: Attempt, dtype: torch.dtype) -> None:
    for shape in [(), (0,), (2, 0), (2, 3)]:
        value = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
        out = net.same(value)
        assert out.dtype == dtype and out.shape == value.shape and torch.equal(out, value)
    assert net.same(dtype) is dtype and net.same(torch.device("cpu")) == torch.device("cpu")
    assert net.same(torch.Size([2, 3])) == (2, 3)


def test_gradients_cross(net: Attempt) -> None:
    x, w = torch.randn(4, 3, dtype=torch.float64, requires_grad=True), torch.randn(3, 2, dtype=torch.float64)
    w.requires_grad_()
    out, total = net.f(x, w)
    (out.sum() + 3 * total).backward()
    x2, w2 = x.detach().requires_grad_(), w.detach().requires_grad_()
    (torch.tanh(x2 @ w2).sum() + 3 * (x2 * 2).sum()).backward()
    assert torch.allclose(x.grad, x2.grad) and torch.allclose(w.grad, w2.grad)
    assert torch.autograd.gradcheck(lambda a, b: net.f(a, b), (x, w))


def test_gradients_through_chains_and_repeats(net: Attempt) -> None:
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    y = net.twice(x, x)  # the same tensor twice
    z = net.inplace(y * 1)  # a computed tensor may be changed in place beyond the boundary
    z.sum().backward()
    assert torch.allclose(x.grad, 2 * (x.detach() ** 2 + 1) * 2 * x.detach())
    assert torch.equal(net.same(x), x) and net.same(x).requires_grad
    with torch.no_grad():
        assert not net.twice(x, x).requires_grad
    assert not net.twice(x.detach(), x.detach()).requires_grad


def test_remote_modules(net: Attempt) -> None:
    model = net.Net(3)
    assert model.training is True
    sd = model.state_dict()
    assert list(sd) == ["lin.weight", "lin.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var",
                        "bn.num_batches_tracked"]
    model.load_state_dict(OrderedDict((k, torch.ones_like(v)) for k, v in sd.items()))
    assert model.lin.weight.tolist() == [[1.0] * 3] * 2
    model.eval()
    assert model.training is False
    x = torch.randn(5, 3)
    assert torch.equal(model(x), model(x))
    assert [name for name, _ in model.named_parameters()] == ["lin.weight", "lin.bias", "bn.weight", "bn.bias"]
    assert sum(p.numel() for p in model.parameters()) == 12
    assert isinstance(model.lin, Handle) and model.lin.in_features == 3


def test_parameter_gradients(net: Attempt) -> None:
    model = net.Net(3)
    model.eval()
    early = dict(model.named_parameters())
    x = torch.randn(5, 3)
    loss = (model(x) ** 2).sum()
    by_grad = torch.autograd.grad(loss, list(early.values()), retain_graph=True)
    loss.backward()
    late = dict(model.named_parameters())
    local = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).eval()
    with torch.no_grad():
        for mine, theirs in zip(local.parameters(), early.values()):
            mine.copy_(theirs)
    (local(x) ** 2).sum().backward()
    for mine, first, name, direct in zip(local.parameters(), early.values(), late, by_grad):
        assert torch.allclose(first.grad, mine.grad, atol=1e-6), name
        assert torch.allclose(direct, mine.grad, atol=1e-6), name
        # beyond the boundary both backward passes have accumulated
        assert torch.allclose(late[name].grad, 2 * mine.grad, atol=1e-5), name
    before = model.lin.bias.detach().clone()
    net.step(model)
    assert torch.allclose(model.lin.bias.detach(), before - 0.1 * late["lin.bias"].grad)


def test_operators_are_watched_under_any_alias(answer: Answer) -> None:
    source = "import torch\ndef f(x):\n    g = getattr(torch, 'soft' + 'max')\n    return g(x, -1)"
    attempt = answer(source, libraries=("torch",), forbid_ops=["aten._softmax"])
    with pytest.raises(AttemptStopped) as stopped:
        attempt.f(torch.zeros(2))
    assert stopped.value.status is Status.RULE_VIOLATION and "line 4" in stopped.value.message
