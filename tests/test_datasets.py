"""Data sets on disk, whole and broken in every way; downloads from a real server that fails in every way."""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader import datasets, report
from grader.datasets import Dataset, Download, State, Transfer
from grader.errors import PrepError

ROOT = Path(datasets.__file__).resolve().parent.parent
CLASSES = ("ant", "bee", "cat")
TRAIN, TEST = 3000, 200
IDX_SHAPE, RECORD_SHAPE = (1, 5, 4), (3, 5, 4)
LABELS = "train-labels-idx1-ubyte"
IMAGES = "train-images-idx3-ubyte"


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def made(shape: tuple[int, int, int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Noise, which does not compress: a gzipped file is long enough to be cut."""
    rng = np.random.default_rng(0)
    return {split: (rng.integers(0, 256, (n, *shape), np.uint8), np.arange(n) % len(CLASSES))
            for split, n in (("train", TRAIN), ("test", TEST))}


def contents(dataset: Dataset) -> dict[str, bytes]:
    """name -> the uncompressed file, written the way the formats are documented, apart from the code under test."""
    files = {}
    for split, (images, labels) in made(dataset.shape).items():
        if dataset.name == "toy-idx":
            prefix = "train" if split == "train" else "t10k"
            files[f"{prefix}-images-idx3-ubyte"] = (
                b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (len(images), 5, 4)) + images.tobytes())
            files[f"{prefix}-labels-idx1-ubyte"] = (
                b"\0\0\x08\x01" + len(labels).to_bytes(4, "big") + labels.astype(np.uint8).tobytes())
        else:
            records = np.concatenate([labels.astype(np.uint8)[:, None], images.reshape(len(images), -1)], axis=1)
            names = [f"data_batch_{k}.bin" for k in range(1, 6)] if split == "train" else ["test_batch.bin"]
            files |= {name: batch.tobytes() for name, batch in zip(names, np.split(records, len(names)))}
    return files


def packed(files: dict[str, bytes], folder: str = "cifar-10-batches-bin/") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in {"readme.html": b"<p>", **files}.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), 1, mtime=0)  # the same in every process


IDX = Dataset("toy-idx", "Toy", CLASSES, IDX_SHAPE, TRAIN, TEST, datasets.idx_parts(IDX_SHAPE, TRAIN, TEST),
              ("mnist", "MNIST/raw", ""), "mnist", (), ())
RECORDS = Dataset("toy-records", "Toy records", CLASSES, RECORD_SHAPE, TRAIN, TEST,
                  datasets.record_parts(RECORD_SHAPE, TRAIN, TEST), ("cifar-10-batches-bin", ""), "", (), (),
                  ("cifar-10-batches-py", "cifar-10-python.tar.gz"))
IDX_FILES, RECORD_FILES = contents(IDX), contents(RECORDS)
OFFERED = {f"{name}.gz": gzip.compress(content, 1, mtime=0) for name, content in IDX_FILES.items()}
ARCHIVE = packed(RECORD_FILES)
BIG = f"{IMAGES}.gz"
"""the toy file that tests cut: about 60 kB"""


def toys(*mirrors: str) -> dict[str, Dataset]:
    """The toy data sets, to be had from `mirrors`, with digests of their own."""
    idx = tuple(Download(name, len(content), md5(content)) for name, content in OFFERED.items())
    archive = (Download("toy-binary.tar.gz", len(ARCHIVE), md5(ARCHIVE)),)
    return {d.name: d for d in (replace(IDX, downloads=idx, mirrors=mirrors),
                                replace(RECORDS, downloads=archive, mirrors=mirrors))}


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "REAL", datasets.REAL | toys("http://127.0.0.1:9/"))
    monkeypatch.setattr(datasets, "CHUNK", 1000)  # what had come of a chunk is lost where a connection breaks
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PREP_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def lay_out(folder: Path, below: str = "mnist", *, zipped: bool = True, dotted: bool = False) -> Path:
    home = folder / below
    home.mkdir(parents=True, exist_ok=True)
    for name, content in IDX_FILES.items():
        name = name.replace("-idx", ".idx") if dotted else name
        (home / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content, 1) if zipped else content)
    return folder


def lay_out_records(folder: Path, below: str = "cifar-10-batches-bin") -> Path:
    (folder / below).mkdir(parents=True, exist_ok=True)
    for name, content in RECORD_FILES.items():
        (folder / below / name).write_bytes(content)
    return folder


def check(name: str, folder: Path) -> None:
    """The data set loads, and is what was written."""
    for split, (images, labels) in zip(datasets.load(name, folder), made(datasets.get(name).shape).values()):
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64
        assert split.images.flags.writeable and split.images.flags.c_contiguous  # torch.from_numpy warns otherwise
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, labels)
    assert datasets.available(name, folder)


def refusal(name: str, folder: Path) -> PrepError:
    with pytest.raises(PrepError) as caught:
        datasets.load(name, folder)
    assert f"prep data fetch {name}" in caught.value.fix or "chmod" in caught.value.fix
    return caught.value


# What is there


@pytest.mark.parametrize("dotted", [False, True], ids=["-idx", ".idx"])
@pytest.mark.parametrize("zipped", [True, False], ids=["gz", "plain"])
@pytest.mark.parametrize("below", ["mnist", "MNIST/raw", "."])
def test_idx_files_are_read_wherever_people_have_them(tmp_path: Path, below: str, zipped: bool, dotted: bool) -> None:
    check("toy-idx", lay_out(tmp_path, below, zipped=zipped, dotted=dotted))


@pytest.mark.parametrize("below", ["cifar-10-batches-bin", "."])
def test_records_are_read_from_their_folder(tmp_path: Path, below: str) -> None:
    check("toy-records", lay_out_records(tmp_path, below))


@pytest.mark.parametrize("prefix", ["cifar-10-batches-bin/", "./cifar-10-batches-bin/", ""])
def test_records_are_read_from_the_archive_and_nothing_is_written(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "toy-binary.tar.gz").write_bytes(packed(RECORD_FILES, prefix))
    check("toy-records", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["toy-binary.tar.gz"]


def test_an_archive_that_climbs_out_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "toy-binary.tar.gz").write_bytes(packed(RECORD_FILES, "../../"))
    check("toy-records", folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "toy-binary.tar.gz"]


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(RECORD_FILES["test_batch.bin"])
    with tarfile.open(tmp_path / "toy-binary.tar.gz", "w:gz") as archive:
        for name, content in RECORD_FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if name == "test_batch.bin":
                member.type, member.linkname, member.size = tarfile.SYMTYPE, str(secret), 0
            archive.addfile(member, io.BytesIO(content))
    assert "it has no test_batch.bin" in refusal("toy-records", tmp_path).what


def test_the_name_of_a_file_does_not_decide_whether_it_is_gzipped(tmp_path: Path) -> None:
    """A browser may unpack a file and leave it its name."""
    lay_out(tmp_path)
    (tmp_path / "mnist" / BIG).write_bytes(IDX_FILES[IMAGES])
    check("toy-idx", tmp_path)


def test_a_good_copy_is_found_beside_a_bad_one(tmp_path: Path) -> None:
    lay_out(lay_out(tmp_path, "MNIST/raw"), "mnist", zipped=False)
    (tmp_path / "mnist" / IMAGES).write_bytes(b"")
    check("toy-idx", tmp_path)


def test_bins_that_are_missing_come_from_the_archive(tmp_path: Path) -> None:
    lay_out_records(tmp_path)
    (tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    (tmp_path / "toy-binary.tar.gz").write_bytes(ARCHIVE)
    check("toy-records", tmp_path)


def test_a_file_of_several_gzip_members_is_whole(tmp_path: Path) -> None:
    lay_out(tmp_path)
    content = IDX_FILES[IMAGES]
    (tmp_path / "mnist" / BIG).write_bytes(gzip.compress(content[:1000]) + gzip.compress(content[1000:]))
    check("toy-idx", tmp_path)


def test_the_data_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert datasets.root().parts[-2:] == ("prep", "data")
    monkeypatch.setenv("PREP_DATA_DIR", str(lay_out(tmp_path)))
    datasets.load("toy-idx")
    assert datasets.available("toy-idx") and datasets.root() == tmp_path


# What is broken


def edited(at: int, to: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content[:at] + to + content[at + len(to):]


BROKEN: dict[str, tuple[str, Callable[[bytes], bytes], State, str]] = {
    "truncated": (IMAGES, lambda c: c[:-1], State.TRUNCATED, "60,015 of 60,016 bytes"),
    "empty": (LABELS, lambda c: b"", State.TRUNCATED, "0 of 3,008 bytes"),
    "header only": (LABELS, lambda c: c[:6], State.TRUNCATED, "6 of 3,008 bytes"),
    "too long": (LABELS, lambda c: c + b"\0", State.TOO_LONG, "more than 3,008 bytes"),
    "a web page": (LABELS, lambda c: b"<!DOCTYPE html>", State.WRONG_MAGIC, "3c 21 44 4f where 00 00 08 01 must be"),
    "labels for images": (IMAGES, lambda c: IDX_FILES[LABELS], State.WRONG_MAGIC, "00 00 08 01 where 00 00 08 03"),
    "of another size": (IMAGES, edited(8, b"\0\0\0\x1c"), State.WRONG_AXES, "3000 x 28 x 4 where 3000 x 5 x 4"),
    "a label too high": (LABELS, edited(8 + 1234, b"\x03"), State.WRONG_LABELS, "3 in row 1,234; they go from 0 to 2"),
    "a label of zeros": (LABELS, lambda c: c[:8] + bytes(TRAIN), State.WRONG_LABELS, "no row is labelled 1"),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["gz", "plain"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_idx_file_is_named_with_its_fault(tmp_path: Path, case: str, zipped: bool) -> None:
    name, broken, state, detail = BROKEN[case]
    path = lay_out(tmp_path, zipped=zipped) / "mnist" / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(broken(IDX_FILES[name])) if zipped else broken(IDX_FILES[name]))
    error = refusal("toy-idx", tmp_path)
    assert error.what.startswith(f"Toy cannot be used. {path}: {state} (") and detail in error.what
    assert error.fix == f"Get the official file:  prep data fetch toy-idx --data-dir {tmp_path}"
    assert state in (State.WRONG_LABELS, State.WRONG_MAGIC, State.WRONG_AXES) or not datasets.available(
        "toy-idx", tmp_path)
    found = {file.path: file for file in datasets.status(tmp_path) if file.dataset == "toy-idx"}
    assert found.pop(path).state == state and {file.state for file in found.values()} == {State.PRESENT}


@pytest.mark.parametrize("keep", [5, 0.5, -1, -4, -8])
def test_a_truncated_gzip_file_is_truncated(tmp_path: Path, keep: float) -> None:
    path = lay_out(tmp_path) / "mnist" / BIG
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * keep) if isinstance(keep, float) else keep])
    assert f"{path}: {State.TRUNCATED}" in refusal("toy-idx", tmp_path).what
    assert not datasets.available("toy-idx", tmp_path)


def test_a_flipped_bit_in_a_gzip_file_is_damage(tmp_path: Path) -> None:
    path = lay_out(tmp_path) / "mnist" / BIG
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert f"{path}: {State.DAMAGED} (" in refusal("toy-idx", tmp_path).what


@pytest.mark.parametrize(("broken", "state", "detail"), [
    (lambda c: c[:-1], State.TRUNCATED, "36,599 of 36,600 bytes"), (lambda c: c + b"\0", State.TOO_LONG, "36,600"),
    (edited(61, b"\x09"), State.WRONG_LABELS, "9 in row 1;"),
    (lambda c: bytes(len(c)), State.WRONG_LABELS, "no row is labelled 1")])
@pytest.mark.parametrize("archived", [False, True], ids=["bin", "archive"])
def test_a_broken_batch_is_named_with_its_fault(tmp_path: Path, broken: Callable[[bytes], bytes], state: State,
                                                detail: str, archived: bool) -> None:
    name = "data_batch_2.bin"
    if archived:
        path = tmp_path / "toy-binary.tar.gz"
        path.write_bytes(packed(RECORD_FILES | {name: broken(RECORD_FILES[name])}))
        detail = f"{name}: {detail}" if state is not State.TOO_LONG else name
    else:
        path = lay_out_records(tmp_path) / "cifar-10-batches-bin" / name
        path.write_bytes(broken(RECORD_FILES[name]))
    error = refusal("toy-records", tmp_path)
    assert f"{path}: {state} (" in error.what and detail in error.what


@pytest.mark.parametrize("keep", [0.01, 0.5, 0.99])
def test_a_truncated_archive_is_truncated(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "toy-binary.tar.gz"
    path.write_bytes(ARCHIVE[:int(len(ARCHIVE) * keep)])
    assert f"{path}: {State.TRUNCATED}" in refusal("toy-records", tmp_path).what
    assert not datasets.available("toy-records", tmp_path)


def test_the_checksum_at_the_very_end_of_an_archive_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "toy-binary.tar.gz"
    path.write_bytes(ARCHIVE[:-8] + bytes(4) + ARCHIVE[-4:])
    assert f"{path}: {State.DAMAGED} (CRC check failed" in refusal("toy-records", tmp_path).what


def test_an_archive_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "toy-binary.tar.gz").write_bytes(b"<html>")
    assert State.DAMAGED in refusal("toy-records", tmp_path).what


def test_nothing_there(tmp_path: Path) -> None:
    error = refusal("toy-idx", tmp_path / "no")
    assert error.what == f"Toy is not in {tmp_path / 'no'}." and "export PREP_DATA_DIR=FOLDER" in error.fix
    assert not datasets.available("toy-idx", tmp_path / "no")
    lay_out(tmp_path)
    (tmp_path / "mnist" / BIG).unlink()
    assert refusal("toy-idx", tmp_path).what == f"Toy is not in {tmp_path}: there is no {BIG}."


@pytest.mark.parametrize("name", ["cifar-10-batches-py", "cifar-10-python.tar.gz"])
def test_the_version_of_pickles_is_recognised_and_not_read(tmp_path: Path, name: str) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    if name.endswith("py"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data_batch_1").write_bytes(pickle.dumps(Trap()))
    else:
        (tmp_path / name).write_bytes(packed({"data_batch_1": pickle.dumps(Trap())}))
    error = refusal("toy-records", tmp_path)
    assert str(tmp_path / name) in error.what and "unpickling a file runs whatever code is in it" in error.what
    assert "prep data fetch toy-records" in error.fix and not (tmp_path / "sprung").exists()
    assert State.PICKLED in {file.state for file in datasets.status(tmp_path)}
    lay_out_records(tmp_path)
    check("toy-records", tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lay_out(tmp_path) / "mnist" / BIG
    opened = Path.open

    def denied(self: Path, *args: Any, **kwargs: Any) -> Any:  # root may read anything, so a mode proves nothing
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", denied)
    error = refusal("toy-idx", tmp_path)
    assert f"{path}: unreadable (Permission denied)" in error.what and error.fix.endswith(f"chmod -R u+rX {tmp_path}")


def test_no_such_data_set() -> None:
    with pytest.raises(PrepError) as caught:
        datasets.load("cifar-10")
    assert caught.value.fix == "Did you mean cifar10?  prep data status"


# Downloads


@dataclass
class Server:
    """Serves OFFERED and ARCHIVE, and fails as told. asked: (path, Range header) of each request."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: OFFERED | {"toy-binary.tar.gz": ARCHIVE})
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    ranges: bool = True
    cuts: int = 0
    """how many answers break off"""
    cut_after: int = 20_000
    status: int | None = None
    delay_s: float = 0.0
    """between pieces of 2,000 bytes"""
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False
    redirect: str = ""

    def ranges_asked(self, name: str = BIG) -> list[str | None]:
        return [asked for path, asked in self.asked if path == f"/{name}"]


def handler(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.asked.append((self.path, asked))
            content = server.files.get(self.path[1:])
            if server.redirect:
                self.send_response(301)
                self.send_header("Location", server.redirect + self.path[1:])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if server.status or content is None:
                self.send_error(server.status or 404)
                return
            begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
            if begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            if not server.chunked:
                self.send_header("Content-Length", str(len(content) - begin))
            for key, value in server.headers.items():
                self.send_header(key, value)
            self.end_headers()
            rest, stop = content[begin:], None
            if server.cuts and len(rest) > server.cut_after:
                server.cuts -= 1
                stop = server.cut_after
            for at in range(0, len(rest[:stop]), 2000):
                try:
                    self.wfile.write(rest[:stop][at:at + 2000])
                except OSError:
                    return
                time.sleep(server.delay_s)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[Server]]]:
    """serve(Server(...), ...) starts them; the toy data sets then have them for mirrors, in this order."""
    running: list[http.server.ThreadingHTTPServer] = []

    def start(*servers: Server) -> list[Server]:
        for server in servers:
            listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(server))
            running.append(listener)
            threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
            server.url = f"http://127.0.0.1:{listener.server_port}/"
        monkeypatch.setattr(datasets, "REAL", datasets.REAL | toys(*(server.url for server in servers)))
        return list(servers)

    yield start
    for listener in running:
        listener.shutdown()
        listener.server_close()


Serve = Callable[..., list[Server]]


def fetch_fails(name: str, folder: Path) -> PrepError:
    with pytest.raises(PrepError) as caught:
        datasets.fetch(name, folder)
    assert f"prep data fetch {name}" in caught.value.fix
    return caught.value


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


COMPLETE = {f"mnist/{name}" for name in OFFERED}


@pytest.mark.parametrize(("name", "files"), [("toy-idx", COMPLETE), ("toy-records", {"toy-binary.tar.gz"})])
def test_fetch_then_load(tmp_path: Path, serve: Serve, name: str, files: set[str]) -> None:
    [server] = serve(Server())
    seen: list[Transfer] = []
    folder = datasets.fetch(name, tmp_path / "new", progress=seen.append)
    assert folder == (tmp_path / "new" / "mnist" if name == "toy-idx" else tmp_path / "new")
    assert names(tmp_path / "new") == files
    check(name, tmp_path / "new")
    assert {t.file for t in seen if t.done == t.size} == {path.removeprefix("mnist/") for path in files}
    requests = len(server.asked)
    datasets.fetch(name, tmp_path / "new")
    assert len(server.asked) == requests == len(files), "what is there is not downloaded again"
    assert stat.S_IMODE((tmp_path / "new" / min(files)).stat().st_mode) & 0o400


def test_only_what_is_missing_or_broken_is_downloaded(tmp_path: Path, serve: Serve) -> None:
    [server] = serve(Server())
    lay_out(tmp_path, "MNIST/raw", zipped=False)
    (tmp_path / "MNIST" / "raw" / LABELS).write_bytes(IDX_FILES[LABELS][:8] + b"\xff" * TRAIN)
    datasets.fetch("toy-idx", tmp_path)
    assert [path for path, _ in server.asked] == [f"/{LABELS}.gz"]
    check("toy-idx", tmp_path)


def test_a_broken_file_of_the_same_name_is_replaced(tmp_path: Path, serve: Serve) -> None:
    serve(Server())
    (lay_out(tmp_path) / "mnist" / BIG).write_bytes(b"<html>")
    datasets.fetch("toy-idx", tmp_path)
    check("toy-idx", tmp_path)


def test_a_broken_connection_is_taken_up_where_it_broke(tmp_path: Path, serve: Serve) -> None:
    [server] = serve(Server(cuts=2))
    datasets.fetch("toy-idx", tmp_path)
    check("toy-idx", tmp_path)
    assert server.ranges_asked() == [None, "bytes=20000-", "bytes=40000-"]


def test_the_next_run_goes_on_where_the_last_one_stopped(tmp_path: Path, serve: Serve) -> None:
    [server] = serve(Server())
    half = tmp_path / "mnist" / f"{BIG}.part"
    half.parent.mkdir()
    half.write_bytes(OFFERED[BIG][:12_345])
    error = refusal("toy-idx", tmp_path)
    assert error.what == f"Toy is not complete: the download of {BIG} stopped at 12.3 kB of 60.1 kB."
    assert error.fix.startswith("Go on from there:  prep data fetch toy-idx")
    assert not datasets.available("toy-idx", tmp_path)
    datasets.fetch("toy-idx", tmp_path)
    assert server.ranges_asked() == ["bytes=12345-"]
    check("toy-idx", tmp_path)


def test_another_mirror_continues_what_the_first_began(tmp_path: Path, serve: Serve) -> None:
    first, second = serve(Server(cuts=9, cut_after=9_000), Server())
    datasets.fetch("toy-idx", tmp_path)
    assert first.ranges_asked() == [None, *(f"bytes={n}-" for n in (9000, 18000, 27000, 36000))]
    assert second.ranges_asked() == ["bytes=45000-"]
    check("toy-idx", tmp_path)


def test_a_server_without_ranges_sends_all_again(tmp_path: Path, serve: Serve) -> None:
    [server] = serve(Server(ranges=False, cuts=1))
    seen: list[int] = []
    datasets.fetch("toy-idx", tmp_path, progress=lambda t: seen.append(t.done) if t.file == BIG else None)
    assert server.ranges_asked() == [None, "bytes=20000-"] and seen.count(0) == 2
    check("toy-idx", tmp_path)


def test_a_whole_part_is_not_downloaded_again(tmp_path: Path, serve: Serve) -> None:
    """A kill between the last byte and the file's name."""
    [server] = serve(Server())
    half = tmp_path / "toy-binary.tar.gz.part"
    half.write_bytes(ARCHIVE)
    datasets.fetch("toy-records", tmp_path)
    assert server.asked == [] and names(tmp_path) == {"toy-binary.tar.gz"}
    check("toy-records", tmp_path)


@pytest.mark.parametrize("left", [b"\0" * 30_000, b"\0" * len(ARCHIVE), b"\0" * 2 * len(ARCHIVE)],
                         ids=["half", "whole", "too long"])
def test_a_part_of_something_else_is_thrown_away(tmp_path: Path, serve: Serve, left: bytes) -> None:
    [server] = serve(Server())
    (tmp_path / "toy-binary.tar.gz.part").write_bytes(left)
    datasets.fetch("toy-records", tmp_path)
    assert server.asked[-1] == ("/toy-binary.tar.gz", None)
    check("toy-records", tmp_path)


def test_a_wrong_checksum_is_said_and_the_file_is_gone(tmp_path: Path, serve: Serve) -> None:
    wrong = OFFERED[BIG][:-1] + b"\xff"
    serve(Server(files=OFFERED | {BIG: wrong}))
    error = fetch_fails("toy-idx", tmp_path)
    assert f"no mirror gave {BIG}." in error.what
    assert (f"  127.0.0.1:{datasets.get('toy-idx').mirrors[0].split(':')[2][:-1]}: wrong checksum: "
            f"md5 {md5(wrong)[4:]}, not {md5(OFFERED[BIG])[4:]}; deleted") in error.what
    assert names(tmp_path) == set()


def test_a_mirror_with_a_wrong_file_is_passed_over(tmp_path: Path, serve: Serve) -> None:
    bad, good = serve(Server(files={"toy-binary.tar.gz": ARCHIVE[:-1] + b"\xff"}), Server())
    datasets.fetch("toy-records", tmp_path)
    assert (len(bad.asked), len(good.asked)) == (1, 1)
    check("toy-records", tmp_path)


def test_404_then_the_next_mirror(tmp_path: Path, serve: Serve) -> None:
    gone, good = serve(Server(files={}), Server())
    datasets.fetch("toy-idx", tmp_path)
    assert len(gone.asked) == len(good.asked) == 4
    check("toy-idx", tmp_path)


def test_a_redirect_is_followed_with_the_range(tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    target, moved = serve(Server(), Server())
    moved.redirect = target.url
    monkeypatch.setattr(datasets, "REAL", toys(moved.url))
    (tmp_path / "toy-binary.tar.gz.part").write_bytes(ARCHIVE[:1000])
    datasets.fetch("toy-records", tmp_path)
    assert target.asked == [("/toy-binary.tar.gz", "bytes=1000-")]
    check("toy-records", tmp_path)


def test_a_login_page_does_not_cost_what_was_there(tmp_path: Path, serve: Serve) -> None:
    serve(Server(ranges=False, files={"toy-binary.tar.gz": b"<html>Please log in</html>"}))
    half = tmp_path / "toy-binary.tar.gz.part"
    half.write_bytes(ARCHIVE[:1000])
    error = fetch_fails("toy-records", tmp_path)
    assert f"its file has 26 bytes, not {len(ARCHIVE):,}" in error.what and "1.0 kB of it are kept." in error.what
    assert half.read_bytes() == ARCHIVE[:1000]


def test_a_file_that_does_not_end_is_cut_off(tmp_path: Path, serve: Serve) -> None:
    serve(Server(chunked=True, files={"toy-binary.tar.gz": ARCHIVE * 3}))
    assert f"its file has more than {len(ARCHIVE):,} bytes" in fetch_fails("toy-records", tmp_path).what
    assert names(tmp_path) == set()


def test_a_gz_file_is_kept_as_it_is_whatever_the_server_calls_it(tmp_path: Path, serve: Serve) -> None:
    serve(Server(headers={"Content-Encoding": "x-gzip"}))
    datasets.fetch("toy-idx", tmp_path)
    assert (tmp_path / "mnist" / BIG).read_bytes() == OFFERED[BIG]


def test_every_mirror_is_named_with_its_reason(tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "TIMEOUT_S", (1, 0.2))
    servers = serve(Server(files={}), Server(status=503), Server(delay_s=1), Server(cuts=99, cut_after=0))
    mirrors = [*(server.url for server in servers), "http://127.0.0.1:9/", "http://no-such-host.invalid/"]
    monkeypatch.setattr(datasets, "REAL", toys(*mirrors))
    lines = fetch_fails("toy-records", tmp_path).what.splitlines()
    reasons = ["HTTP 404 Not Found", "HTTP 503 Service Unavailable", "silent for 0.2 s", "the connection broke",
               "connection refused", "the host's name cannot be looked up; offline?"]
    assert len(lines) == 7 and lines[0].startswith("Toy records could not be downloaded: no mirror gave toy-binary.tar")
    for line, reason in zip(lines[1:], reasons):
        assert reason in line and line.startswith(("  127.0.0.1:", "  no-such-host.invalid:"))


def test_the_disk_is_full(tmp_path: Path, serve: Serve) -> None:
    """/dev/full is a real disk that is full: the error comes from the kernel."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this machine: a full disk is not tested")
    [server] = serve(Server())
    (tmp_path / "toy-binary.tar.gz.part").symlink_to("/dev/full")
    error = fetch_fails("toy-records", tmp_path)
    assert error.what == f"The disk of {tmp_path} is full. What has come is kept." and len(server.asked) == 1
    assert "Make room and go on from there:  prep data fetch toy-records" in error.fix
    assert "--data-dir FOLDER" in error.fix and not (tmp_path / "toy-binary.tar.gz").exists()


def test_a_full_disk_keeps_what_has_come(tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(Server())
    write = datasets._Sink.write

    def full(self: Any, chunk: bytes) -> None:
        if self.done == 20_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, chunk)

    monkeypatch.setattr(datasets._Sink, "write", full)
    assert "is full" in fetch_fails("toy-records", tmp_path).what
    assert (tmp_path / "toy-binary.tar.gz.part").read_bytes() == ARCHIVE[:20_000]
    monkeypatch.undo()
    monkeypatch.setattr(datasets, "REAL", toys(serve(Server())[0].url))
    datasets.fetch("toy-records", tmp_path)
    check("toy-records", tmp_path)


def test_too_little_room_is_said_before_anything_is_downloaded(tmp_path: Path, serve: Serve,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    [server] = serve(Server())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 999, 999))
    needed = datasets.amount(len(ARCHIVE))
    assert f"is full: {needed} are needed, 999 bytes are free." in fetch_fails("toy-records", tmp_path).what
    assert server.asked == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        error = fetch_fails("toy-idx", folder)
        assert "cannot be written: " in error.what and "--data-dir FOLDER" in error.fix


def test_a_read_only_folder(tmp_path: Path, serve: Serve) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere: a read-only folder is not tested")
    serve(Server())
    tmp_path.chmod(0o500)
    assert "cannot be written: Permission denied" in fetch_fails("toy-idx", tmp_path).what


def test_data_in_a_read_only_folder_need_no_fetch(tmp_path: Path) -> None:
    lay_out(tmp_path, ".")
    tmp_path.chmod(0o500)
    try:
        assert datasets.fetch("toy-idx", tmp_path) == tmp_path and names(tmp_path) == set(OFFERED)
    finally:
        tmp_path.chmod(0o700)


# Interrupted, and all at once: processes of their own

CHILD = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from grader import datasets
    from test_datasets import toys
    datasets.REAL = datasets.REAL | toys({url!r})
    from grader.__main__ import main
    sys.argv = ["prep", "data", "fetch", "toy-records", "--data-dir", {folder!r}]
    main()
"""


def child(server: Server, folder: Path) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(tests=str(Path(__file__).parent), url=server.url, folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_half(folder: Path) -> int:
    """Until a part of the archive has come; how much."""
    half, deadline = folder / "toy-binary.tar.gz.part", time.monotonic() + 60
    while not (half.exists() and half.stat().st_size > 0):
        assert time.monotonic() < deadline, "nothing was downloaded"
        time.sleep(0.01)
    return half.stat().st_size


@pytest.mark.parametrize(("blow", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, 130)])
def test_a_killed_download_goes_on(tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch,
                                   blow: signal.Signals, code: int) -> None:
    [server] = serve(Server(delay_s=0.05))
    process = child(server, tmp_path)
    wait_for_half(tmp_path)
    process.send_signal(blow)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    if blow is signal.SIGINT:
        assert said == ("\nInterrupted. What has come is kept; the same command goes on from there.\n"
                        f"Again:  prep data fetch toy-records --data-dir {tmp_path}\n")
    assert names(tmp_path) == {"toy-binary.tar.gz.part"}
    had = (tmp_path / "toy-binary.tar.gz.part").stat().st_size
    assert 0 < had < len(ARCHIVE) and not datasets.available("toy-records", tmp_path)
    assert "is not complete" in refusal("toy-records", tmp_path).what
    server.delay_s = 0
    process = child(server, tmp_path)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert out == f"Toy records is complete: 3,000 + 200 images in {tmp_path}\n"
    assert server.ranges_asked("toy-binary.tar.gz") == [None, f"bytes={had}-"]
    check("toy-records", tmp_path)


def test_two_at_once(tmp_path: Path, serve: Serve) -> None:
    [server] = serve(Server(delay_s=0.02))
    process = child(server, tmp_path)
    wait_for_half(tmp_path)
    with pytest.raises(PrepError) as caught:
        datasets.fetch("toy-records", tmp_path)
    assert caught.value.what == f"Another prep is downloading into {tmp_path}." and len(server.asked) == 1
    assert caught.value.fix == "When it is done:  prep data status"
    assert process.wait(timeout=60) == 0
    process.communicate()
    check("toy-records", tmp_path)


# The commands


def prep(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREP_", "NO_COLOR", "COLUMNS"))}
    return subprocess.run([sys.executable, "-m", "grader", "data", *args], env=kept | {"PYTHONPATH": str(ROOT)} | env,
                          text=True, capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL)


def test_status_of_nothing(tmp_path: Path) -> None:
    done = prep("status", PREP_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == textwrap.dedent(f"""\
        Data in {tmp_path}

        MNIST  not ready
          absent  mnist/train-images-idx3-ubyte.gz
          absent  mnist/train-labels-idx1-ubyte.gz
          absent  mnist/t10k-images-idx3-ubyte.gz
          absent  mnist/t10k-labels-idx1-ubyte.gz

        CIFAR-10  not ready
          absent  cifar-10-binary.tar.gz

        Next
          prep data fetch mnist    download MNIST (11.6 MB)
          prep data fetch cifar10  download CIFAR-10 (170.1 MB)
        """)


def test_status_of_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / BIG).write_bytes(OFFERED[BIG])
    (tmp_path / "cifar-10-batches-py").mkdir()
    done = prep("status", "--data-dir", str(tmp_path), NO_COLOR="1", COLUMNS="80")
    assert "  wrong dimensions  mnist/train-images-idx3-ubyte.gz  3000 x 5 x 4 where" in done.stdout
    assert "  python version  cifar-10-batches-py\n" in done.stdout
    assert f"  prep data fetch mnist --data-dir {tmp_path}\n" in done.stdout
    assert "\x1b" not in done.stdout and max(map(len, done.stdout.splitlines())) <= 80 + len(str(tmp_path))


@pytest.mark.parametrize("command", ["fetch", "status"])
def test_help(command: str) -> None:
    done = prep(command, "--help")
    assert done.returncode == 0 and f"Usage: prep data {command}" in done.stdout and "--data-dir DIR" in done.stdout


@pytest.mark.parametrize("colour", [True, False])
def test_progress_on_a_terminal_says_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch, colour: bool) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with report.downloading() as progress:
        progress(Transfer("a.gz", 1_000_000, 4_000_000))
        time.sleep(0.2)
        progress(Transfer("a.gz", 2_000_000, 4_000_000))
        time.sleep(0.2)
        progress(Transfer("a.gz", 4_000_000, 4_000_000))
    said = terminal.getvalue()
    assert "a.gz" in said and "MB/s" in said and ("\x1b[" in said) == colour
    assert colour or re.search(r"\ra\.gz: 2\.0 MB of 4\.0 MB, \d\.\d MB/s, \d s left", said)


def test_status_as_json(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / LABELS).write_bytes(b"oops")
    (tmp_path / "cifar-10-binary.tar.gz.part").write_bytes(bytes(500))
    document = json.loads(prep("status", "--json", "--data-dir", str(tmp_path)).stdout)
    assert document["data_dir"] == str(tmp_path)
    mnist, cifar = document["datasets"]
    assert (mnist["name"], mnist["ready"], cifar["title"], cifar["ready"]) == ("mnist", False, "CIFAR-10", False)
    assert mnist["files"][1] == {"path": str(tmp_path / "mnist" / LABELS), "state": "wrong magic number", "size": 4,
                                 "detail": "6f 6f 70 73 where 00 00 08 01 must be"}
    assert cifar["files"] == [{"path": str(tmp_path / "cifar-10-binary.tar.gz.part"), "state": "partial download",
                               "size": 500, "detail": "500 bytes of 170.1 MB"}]


@pytest.mark.parametrize(("args", "says"), [
    (["fetch", "cifar-10"], "No data set 'cifar-10'.\nDid you mean cifar10?  prep data status\n"),
    (["fetch"], "NAME"), (["fetch", "mnist", "--loud"], "--loud")])
def test_wrong_usage(args: list[str], says: str) -> None:
    done = prep(*args)
    assert done.returncode == 2 and says in done.stderr and done.stdout == ""


def test_importing_is_cheap() -> None:
    code = "import sys, grader.datasets; print(sorted({'pooch', 'requests', 'urllib3', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout == "[]\n"


# The real thing


REAL_DATA = os.environ.get("PREP_DATA_DIR")


@pytest.mark.parametrize(("name", "each"), [("mnist", 5421), ("cifar10", 5000)])
def test_the_real_data(name: str, each: int) -> None:
    if not (REAL_DATA and datasets.available(name, Path(REAL_DATA))):
        pytest.skip(f"{name} is not read: PREP_DATA_DIR names no folder that has it (prep data fetch {name})")
    dataset = datasets.REAL[name]
    train, test = datasets.load(name, Path(REAL_DATA))
    assert train.images.shape == (dataset.train_size, *dataset.shape)
    assert test.images.shape == (dataset.test_size, *dataset.shape)
    assert np.bincount(train.labels).min() == each and len(np.bincount(test.labels)) == len(dataset.classes)
    if name == "mnist":
        assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert round(train.images.mean() / 255, 4) == 0.1307  # the mean that everybody normalises by


def test_what_is_known_of_the_official_files() -> None:
    for dataset in (datasets.REAL["mnist"], datasets.REAL["cifar10"]):
        for split, count in (("train", dataset.train_size), ("test", dataset.test_size)):
            rows = [part.count for part in dataset.parts if part.split == split and part.holds != "labels"]
            assert sum(rows) == count
        assert all(len(d.digest.removeprefix("md5:")) == 32 and d.size > 4000 for d in dataset.downloads)
        assert all(mirror.endswith("/") for mirror in dataset.mirrors)
