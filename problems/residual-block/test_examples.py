"""The examples of the prompt. Run them with:  pytest test_examples.py"""

import pytest
import torch
from attempt import BasicBlock


@pytest.mark.parametrize("in_channels, out_channels, stride, count", [(16, 16, 1, 4672), (16, 32, 2, 14528)])
def test_parameter_count(in_channels, out_channels, stride, count):
    block = BasicBlock(in_channels, out_channels, stride)
    assert sum(parameter.numel() for parameter in block.parameters()) == count


@pytest.mark.parametrize("in_channels, out_channels, stride, shape", [
    (4, 4, 1, (2, 4, 5, 8)),
    (4, 6, 1, (2, 6, 5, 8)),
    (4, 4, 2, (2, 4, 3, 4)),
    (4, 6, 2, (2, 6, 3, 4)),
])
def test_output_shape(in_channels, out_channels, stride, shape):
    assert BasicBlock(in_channels, out_channels, stride)(torch.randn(2, 4, 5, 8)).shape == shape


def test_identity_block_has_no_projection():
    layers = {key.split(".")[0] for key in BasicBlock(4, 4).state_dict()}
    assert layers == {"conv1", "bn1", "conv2", "bn2"}


def test_projection_keys():
    layers = {key.rpartition(".")[0] for key in BasicBlock(4, 4, stride=2).state_dict()}
    assert layers == {"conv1", "bn1", "conv2", "bn2", "downsample.0", "downsample.1"}


def block_of_the_prompt(bn2_weight):
    """One channel, kernels that copy their input, eval mode."""
    copy = torch.zeros(1, 1, 3, 3)
    copy[0, 0, 1, 1] = 1.0
    state = {"conv1.weight": copy, "conv2.weight": copy}
    for bn, weight in (("bn1", 1.0), ("bn2", bn2_weight)):
        state[f"{bn}.weight"] = torch.tensor([weight])
        state[f"{bn}.bias"] = torch.tensor([0.0])
        state[f"{bn}.running_mean"] = torch.tensor([0.0])
        state[f"{bn}.running_var"] = torch.tensor([1.0])
        state[f"{bn}.num_batches_tracked"] = torch.tensor(0)
    block = BasicBlock(1, 1)
    block.load_state_dict(state)
    return block.eval()


def test_example_of_the_prompt():
    x = torch.tensor([[[[1.0, -2.0], [3.0, -4.0]]]])
    expected = torch.tensor([[[[0.5, 0.0], [1.5, 0.0]]]])
    torch.testing.assert_close(block_of_the_prompt(bn2_weight=-0.5)(x), expected, rtol=1e-4, atol=1e-4)


def test_zero_weight_leaves_relu_of_the_input():
    x = torch.tensor([[[[1.0, -2.0], [3.0, -4.0]]]])
    torch.testing.assert_close(block_of_the_prompt(bn2_weight=0.0)(x), torch.relu(x))


def test_input_is_left_alone():
    x = torch.tensor([[[[1.0, -2.0], [3.0, -4.0]]]])
    before = x.clone()
    block_of_the_prompt(bn2_weight=-0.5)(x)
    torch.testing.assert_close(x, before)
