"""Hidden suite of residual-block: structure, one mistake at a time on one channel, then agreement on random blocks.

Values are compared after loading one state dict into the answer's block and into the reference, in float64, so that
neither initialisation nor the order of a sum can decide a verdict.
"""

import functools

import pytest
import torch

from grader import check
from grader.properties import given, st

IDENTITY, WIDER, STRIDED, BOTH = (4, 4, 1), (3, 5, 1), (4, 4, 2), (3, 5, 2)
BLOCKS = pytest.mark.parametrize("config", [IDENTITY, WIDER, STRIDED, BOTH], ids=lambda c: "-".join(map(str, c)))


def layout(in_channels, out_channels, stride=1):
    """The state dict that the prompt promises: {key: shape}."""
    convs = {"conv1": (out_channels, in_channels, 3, 3), "conv2": (out_channels, out_channels, 3, 3)}
    norms = ["bn1", "bn2"]
    if stride != 1 or in_channels != out_channels:
        convs["downsample.0"] = (out_channels, in_channels, 1, 1)
        norms.append("downsample.1")
    shapes = {f"{conv}.weight": shape for conv, shape in convs.items()}
    for norm in norms:
        shapes |= {f"{norm}.{name}": (out_channels,) for name in ("weight", "bias", "running_mean", "running_var")}
        shapes[f"{norm}.num_batches_tracked"] = ()
    return shapes


def is_parameter(key):
    return key.endswith(("weight", "bias"))


# What is drawn, and what the reference says of it, come again in every run of a judge that stays warm. The tensors in
# here are only read.
PLAIN, DRAWN, EXPECTED = {}, {}, {}
MOST = 1000
"""what is remembered of each: a run has a tenth of it, but what a failure is shrunk through differs between answers"""


def plain_state(*config, **changes):
    """A float64 state dict for few channels: kernels copy the centre pixel, BatchNorms in eval mode change nothing.

    changes: bn2_weight=0.0 fills "bn2.weight" with 0; conv2_weight=kernel puts a (3, 3) kernel there.
    """
    key = config, repr(changes)
    if key not in PLAIN:
        PLAIN[key] = _plain_state(*config, **changes)
    return dict(PLAIN[key])


def _plain_state(*config, **changes):
    state = {}
    for key, shape in layout(*config).items():
        value = torch.zeros(shape, dtype=torch.float64)
        if len(shape) == 4:
            value[:, :, shape[2] // 2, shape[3] // 2] = 1.0
        elif key.endswith("running_var"):
            value += 1 - 1e-5  # with eps, 1
        elif key.endswith("weight"):
            value += 1
        elif key.endswith("num_batches_tracked"):
            value = torch.tensor(0)
        if (change := key.replace(".", "_")) in changes:
            value[...] = torch.as_tensor(changes.pop(change))
        state[key] = value
    assert not changes, f"no such keys: {changes}"
    return state


def drawn(make, rng, *args):
    """make(rng, *args), and the generator as it is afterwards."""
    before = rng.bit_generator.state
    key = (make.__name__, args, before["state"]["state"], before["has_uint32"], before["uinteger"])
    if key not in DRAWN:
        DRAWN[key] = make(rng, *args), rng.bit_generator.state
    value, rng.bit_generator.state = DRAWN[key]
    return value


def random_state(rng, *config):
    """A float64 state dict with nothing at its initial value: weights of both signs, statistics far from 0 and 1."""
    return dict(drawn(_random_state, rng, *config))


def _random_state(rng, *config):
    state = {}
    for key, shape in layout(*config).items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
            continue
        if len(shape) == 4:
            value = rng.normal(size=shape) / (shape[1] * shape[2] * shape[3]) ** 0.5
        elif key.endswith("running_var"):
            value = rng.uniform(0.2, 2.0, size=shape)
        elif key.endswith("weight"):
            value = rng.uniform(0.5, 1.5, size=shape) * rng.permutation(([1, -1] * shape[0])[: shape[0]])
        else:
            value = rng.normal(size=shape) / 2
        state[key] = torch.from_numpy(value)
    return state


def images(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape))


def image(*rows):
    """One image of one channel, float64."""
    return torch.tensor([[rows]], dtype=torch.float64)


SIGNS = image([1.0, -2.0, 3.0], [-4.0, 5.0, -6.0])
COUNT = image([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0], [13.0, 14.0, 15.0, 16.0])


def load(module, state, *config, train=False):
    """A float64 block that holds `state`, in eval mode unless told otherwise."""
    return loaded(check.made, module, state, config, train)


def loaded(make, module, state, config, train, *calls):
    """check.made or check.outcome, of a float64 block that holds `state`."""
    try:
        return make(module.BasicBlock, config, ("double",), ("load_state_dict", state),
                    ("train" if train else "eval",), *calls)
    except RuntimeError as error:
        if "state_dict" not in str(error):
            raise
        check.fail(f"the state dict of the prompt does not load: {' '.join(str(error).split())}",
                   why="pretrained weights are found by the names and shapes of the prompt")


def state_of(block):
    """A copy of the block's state dict, known to be a dict of tensors."""
    return tensors(block.state_dict())


def new_state(module, *config):
    """The same of a block that is made for it."""
    return tensors(check.outcome(module.BasicBlock, config, ("state_dict",)))


def tensors(state):
    check.true(isinstance(state, dict) and all(check.is_tensor(value) for value in state.values()),
               "state_dict() is not a dict of tensors")
    return {key: value.detach().clone() for key, value in state.items()}


def parameters_of(block):
    """{name: parameter}, known to be tensors."""
    parameters = dict(block.named_parameters())
    check.true(all(check.is_tensor(value) for value in parameters.values()), "a parameter is not a tensor")
    return parameters


def shapes_of(tensors):
    return {key: str(tuple(value.shape)) for key, value in tensors.items()}


def check_layout(block, *config):
    check.equal(shapes_of(state_of(block)), {key: str(shape) for key, shape in layout(*config).items()},
                name="state_dict()")


def output_shape(x, in_channels, out_channels, stride=1):
    return (len(x), out_channels, -(-x.shape[2] // stride), -(-x.shape[3] // stride))


def remembered(compute, what, tensors):
    """compute(), once for `what` and these tensors."""
    key = (*what, tensors[0].shape, b"".join([value.contiguous().numpy().tobytes() for value in tensors]))
    if key not in EXPECTED:
        if len(EXPECTED) >= MOST:
            EXPECTED.clear()
        EXPECTED[key] = compute()
    return EXPECTED[key]


def expect(question, reference, state, inputs, *config, train=False):
    """question(the reference's block that holds `state`, *inputs)."""
    return remembered(lambda: question(load(reference, state, *config, train=train), *inputs),
                      (question.__name__, config, train), [*inputs, *state.values()])


def expect_output(reference, state, x, *config, train=False):
    return expect(output, reference, state, (x,), *config, train=train).detach()


def output(block, x):
    return block(x.clone())


def output_of(module, state, x, *config, train=False):
    """That of a block that is made for it."""
    return loaded(check.outcome, module, state, config, train, ("", x.clone()))


def check_output(attempt, reference, state, x, *config, train=False, rtol=None):
    """Both blocks, holding `state`, give the same output for x."""
    expected = expect_output(reference, state, x, *config, train=train)
    check.close(output_of(attempt, state, x, *config, train=train), expected, rtol=rtol)


def check_structure(attempt, reference, state, x, *config):
    """The same to 1 %: a wrong eps has its own test and must not be taken for a wrong order of layers."""
    check_output(attempt, reference, state, x, *config, rtol=0.01)


def input_gradient(block, x, weights):
    """Gradient of (block(x) * weights).sum() with respect to x; those of the parameters are in their .grad then."""
    x = x.clone().requires_grad_()
    y = block(x)
    check.shape(y, weights.shape)
    check.true(y.requires_grad, "the output does not depend on x as far as autograd can tell")
    (y * weights).sum().backward()  # y.backward(weights) would have Torch import sympy
    return x.grad


def parameter_gradients(block, x, weights):
    """{name: gradient of (block(x) * weights).sum()}."""
    input_gradient(block, x, weights)
    return {name: parameter.grad for name, parameter in parameters_of(block).items()}


def running_statistics(block, x):
    """Those after one call."""
    block(x.clone())
    return {key: value for key, value in state_of(block).items() if "running" in key}


def check_same(question, name, attempt, reference, state, inputs, *config, train=False):
    """Both blocks, holding `state`, give the same answer to a question about two calls."""
    expected = expect(question, reference, state, inputs, *config, train=train)
    check.close(question(load(attempt, state, *config, train=train), *inputs), expected, name=name, calls=2)


@pytest.mark.visible
def test_shortcut_is_x_itself_where_shapes_agree(attempt):
    """The identity shortcut is what makes the block residual. It costs nothing and passes gradients on unchanged."""
    check_layout(attempt.BasicBlock(4, 4), 4, 4, 1)


def test_projection_where_channels_differ(attempt):
    """x with 3 channels cannot be added to 5: a 1x1 convolution and a BatchNorm bring it there."""
    check_layout(attempt.BasicBlock(3, 5), 3, 5, 1)


def test_projection_where_only_the_stride_differs(attempt):
    """With stride 2 the main path is half as large, so x must be projected even if the number of channels stays.

    Pooling x fits too, but it is another block, and pretrained weights would not load.
    """
    check_layout(attempt.BasicBlock(4, 4, 2), 4, 4, 2)


def test_constructor_takes_keywords(attempt):
    """Callers rely on the argument names as much as on their order."""
    check_layout(attempt.BasicBlock(in_channels=3, out_channels=5, stride=2), 3, 5, 2)


@pytest.mark.visible
@BLOCKS
def test_every_layer_has_its_own_parameters(attempt, config):
    """A layer that is used twice is one layer: the two BatchNorms see different activations and must not share."""
    expected = {key: str(shape) for key, shape in layout(*config).items() if is_parameter(key)}
    check.equal(shapes_of(parameters_of(attempt.BasicBlock(*config))), expected, name="dict(named_parameters())")


@pytest.mark.visible
@BLOCKS
def test_output_shape(attempt, config):
    """Both paths must come to ceil(H / stride) by ceil(W / stride), for odd sizes and images that are not square."""
    x = torch.ones(2, config[0], 5, 8)
    y = check.outcome(attempt.BasicBlock, config, ("", x))
    check.shape(y, output_shape(x, *config))
    check.dtype(y, torch.float32)


def test_computes_in_float64_after_double(attempt):
    """A block follows the dtype of its parameters; a cast inside breaks mixed precision and gradient checks."""
    block = attempt.BasicBlock(1, 2)
    block.double()
    check.dtype(block(torch.ones(2, 1, 3, 3, dtype=torch.float64)), torch.float64)


def test_blocks_do_not_share_layers(attempt, rng):
    """A network has many blocks: weights loaded into one must not show in another."""
    block, x = load(attempt, random_state(rng, 2, 2), 2, 2), images(rng, 1, 2, 3, 4)
    first = block(x.clone())
    check.shape(first, (1, 2, 3, 4))
    load(attempt, random_state(rng, 2, 2), 2, 2)
    check.close(block(x.clone()), first, name="the output after another block was loaded", calls=2)


def test_eval_output_does_not_depend_on_the_batch(attempt, rng):
    """At inference an image must get the same answer alone and in a batch, so BatchNorm uses its running statistics."""
    block, x = load(attempt, random_state(rng, 3, 5, 2), 3, 5, 2), images(rng, 3, 3, 4, 5)
    alone = block(x[:1].clone())
    check.shape(alone, (1, 5, 2, 3))
    together = block(x.clone())
    check.shape(together, (3, 5, 2, 3))
    check.close(together[:1], alone, name="the output for the first image, in a batch", calls=2)


@pytest.mark.visible
@pytest.mark.points(2)
def test_zero_last_weight_leaves_relu_of_x(attempt, reference):
    """With bn2.weight = 0 the main path adds nothing and the block is relu(x).

    That is the point of the design: doing nothing is easy to learn, so depth does no harm.
    """
    check_structure(attempt, reference, plain_state(1, 1, bn2_weight=0.0), SIGNS, 1, 1)


@pytest.mark.points(2)
def test_relu_comes_after_the_addition(attempt, reference):
    """A ReLU on the main path before the addition would let the block only ever add, never take away."""
    check_structure(attempt, reference, plain_state(1, 1, bn2_weight=-0.5), SIGNS, 1, 1)


def test_shortcut_has_no_relu(attempt, reference):
    """The shortcut carries x with its sign; only the sum is rectified."""
    check_structure(attempt, reference, plain_state(1, 1, bn2_weight=0.0, bn2_bias=4.0), SIGNS, 1, 1)


def test_relu_between_the_convolutions(attempt, reference):
    """Without a ReLU in between, two convolutions are one linear map with a larger kernel."""
    check_structure(attempt, reference, plain_state(1, 1, bn2_weight=-2.0), SIGNS, 1, 1)


def test_batchnorm_comes_before_the_relu(attempt, reference):
    """conv, BatchNorm, ReLU: normalised after the ReLU, the next convolution would see negative inputs again."""
    check_structure(attempt, reference, plain_state(1, 1, bn1_bias=-2.0), image([1.0, 2.0], [3.0, -4.0]), 1, 1)


def test_border_is_padded_with_zeros(attempt, reference):
    """Padding by 1 keeps the size; repeating or reflecting the border keeps it too, but gives other numbers there."""
    right_neighbour = [[0.0, 0, 0], [0, 0, 1], [0, 0, 0]]
    state = plain_state(1, 1, conv1_weight=right_neighbour, conv2_weight=right_neighbour)
    check_structure(attempt, reference, state, image([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]), 1, 1)


def test_stride_is_on_the_first_convolution(attempt, reference):
    """Both places give the same shape; on the first, the stride also makes that convolution four times cheaper."""
    left_neighbour = [[0.0, 0, 0], [1, 0, 0], [0, 0, 0]]
    state = plain_state(1, 1, 2, conv2_weight=left_neighbour, downsample_1_weight=0.0)
    check_structure(attempt, reference, state, COUNT, 1, 1, 2)


def test_projection_reads_every_second_pixel(attempt, reference):
    """A 1x1 convolution with stride 2 samples; averaging first is another block (ResNet-D)."""
    state = plain_state(1, 1, 2, bn2_weight=0.0)
    check_structure(attempt, reference, state, COUNT, 1, 1, 2)


def test_projection_is_normalised_and_not_rectified(attempt, reference):
    """The projection ends in its BatchNorm, like the main path, so that the two arrive at the same scale."""
    state = plain_state(1, 1, 2, bn2_weight=0.0, bn2_bias=5.0, downsample_1_weight=-2.0, downsample_1_bias=1.0)
    check_structure(attempt, reference, state, image([1.0, 2.0, -3.0], [4.0, 5.0, 6.0]), 1, 1, 2)


def test_projection_applies_to_a_single_pixel(attempt, reference):
    """A 1x1 image keeps its size under stride 2: stride and channels decide about the projection, not this input."""
    state = plain_state(1, 1, 2, bn2_weight=0.0, downsample_1_bias=3.0)
    check_structure(attempt, reference, state, image([2.0]), 1, 1, 2)


def test_batchnorm_epsilon(attempt, reference):
    """eps = 1e-5 inside the square root matters once a channel is nearly constant, and pretrained weights assume it."""
    state = plain_state(1, 1, 2, bn1_running_var=1e-5, bn2_running_var=2e-5, downsample_1_running_var=3e-5)
    check_output(attempt, reference, state, SIGNS, 1, 1, 2)


def test_eval_uses_running_statistics(attempt, reference):
    """In eval mode the stored mean and variance normalise, not some constants: pretrained weights bring their own."""
    state = plain_state(1, 1, bn1_running_mean=1.0, bn2_running_mean=-2.0)
    check_output(attempt, reference, state, image([1.0, 2.0], [3.0, -4.0]), 1, 1)


def test_training_is_deterministic(attempt, rng):
    """The block holds no dropout or other noise: BatchNorm is all that train() switches."""
    block = load(attempt, random_state(rng, *BOTH), *BOTH, train=True)
    x = images(rng, 2, 3, 8, 8)
    first = block(x.clone())
    check.shape(first, output_shape(x, *BOTH))
    check.close(block(x.clone()), first, name="the output of a second call", calls=2)


def test_train_uses_batch_statistics(attempt, reference):
    """In training each channel is normalised by the mean and the biased variance of the batch it is in."""
    check_output(attempt, reference, plain_state(1, 1, 2), image([1.0, 2.0, 4.0], [3.0, -4.0, 9.0], [0.0, 7.0, -1.0]),
                 1, 1, 2, train=True)


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("stride", [1, 2], ids=["identity", "projection"])
def test_input_is_left_alone(attempt, stride, train):
    """x += ... writes into the caller's tensor, which the layer before may still need for its own gradient."""
    block = load(attempt, plain_state(1, 1, stride), 1, 1, stride, train=train)
    check.unchanged(block, SIGNS.clone())


@BLOCKS
def test_running_statistics_after_a_training_step(attempt, reference, rng, config):
    """new = 0.9 old + 0.1 batch, with the unbiased variance. Some libraries call the 0.9 momentum."""
    state, x = random_state(rng, *config), images(rng, 2, config[0], 4, 5)
    check_same(running_statistics, "state_dict()", attempt, reference, state, (x,), *config, train=True)


def test_training_steps_are_counted(attempt, reference, rng):
    """num_batches_tracked is part of the state: a checkpoint written after ten steps says ten."""
    state, x = plain_state(1, 1, 2), images(rng, 2, 1, 3, 3)
    block = load(attempt, state, 1, 1, 2, train=True)
    for _ in range(3):
        block(x.clone())
    after = state_of(block)
    for norm in ("bn1", "bn2", "downsample.1"):
        check.equal(after[f"{norm}.num_batches_tracked"], torch.tensor(3),
                    name=f"state_dict()['{norm}.num_batches_tracked'] after 3 steps", calls=4)


def test_eval_changes_no_state(attempt, rng):
    """Evaluating between two epochs must not move the model."""
    state = random_state(rng, 3, 5, 2)
    block = load(attempt, state, 3, 5, 2)
    block(images(rng, 2, 3, 4, 5))
    check.equal(state_of(block), state, name="state_dict()", calls=2)


def test_follows_weights_loaded_after_evaluation(attempt, reference, rng):
    """A block is evaluated between epochs and then goes on: weights copied at eval() are out of date afterwards."""
    config, x = (3, 5, 2), images(rng, 2, 3, 4, 5)
    first, second = random_state(rng, *config), random_state(rng, *config)
    block = load(attempt, first, *config)
    block(x.clone())
    block.load_state_dict(second)
    check.close(block(x.clone()), expect_output(reference, second, x, *config),
                name="the output after new weights were loaded", calls=2)
    block.train()
    check.close(block(x.clone()), expect_output(reference, second, x, *config, train=True),
                name="the output after eval() and train()", calls=3)


def test_backward_pass_counts_no_second_step(attempt, rng):
    """Recomputing activations in the backward pass saves memory, but a BatchNorm recomputed is updated twice."""
    state, x = plain_state(1, 1, 2), images(rng, 2, 1, 3, 3)
    block = load(attempt, state, 1, 1, 2, train=True)
    block(x.clone()).sum().backward()
    for norm in ("bn1", "bn2", "downsample.1"):
        key = f"{norm}.num_batches_tracked"
        check.equal(state_of(block)[key], torch.tensor(1), name=f"state_dict()['{key}']")


def test_input_is_left_alone_without_autograd(attempt):
    """Under torch.no_grad() autograd cannot complain of writes into x, and inference is where they happen."""
    block = load(attempt, plain_state(1, 1), 1, 1)
    with torch.no_grad():
        check.unchanged(block, SIGNS.clone())


def test_gradient_reaches_x_by_the_shortcut(attempt, reference):
    """dy/dx = I + dF/dx: the identity brings the gradient back whatever the convolutions do with it.

    Here bn2.weight = 0 closes the main path, and what is left is the mask of the last ReLU.
    """
    inputs = SIGNS, image([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    check_same(input_gradient, "the gradient of x", attempt, reference, plain_state(1, 1, bn2_weight=0.0), inputs, 1, 1)


def test_gradient_reaches_x_by_the_main_path(attempt, reference):
    """A network learns through its convolutions: with the projection closed, they alone bring the gradient to x."""
    state, inputs = plain_state(1, 1, 2, downsample_1_weight=0.0), (SIGNS, image([1.0, 2.0]))
    check_same(input_gradient, "the gradient of x", attempt, reference, state, inputs, 1, 1, 2)


@BLOCKS
def test_parameter_gradients_in_training(attempt, reference, rng, config):
    """Every weight learns, and gradients run through the statistics of the batch as well as through the values."""
    state, x = random_state(rng, *config), images(rng, 2, config[0], 4, 5)
    inputs = x, images(rng, *output_shape(x, *config))
    check_same(parameter_gradients, "the gradients of the parameters", attempt, reference, state, inputs, *config,
               train=True)


@BLOCKS
def test_input_gradient_in_training(attempt, reference, rng, config):
    """The gradient that the layers below receive, through both paths and the statistics of the batch."""
    state, x = random_state(rng, *config), images(rng, 2, config[0], 4, 5)
    inputs = x, images(rng, *output_shape(x, *config))
    check_same(input_gradient, "the gradient of x", attempt, reference, state, inputs, *config, train=True)


@functools.lru_cache(MOST)
def whole_numbers(seed, config, shape):
    """(state dict, images) of small whole numbers, float64."""
    draw = torch.Generator().manual_seed(seed)

    def whole(low, high, shape):
        return torch.randint(low, high + 1, shape, generator=draw).double()

    state = {}
    for key, size in layout(*config).items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(seed)
        elif key.endswith("running_var"):
            state[key] = whole(1, 4, size)
        else:
            state[key] = whole(-2, 2, size)
    return state, whole(-3, 3, shape)


@pytest.mark.points(4)
@given(in_channels=st.integers(1, 3), out_channels=st.integers(1, 3), stride=st.integers(1, 3), n=st.integers(1, 2),
       height=st.integers(1, 6), width=st.integers(1, 6), seed=st.integers(0, 999))
def test_agrees_in_eval_mode(attempt, reference, in_channels, out_channels, stride, n, height, width, seed):
    """Any channels, stride and image size, on small whole numbers."""
    config = in_channels, out_channels, stride
    state, x = whole_numbers(seed, config, (n, in_channels, height, width))
    check_output(attempt, reference, dict(state), x, *config)


@pytest.mark.parametrize("size", [(1, 7, 3), (3, 2, 2)], ids=["1x7x3", "3x2x2"])
@BLOCKS
def test_agrees_in_train_mode(attempt, reference, rng, config, size):
    """The same with the statistics of the batch, a batch of one image among them."""
    n, height, width = size
    check_output(attempt, reference, random_state(rng, *config), images(rng, n, config[0], height, width), *config,
                 train=True)


def test_strided_input(attempt, reference, rng):
    """A transposed or sliced tensor is a tensor like any other."""
    x, state = images(rng, 2, 6, 5, 3).transpose(2, 3)[:, ::2], random_state(rng, 3, 5, 2)
    check.close(loaded(check.outcome, attempt, state, (3, 5, 2), False, ("", x)),
                expect_output(reference, state, x, 3, 5, 2))


def test_ordinary_size_in_float32(attempt, reference, rng):
    """The second stage of a ResNet for CIFAR-10: 16 to 32 channels, stride 2."""
    state = {key: value.float() if value.is_floating_point() else value
             for key, value in random_state(rng, 16, 32, 2).items()}
    x = images(rng, 2, 16, 12, 12).float()

    def ask(module):
        return check.outcome(module.BasicBlock, (16, 32, 2), ("load_state_dict", state), ("eval",), ("", x.clone()))

    expected = remembered(lambda: ask(reference), ("float32",), [x, *state.values()])
    check.close(ask(attempt), expected, rtol=1e-4)


def test_gradient_agrees_with_finite_differences(attempt, rng):
    """Moving one pixel by a little changes the output as the gradient says it does."""
    block = load(attempt, random_state(rng, 2, 3, 2), 2, 3, 2)
    x, weights, step = images(rng, 1, 2, 3, 3), images(rng, 1, 3, 2, 2), 1e-6
    gradient = input_gradient(block, x, weights)
    moves = step * torch.eye(x.numel(), dtype=torch.float64).reshape(-1, *x.shape[1:])
    y = block(torch.cat([x + moves, x - moves]))
    check.shape(y, (2 * x.numel(), 3, 2, 2))
    up, down = (y.detach() * weights).sum(dim=(1, 2, 3)).chunk(2)
    check.close(gradient, ((up - down) / (2 * step)).reshape(x.shape), rtol=1e-6, name="the gradient of x", calls=2)


def test_new_blocks_start_random(attempt):
    """Equal filters get equal gradients and stay equal; and a constructor that seeds makes every block the same, or,
    where it seeds after conv1, every block but the first."""
    first, second, third = (new_state(attempt, 4, 4)["conv1.weight"] for _ in range(3))
    check.shape(first, (4, 4, 3, 3), name="conv1.weight of a new block", calls=6)
    check.finite(first, name="conv1.weight of a new block", calls=6)
    check.true(not torch.equal(first[0], first[1]), "two filters of a new block's conv1 are equal", calls=6)
    for one, other in (first, second), (second, third), (first, third):
        check.true(not torch.equal(one, other), "two of three new blocks have the same conv1.weight", calls=6)
