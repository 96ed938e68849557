"""Hidden suite of resnet-transfer: param_groups, a run that is watched, the clock, the trained model, further runs.

What is checked on small things comes first, so that a mistake that shows there is not paid for with a training run.
The spy is part of the kit and lives with the answer: it names mistakes. What decides is the accuracy on images that
were held out.
"""

import inspect
import itertools

import kit
import pytest
import torch
import torch.nn.functional as F

from grader import backbones, check, training

HEAD, BACKBONE, DECAY = 0.25, 0.015625, 0.125
"""learning rates and weight decay given to param_groups; exact in binary"""
NORMS = ("backbone.bn1.", "backbone.layer1.0.bn", "backbone.layer1.0.downsample.1.", "neck.1.")
SPIED_CLASSES = 7
SPIED_MEAN, SPIED_STD = (0.6, 0.5, 0.4), (0.1, 0.2, 0.3)


@pytest.fixture(autouse=True)
def configured(lab, attempt):
    """Runs are of fine_tune, each with a new copy of the profile's backbone."""
    name = lab.profile.settings["backbone"]
    known = backbones.about(name)

    def before():
        state = backbones.load(name, lab.plan.data_dir)
        return attempt.from_kit("backbone", known.architecture, state), known.feat_dim

    lab.configure(entry="fine_tune", before=before, num_classes=len(lab.classes), mean=known.mean, std=known.std)


# --- param_groups


def groups_of(attempt, frozen=()):
    """[(names of the parameters, lr, weight_decay)] of the groups for kit.Small, known to be its own tensors."""
    numbers = {i: name for i, (name, _) in enumerate(kit.Small().named_parameters(), start=1)}
    shapes = {name: tuple(parameter.shape) for name, parameter in kit.Small().named_parameters()}
    model = attempt.from_kit("Small", frozen)
    found = attempt.param_groups(model, HEAD, BACKBONE, DECAY)
    check.true(isinstance(found, list | tuple),
               f"param_groups() must return a list of dicts, not {check.describe(found)}")
    rows = []
    for i, group in enumerate(found):
        check.true(isinstance(group, dict), f"group {i} is {check.describe(group)}; a dict is asked for")
        for key in ("params", "lr", "weight_decay"):
            check.true(key in group, f"group {i} has no '{key}'; its keys are {sorted(map(str, group))}")
        for key in ("lr", "weight_decay"):
            check.true(isinstance(group[key], int | float), f"'{key}' of group {i} is {check.describe(group[key])}")
        params, names = group["params"], []
        for value in [params] if check.is_tensor(params) else itertools.islice(params, 100):
            if isinstance(value, tuple) and len(value) == 2:  # (name, parameter), which optimisers take, too
                value = value[1]
            check.true(check.is_tensor(value), f"a parameter of group {i} is {check.describe(value)}")
            name = numbers.get(round(value.flatten()[0].item()), "") if value.numel() else ""
            check.true(bool(name) and shapes[name] == tuple(value.shape),
                       f"group {i} has {check.describe(value)}, which is no parameter of the model")
            names.append(name)
        rows.append((names, group["lr"], group["weight_decay"]))
    return rows


def rates_and_decays(attempt):
    """{name: learning rate} and {name: weight decay} of kit.Small's parameters."""
    rows = groups_of(attempt)
    return ({name: lr for names, lr, _ in rows for name in names},
            {name: decay for names, _, decay in rows for name in names})


def is_norm(name):
    return name.startswith(NORMS)


@pytest.mark.visible
def test_every_trainable_tensor_is_in_a_group(attempt):
    """What is in no group is never updated, and nothing says so."""
    found = {name for names, _, _ in groups_of(attempt) for name in names}
    lacking = [name for name, _ in kit.Small().named_parameters() if name not in found]
    check.true(not lacking, f"in no group: {', '.join(lacking)}")


def test_no_tensor_is_in_two_groups(attempt):
    """A tensor in two groups would get two steps; PyTorch's optimisers refuse it."""
    names = [name for names, _, _ in groups_of(attempt) for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    check.true(not twice, f"more than once: {', '.join(twice)}")


def test_frozen_tensors_are_left_out(attempt):
    """A tensor with requires_grad = False gets no gradient. Leave it out: an optimiser given a stale gradient, or
    momentum from before, moves it all the same."""
    frozen = ("backbone.conv1", "backbone.bn1", "neck.0.bias")
    found = [name for names, _, _ in groups_of(attempt, frozen) for name in names if name.startswith(frozen)]
    check.true(not found, f"requires_grad is False, and yet they are in a group: {', '.join(found)}")
    wanted = {name for name, _ in kit.Small().named_parameters() if not name.startswith(frozen)}
    lacking = sorted(wanted - {name for names, _, _ in groups_of(attempt, frozen) for name in names})
    check.true(not lacking, f"they train, and are in no group: {', '.join(lacking)}")


@pytest.mark.points(2)
@pytest.mark.visible
def test_backbone_learns_at_its_own_rate(attempt):
    """The head starts from noise and needs large steps; the backbone is nearly right, and large steps destroy it."""
    rates, _ = rates_and_decays(attempt)
    for name, rate in rates.items():
        wanted = BACKBONE if name.startswith("backbone.") else HEAD
        check.true(rate == wanted,
                   f"{name} learns at {rate:g}; with lr_head={HEAD:g}, lr_backbone={BACKBONE:g} it is {wanted:g}",
                   why="what is in model.backbone learns at lr_backbone, all else at lr_head")


def test_no_decay_for_biases(attempt):
    """A bias sets a level and makes no function steeper: pulling it to 0 only shifts the level."""
    _, decays = rates_and_decays(attempt)
    for name, decay in decays.items():
        if name.endswith("bias") and not is_norm(name):
            check.true(decay == 0, f"{name} has weight decay {decay:g}; asked for: 0")


def test_no_decay_for_norms(attempt):
    """The scale of a normalisation layer is 1 when it does nothing. Pulled to 0 it fades the channel out. In a
    torchvision ResNet some of them are called downsample.1, which a look at the name does not tell."""
    _, decays = rates_and_decays(attempt)
    for name, decay in decays.items():
        if is_norm(name):
            check.true(decay == 0,
                       f"{name} belongs to a normalisation layer and has weight decay {decay:g}; asked for: 0")


def test_decay_for_all_other_weights(attempt):
    """Convolutions and linear layers, of the head as of the backbone, decay."""
    _, decays = rates_and_decays(attempt)
    for name, decay in decays.items():
        if not name.endswith("bias") and not is_norm(name):
            check.true(decay == DECAY, f"{name} has weight decay {decay:g}; asked for: {DECAY:g}")


# --- fine_tune on a backbone that watches


def colours(count, seed):
    """Images of one colour each, (count, 3, 32, 32) uint8, mostly red, and labels of SPIED_CLASSES classes."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.tensor([0.7, 0.5, 0.3])
    shades = centre + 0.3 * (torch.rand(count, 3, generator=generator) - 0.5)
    images = (255 * shades).round().to(torch.uint8)[:, :, None, None].expand(-1, -1, 32, 32).contiguous()
    return images, torch.arange(count) % SPIED_CLASSES


def spied(lab, attempt):
    """(run, what the spy noted down, the spy and its state before the run): made once per attempt."""
    if not hasattr(lab, "spied"):
        x, y = colours(65, seed=0)  # one more than a multiple of 8, 16, 32 and 64
        x_val, y_val = colours(16, seed=1)
        spy = attempt.from_kit("Spy")
        before = seen_from_outside(spy)
        run = lab.train(x, y, seed=0, budget_s=10.0, before=(spy, 16), x_val=x_val, y_val=y_val,
                        num_classes=SPIED_CLASSES, mean=SPIED_MEAN, std=SPIED_STD)
        calls = spy.calls
        check.true(isinstance(calls, list) and bool(calls), "fine_tune() never called the backbone that it was given")
        lab.spied = run, calls, spy, before
    return lab.spied


def seen_from_outside(module):
    """State dict, mode, and which parameters train."""
    flags = [bool(parameter.requires_grad) for parameter in module.parameters()]
    return {"state_dict()": {name: value.detach().clone() for name, value in dict(module.state_dict()).items()},
            "training": module.training, "requires_grad of the parameters": flags}


@pytest.mark.points(2)
def test_inputs_are_standardised_as_given(lab, attempt):
    """Pretrained filters expect the pixels they were trained on: of 0 to 1, less the mean, over the deviation, channel
    by channel. Fed with other numbers they answer with other features, and nothing crashes: a linear probe on the
    shapes falls from 72 % to 21 % where pixels are only divided by 255."""
    _, calls, _, _ = spied(lab, attempt)
    weights = torch.tensor([float(call["images"]) for call in calls])
    mean = torch.tensor([call["mean"] for call in calls]).mul(weights[:, None]).sum(0) / weights.sum()
    square = torch.tensor([call["square"] for call in calls]).mul(weights[:, None]).sum(0) / weights.sum()
    deviation = (square - mean**2).clamp(min=0).sqrt()
    pixels = colours(65, seed=0)[0][:, :, 0, 0].float() / 255
    wanted_mean = (pixels.mean(0) - torch.tensor(SPIED_MEAN)) / torch.tensor(SPIED_STD)
    wanted_deviation = pixels.std(0) / torch.tensor(SPIED_STD)
    for i, channel in enumerate(("red", "green", "blue")):
        about = f"with mean={SPIED_MEAN[i]:g}, std={SPIED_STD[i]:g} for {channel} (channel {i}), the backbone was given"
        check.true(abs(mean[i] - wanted_mean[i]).item() <= 0.4,
                   f"{about} values of mean {mean[i]:.3g}; they should be about {wanted_mean[i]:.3g}")
        check.true(1 / 1.6 <= (deviation[i] / wanted_deviation[i]).item() <= 1.6,
                   f"{about} values of deviation {deviation[i]:.3g}; they should be about {wanted_deviation[i]:.3g}")


def test_as_many_outputs_as_classes(lab, attempt):
    """The pretrained head knows the source's classes. The new one has num_classes outputs, whatever the source had."""
    run, _, _, _ = spied(lab, attempt)
    with torch.no_grad(), lab.on_device():
        logits = run.model(colours(5, seed=2)[0])
    check.is_float_tensor(logits, name="the output for a batch of 5")
    check.shape(logits, (5, SPIED_CLASSES), name="the output for a batch of 5",
                why=f"the run had num_classes={SPIED_CLASSES}")


def test_given_backbone_is_left_as_it_was(lab, attempt):
    """Whoever passes a backbone may use it again, for the next task or the next seed: work on a copy. Weights, buffers,
    mode and requires_grad are afterwards as they were."""
    _, _, spy, before = spied(lab, attempt)
    after = seen_from_outside(spy)
    for name, value in before.items():
        check.equal(after[name], value, name=f"{name} of the backbone that fine_tune() was given")


def test_batchnorm_statistics_come_from_real_batches(lab, attempt):
    """In training mode BatchNorm standardises by the batch. Alone in it, as the last image of an epoch may be, an image
    loses its own brightness and contrast, and the running averages follow. Freeze them, by eval mode, since
    requires_grad = False does not; or give each update 8 images at least, in the last batch as well."""
    _, calls, _, _ = spied(lab, attempt)
    small = [call["images"] for call in calls if call["updated"] and call["images"] < 8]
    check.true(not small, f"trained on 65 images, BatchNorm's running statistics were updated {len(small)} times from "
                          f"fewer than 8 images, once from {min(small, default=0)}")


# --- the clock and the graded run


@pytest.mark.points(2)
def test_keeps_a_short_budget(lab):
    """Whoever pays for the machine sets the time. With 2 seconds, fine_tune() must look at the clock and hand over
    what it has, however little that is."""
    training.check_budget(lab, budget_s=2.0)


def test_logits_are_scores(lab):
    """Cross-entropy in PyTorch contains the softmax. A second one in the model still learns, slowly, and hides behind
    an accuracy that looks like bad luck."""
    training.check_logits(lab.run)


def test_logits_of_both_signs(lab):
    """A ReLU after the head cuts off every negative score. A class that is at 0 for all images gets no gradient, and
    is never predicted again."""
    training.check_negative_logits(lab.run)


def test_same_image_same_logits(lab):
    """A backbone full of BatchNorm in training mode gives an image other features in other company. Return the model
    in eval mode, frozen or not: requires_grad has nothing to do with it."""
    training.check_same_twice(lab.run)


def test_one_image_alone(lab):
    """An image's logits are the same alone and among 63 others."""
    training.check_alone(lab.run)


def test_predicting_changes_nothing(lab):
    """A model that is in use must not go on learning from what it is shown, not even averages."""
    training.check_state(lab.run)


@pytest.mark.parametrize("byte", [0, 128, 255])
def test_images_of_one_value(lab, byte):
    """A camera with its cap on sends such images. Standardising by the mean and deviation that were given is safe;
    by those of the image itself it divides by 0."""
    image = torch.full((2, *lab.x.shape[1:]), byte, dtype=torch.uint8)
    check.finite(lab.run.forward(image), name=f"the logits of an image of nothing but {byte}")


@pytest.mark.points(5)
def test_accuracy(lab):
    """The share of held-out images that are recognised, where the model gets raw bytes and nothing else. See the
    profile for where the bar comes from."""
    training.check_accuracy(lab)


def from_scratch(lab):
    """{"accuracy": ...} of the small network on the same images without pretraining: AdamW, a learning rate that rises
    and falls, shifts of up to two pixels, mirroring."""
    torch.manual_seed(0)
    known = backbones.about(lab.profile.settings["backbone"])
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (known.mean, known.std))
    model = kit.resnet8(len(lab.classes)).to(memory_format=torch.channels_last)
    per_epoch = max(1, len(lab.x) // 32)
    total = int(lab.profile.settings["control_epochs"]) * per_epoch
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.05)

    def standardised(images):
        return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)

    for step in range(total):
        if step % per_epoch == 0:
            order = torch.randperm(len(lab.x))
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min((step + 1) / (0.2 * total), (total - step) / (0.8 * total))
        chosen = order[step % per_epoch * 32:][:32]
        down, along = torch.randint(5, (2,)).tolist()
        images = F.pad(standardised(lab.x[chosen]), (2, 2, 2, 2))[:, :, down:, along:][:, :, :32, :32]
        images = torch.where(torch.rand(len(chosen), 1, 1, 1) < 0.5, images.flip(3), images)
        loss = F.cross_entropy(model(images), lab.y[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        right = sum((model(standardised(images)).argmax(1) == labels).sum().item()
                    for images, labels in zip(lab.x_test.split(500), lab.y_test.split(500)))
    return {"accuracy": right / len(lab.y_test)}


@pytest.mark.points(2)
def test_gains_on_training_from_scratch(lab):
    """What the pretraining is worth: the judge trains the same network from random weights on the same labelled
    images. Where there are labels enough, nothing is asked for here: both arrive."""
    if "gain_points" not in lab.profile.settings:
        return
    control = lab.control("the same network from scratch", lambda: from_scratch(lab),
                          recipe=inspect.getsource(from_scratch), kit=inspect.getsource(kit))
    training.check_beats(lab, lab.run.accuracy, control["accuracy"], float(lab.profile.settings["gain_points"]),
                         "from scratch")


# --- further runs


def test_validation_images_are_not_trained_on(lab):
    """Validation data chooses between models. With few labels it is tempting to train on them as well, and then
    nothing is left to choose by."""
    training.check_validation_untouched(lab, count=32)  # few, so that the others would be learned by heart


def test_validation_leaves_no_trace(lab):
    """Labels and gradients are not all that can be learned from: in training mode BatchNorm averages the images that go
    through it, and the backbone is then fitted to those that were to judge it."""
    training.check_validation_leaves_no_trace(lab, count=96)


def test_shuffled_labels_teach_nothing(lab):
    """Trained on labels in random order the same code must be at chance: what it knows of the target comes from the
    labels. With few labels and good features chance is wide, hence 15 points of room."""
    training.check_shuffled_labels(lab, at_most=1 / len(lab.classes) + 0.15, count=128)


def test_same_seed_same_model(lab):
    """A result that cannot be repeated cannot be debugged: head, order and augmentation all follow from seed."""
    training.check_reproducible(lab, count=96)
