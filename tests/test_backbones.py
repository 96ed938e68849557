"""The architectures of resnet-transfer, the backbones that come with prep, and the ones that are fetched."""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import io
import shutil
import socket
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from grader import backbones, surrogates
from grader.errors import PrepError

ROOT = Path(backbones.__file__).resolve().parent.parent
PROBLEM = ROOT / "problems" / "resnet-transfer"


def module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded  # dataclasses look their module up
    try:
        spec.loader.exec_module(loaded)
    finally:
        del sys.modules[name]
    return loaded


kit = module("resnet_transfer_kit", PROBLEM / "kit.py")


# --- architectures


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{key}": (width,) for key in ("weight", "bias", "running_mean", "running_var")} | {
        f"{name}.num_batches_tracked": ()}


def block(name: str, before: int, width: int, projected: bool) -> dict[str, tuple[int, ...]]:
    shapes = {f"{name}.conv1.weight": (width, before, 3, 3)} | norm(f"{name}.bn1", width)
    shapes |= {f"{name}.conv2.weight": (width, width, 3, 3)} | norm(f"{name}.bn2", width)
    if projected:
        shapes |= {f"{name}.downsample.0.weight": (width, before, 1, 1)} | norm(f"{name}.downsample.1", width)
    return shapes


TORCHVISION_RESNET18 = (
    {"conv1.weight": (64, 3, 7, 7)} | norm("bn1", 64)
    | block("layer1.0", 64, 64, False) | block("layer1.1", 64, 64, False)
    | block("layer2.0", 64, 128, True) | block("layer2.1", 128, 128, False)
    | block("layer3.0", 128, 256, True) | block("layer3.1", 256, 256, False)
    | block("layer4.0", 256, 512, True) | block("layer4.1", 512, 512, False)
    | {"fc.weight": (1000, 512), "fc.bias": (1000,)})


def test_resnet18_has_the_keys_and_shapes_of_torchvisions() -> None:
    state = kit.resnet18(1000).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == TORCHVISION_RESNET18
    assert len(state) == 122
    assert list(state) == list(TORCHVISION_RESNET18)


@pytest.mark.parametrize("name, classes, count", [("resnet18", 1000, 11_689_512), ("resnet18", None, 11_176_512),
                                                  ("resnet8", 10, 78_042), ("resnet8", None, 77_392)])
def test_parameter_counts(name: str, classes: int | None, count: int) -> None:
    assert sum(parameter.numel() for parameter in kit.ARCHITECTURES[name](classes).parameters()) == count


@pytest.mark.parametrize("name, sides", [("resnet8", [(32, 32), (16, 16), (8, 8)]),
                                         ("resnet18", [(8, 8), (4, 4), (2, 2), (1, 1)])])
def test_sides_of_the_feature_maps_at_32_pixels(name: str, sides: list[tuple[int, int]]) -> None:
    model, found = kit.ARCHITECTURES[name]().eval(), []
    for stage in range(1, len(sides) + 1):
        layer = model.get_submodule(f"layer{stage}")
        layer.register_forward_hook(lambda layer, inputs, output: found.append(tuple(output.shape[2:])))
    with torch.no_grad():
        assert model(torch.randn(2, 3, 32, 32)).shape == (2, model.feat_dim)
    assert found == sides


def test_backbone_is_the_network_without_its_head() -> None:
    whole = kit.resnet8(5).eval()
    model = kit.backbone("resnet8", whole.state_dict())
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(whole.fc(model(x)), whole(x))
    assert not model.training
    assert not [name for name in model.state_dict() if name.startswith("fc")]


def test_copies_of_the_spy_note_down_in_the_same_list() -> None:
    import copy

    spy = kit.Spy()
    twin = copy.deepcopy(spy).train()
    spy(torch.zeros(3, 3, 32, 32))
    twin(torch.ones(9, 3, 32, 32))
    assert [(call["images"], call["mean"], call["updated"]) for call in spy.calls] == [
        (3, [0, 0, 0], False), (9, [1, 1, 1], True)]


# --- the backbones that come with prep


def entries() -> dict[str, Any]:
    return tomllib.loads((PROBLEM / "backbones" / "backbones.toml").read_text(encoding="utf-8"))


def test_shipped_files_are_small_and_listed() -> None:
    files = sorted(path.name for path in (PROBLEM / "backbones").iterdir())
    assert files == sorted(["backbones.toml", *(entry["file"] for entry in entries().values())])
    assert sum(path.stat().st_size for path in (PROBLEM / "backbones").iterdir()) < 2_000_000


@pytest.mark.parametrize("name", sorted(entries()))
def test_shipped_backbone_fits_its_architecture(name: str) -> None:
    assert backbones.available(name)
    state, known = backbones.load(name), backbones.about(name)
    model = kit.ARCHITECTURES[known.architecture](len(state["fc.bias"]))
    model.load_state_dict(state)
    assert all(value.dtype in (torch.float32, torch.int64) and value.isfinite().all() for value in state.values())
    assert model.feat_dim == known.feat_dim
    assert all(0 < value < 1 for value in (*known.mean, *known.std))
    assert known.source in entries()[name]["source"]


def test_shapes_backbone_recognises_source_shapes() -> None:
    """On images drawn anew; backbones.toml has the accuracy on the script's own."""
    known, state = backbones.about("shapes"), backbones.load("shapes")
    images, labels = surrogates.shapes(300, 12345, source=True)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (known.mean, known.std))
    model = kit.resnet8(10)
    model.load_state_dict(state)
    with torch.no_grad():
        found = model.eval()((torch.from_numpy(images).float() / 255 - mean) / std).argmax(1)
    assert (found.numpy() == labels).mean() > 0.92


def test_every_backbone_of_the_problem_exists() -> None:
    profiles = tomllib.loads((PROBLEM / "problem.toml").read_text(encoding="utf-8"))["profiles"]
    rows = [*profiles.values(), *(row["surrogate"] for row in profiles.values() if "surrogate" in row)]
    for row in rows:
        backbones.about(row["settings"]["backbone"])


def test_loaded_twice_is_two_dicts() -> None:
    first = backbones.load("shapes")
    first.clear()
    assert backbones.load("shapes")


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bank of nothing but the backbones; the folder they are in."""
    folder = tmp_path / "problems" / "resnet-transfer" / "backbones"
    shutil.copytree(PROBLEM / "backbones", folder)
    monkeypatch.setenv("PREP_BANK", str(tmp_path))
    return folder


def test_damaged_file_is_refused(bank: Path) -> None:
    content = bytearray((bank / "shapes.npz").read_bytes())
    content[5000] ^= 1
    (bank / "shapes.npz").write_bytes(content)
    assert not backbones.available("shapes")
    with pytest.raises(PrepError, match=r"shapes\.npz is damaged.*SHA-256(.|\n)*git checkout"):
        backbones.load("shapes")


def test_missing_file(bank: Path) -> None:
    (bank / "shapes.npz").unlink()
    assert not backbones.available("shapes")
    with pytest.raises(PrepError, match=r"shapes\.npz cannot be read"):
        backbones.load("shapes")


def test_missing_index(bank: Path) -> None:
    (bank / "backbones.toml").unlink()
    with pytest.raises(PrepError, match=r"backbones\.toml cannot be read"):
        backbones.about("shapes")


def test_pickles_are_not_loaded(bank: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("a pickle was loaded",)

    np.savez(bank / "shapes.npz", weight=np.array([Harmful()], dtype=object))
    digest = hashlib.sha256((bank / "shapes.npz").read_bytes()).hexdigest()
    index = bank / "backbones.toml"
    index.write_text(index.read_text(encoding="utf-8").replace(entries()["shapes"]["sha256"], digest), encoding="utf-8")
    with pytest.raises(ValueError, match="allow_pickle"):
        backbones.load("shapes")


def test_unknown_name() -> None:
    with pytest.raises(PrepError, match=r"No backbone 'resnet50'; there are .*shapes.*resnet18"):
        backbones.load("resnet50")


# --- the ones that are fetched


@dataclass
class Server:
    """Serves `content` at any path. mode: good, missing, other (bytes) or silent."""

    content: bytes
    mode: str = "good"
    asked: list[str] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, server_state: Server, *args: Any) -> None:
        self.state = server_state
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        content = self.answer()
        if self.state.mode == "silent":
            threading.Event().wait(1.0)
        else:
            self.wfile.write(content)

    def answer(self) -> bytes:
        self.state.asked.append(self.command)
        content = self.state.content if self.state.mode != "other" else b"a login page"
        self.send_response(404 if self.state.mode == "missing" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def log_message(self, format: str, *args: Any) -> None:
        pass


WEIGHTS = {"conv1.weight": torch.arange(6.0).view(2, 3), "bn1.num_batches_tracked": torch.tensor(3)}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """In place of download.pytorch.org; with no weights on this machine."""
    file = io.BytesIO()
    torch.save(WEIGHTS, file)
    state = Server(file.getvalue())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, state)) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        digest = hashlib.sha256(state.content).hexdigest()[:8]
        name = f"toy-{digest}.pth"
        url = f"http://127.0.0.1:{listening.server_address[1]}/models/{name}"
        monkeypatch.setattr(backbones, "IMAGENET", replace(backbones.IMAGENET, file=name, sha256=digest, url=url))
        monkeypatch.setenv("PREP_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        backbones._fetched.cache_clear()
        yield state
        backbones._fetched.cache_clear()
        listening.shutdown()
        thread.join()


def place(server: Server, folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / backbones.IMAGENET.file
    path.write_bytes(server.content)
    return path


def assert_weights(state: dict[str, torch.Tensor]) -> None:
    assert set(state) == set(WEIGHTS)
    assert all(torch.equal(state[name], value) for name, value in WEIGHTS.items())


def test_fetched_once_and_found_afterwards(server: Server, tmp_path: Path) -> None:
    assert backbones.available("resnet18")
    assert_weights(backbones.load("resnet18"))
    assert [path.name for path in (tmp_path / "data" / "weights").iterdir()] == [backbones.IMAGENET.file]
    backbones._fetched.cache_clear()
    server.mode = "missing"
    server.asked.clear()
    assert backbones.available("resnet18")
    assert_weights(backbones.load("resnet18"))
    assert not server.asked


@pytest.mark.parametrize("place_of", ["data/weights", "torch/hub/checkpoints", "elsewhere/weights"])
def test_file_that_is_there_is_used(server: Server, tmp_path: Path, place_of: str) -> None:
    place(server, tmp_path / place_of)
    data_dir = tmp_path / "elsewhere" if place_of.startswith("elsewhere") else None
    assert backbones.available("resnet18", data_dir)
    assert_weights(backbones.load("resnet18", data_dir))
    assert not server.asked


def test_offline(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(backbones, "IMAGENET", replace(
            backbones.IMAGENET, url=f"http://127.0.0.1:{unused.getsockname()[1]}/{backbones.IMAGENET.file}"))
        assert not backbones.available("resnet18")
        with pytest.raises(PrepError, match=r"fetched: .*refused(.|\n)*curl -LO http(.|\n)*--profile cpu") as found:
            backbones.load("resnet18")
    assert str(tmp_path / "data" / "weights") in found.value.fix


def test_server_without_the_file(server: Server) -> None:
    server.mode = "missing"
    assert not backbones.available("resnet18")
    with pytest.raises(PrepError, match=r"could not be fetched: .*Not Found"):
        backbones.load("resnet18")


def test_other_bytes_never_get_the_name(server: Server, tmp_path: Path) -> None:
    server.mode = "other"
    with pytest.raises(PrepError, match="could not be fetched: invalid hash value"):
        backbones.load("resnet18")
    assert not list((tmp_path / "data" / "weights").iterdir())


def test_silent_server_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.mode = "silent"
    monkeypatch.setattr(backbones, "TIMEOUT_S", 0.2)
    with pytest.raises(PrepError, match=r"could not be fetched: .*timed out"):
        backbones.load("resnet18")
    assert socket.getdefaulttimeout() is None


def test_file_that_is_not_the_official_one(server: Server, tmp_path: Path) -> None:
    path = place(server, tmp_path / "data" / "weights")
    path.write_bytes(b"half of it")
    with pytest.raises(PrepError, match=r"not the official file(.|\n)*rm "):
        backbones.load("resnet18")
    assert not server.asked


def test_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(PrepError, match="could not be fetched"):
        backbones.load("resnet18")


def test_code_in_a_weights_file_does_not_run(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("a pickle was loaded",)

    path = tmp_path / "data" / "weights" / "harm.pth"
    path.parent.mkdir(parents=True)
    torch.save({"conv1.weight": Harmful()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(backbones, "IMAGENET", replace(backbones.IMAGENET, file=path.name, sha256=digest))
    with pytest.raises(PrepError, match="holds more than weights"):
        backbones.load("resnet18")


# --- the script


def test_script_writes_the_same_bytes_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = module("make_backbones", ROOT / "scripts" / "make_backbones.py")

    def few(data_dir: Path | None) -> tuple[Any, Any]:
        return script.tensors(*surrogates.shapes(140, 1)), script.tensors(*surrogates.shapes(20, 2))

    monkeypatch.setattr(script, "RECIPES", {"few": script.Recipe("a few shapes", few, 10, 1, 0.1, mirrored=True)})
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    try:
        for folder in ("first", "second"):
            monkeypatch.setattr(sys, "argv", ["make_backbones.py", "--out", str(tmp_path / folder)])
            script.main()
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads)
    first, second = ((tmp_path / folder / "few.npz").read_bytes() for folder in ("first", "second"))
    assert first == second
    entry = tomllib.loads((tmp_path / "first" / "backbones.toml").read_text(encoding="utf-8"))["few"]
    assert entry["sha256"] == hashlib.sha256(first).hexdigest()
    assert set(entry) == set(entries()["shapes"])
