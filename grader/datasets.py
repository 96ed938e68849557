"""MNIST and CIFAR-10: found on disk, or downloaded on request, and parsed with NumPy. Never unpickles anything.

A file is whole or it is refused. What is read is checked for structure (magic number, exact size, labels), whoever put
it there; what is downloaded must have the digest of the official file before it gets its name. Only `fetch` uses the
network, and only `fetch` imports what that takes.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import fcntl
import gzip
import os
import shlex
import shutil
import socket
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from grader import paths
from grader.errors import PrepError

GZIP = b"\x1f\x8b"
"""how gzip begins; neither an IDX file nor a CIFAR-10 record can"""
ATTEMPTS = 5
"""connections to one mirror, as long as each brings something"""
TIMEOUT_S = (10, 30)
"""to connect; between two pieces of a file"""
CHUNK = 1 << 16


@dataclass(frozen=True)
class Split:
    """images: (N, C, H, W) uint8   labels: (N,) int64"""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """One uncompressed file: `header`, then `count` rows of `row_bytes`, the first being row `first` of its split."""

    name: str
    split: Literal["train", "test"]
    holds: Literal["images", "labels", "records"]
    """records: a label byte, then the image"""
    first: int
    count: int
    row_bytes: int
    header: bytes = b""

    @property
    def size(self) -> int:
        return len(self.header) + self.count * self.row_bytes


@dataclass(frozen=True)
class Download:
    """A file as its mirrors offer it. digest: "md5:..." or "sha256:..."."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Dataset:
    """A labelled image set: what is in it, where it may lie, where it can be had.

    shape: (C, H, W). folders: where parts are looked for, below the data folder. home: where downloads go, below it.
    pickled: what the version for Python is called, which is not read.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train_size: int
    test_size: int
    parts: tuple[Part, ...]
    folders: tuple[str, ...]
    home: str
    downloads: tuple[Download, ...]
    mirrors: tuple[str, ...]
    pickled: tuple[str, ...] = ()

    @property
    def archive(self) -> Download | None:
        """The download that holds all parts, where there is one."""
        return next((d for d in self.downloads if d.name.endswith(".tar.gz")), None)

    @property
    def download_size(self) -> int:
        return sum(download.size for download in self.downloads)


def idx_parts(shape: tuple[int, int, int], train: int, test: int) -> tuple[Part, ...]:
    """MNIST's four files, big-endian: magic number (0x0800 for bytes, plus the number of axes), axes, bytes."""
    _, height, width = shape

    def pair(split: Literal["train", "test"], prefix: str, count: int) -> tuple[Part, Part]:
        return (Part(f"{prefix}-images-idx3-ubyte", split, "images", 0, count, height * width,
                     struct.pack(">4I", 0x803, count, height, width)),
                Part(f"{prefix}-labels-idx1-ubyte", split, "labels", 0, count, 1, struct.pack(">2I", 0x801, count)))

    return pair("train", "train", train) + pair("test", "t10k", test)


def record_parts(shape: tuple[int, int, int], train: int, test: int, batches: int = 5) -> tuple[Part, ...]:
    """The files of CIFAR-10's binary version: no header, a label byte and the planes of an image in each record."""
    row, each = 1 + int(np.prod(shape)), train // batches
    return (*(Part(f"data_batch_{k + 1}.bin", "train", "records", k * each, each, row) for k in range(batches)),
            Part("test_batch.bin", "test", "records", 0, test, row))


REAL: dict[str, Dataset] = {dataset.name: dataset for dataset in (
    Dataset(
        name="mnist", title="MNIST", classes=tuple("0123456789"), shape=(1, 28, 28), train_size=60_000,
        test_size=10_000, parts=idx_parts((1, 28, 28), 60_000, 10_000), folders=("mnist", "MNIST/raw", ""),
        home="mnist",
        downloads=(
            Download("train-images-idx3-ubyte.gz", 9_912_422, "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            Download("train-labels-idx1-ubyte.gz", 28_881, "md5:d53e105ee54ea40749a09fcbcd1e9432"),
            Download("t10k-images-idx3-ubyte.gz", 1_648_877, "md5:9fb629c4189551a2d022fa330f9573f3"),
            Download("t10k-labels-idx1-ubyte.gz", 4_542, "md5:ec29112dd5afa0611ce80d1b7f02629c")),
        mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/",
                 "http://yann.lecun.com/exdb/mnist/")),
    Dataset(
        name="cifar10", title="CIFAR-10",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        shape=(3, 32, 32), train_size=50_000, test_size=10_000, parts=record_parts((3, 32, 32), 50_000, 10_000),
        folders=("cifar-10-batches-bin", ""), home="",
        downloads=(Download("cifar-10-binary.tar.gz", 170_052_171, "md5:c32a1d4ab5d03f1284b67883e8d87530"),),
        mirrors=("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
        pickled=("cifar-10-batches-py", "cifar-10-python.tar.gz")),
)}


class State(StrEnum):
    """How a file was found."""

    PRESENT = "present"
    ABSENT = "absent"
    PARTIAL = "partial download"
    TRUNCATED = "truncated"
    TOO_LONG = "too long"
    WRONG_MAGIC = "wrong magic number"
    WRONG_AXES = "wrong dimensions"
    WRONG_LABELS = "wrong labels"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    PICKLED = "python version"


@dataclass(frozen=True)
class FileStatus:
    """One file: where it is, or where `fetch` would put it. size: bytes on disk."""

    dataset: str
    path: Path
    state: State
    size: int = 0
    detail: str = ""


@dataclass(frozen=True)
class Transfer:
    """A download under way. done, size: bytes."""

    file: str
    done: int
    size: int


Take = Callable[[Part, NDArray[np.uint8]], None]
"""take(part, rows): rows (count, row_bytes) uint8, read-only"""


class _Fault(Exception):
    """A file that cannot be used, and why."""

    def __init__(self, state: State, detail: str) -> None:
        super().__init__(state, detail)
        self.state = state
        self.detail = detail


class _MirrorFailed(Exception):
    """This mirror did not give the file; another may."""


def get(name: str) -> Dataset:
    """The data set called `name`. Raises PrepError with the nearest names where there is none."""
    if name in REAL:
        return REAL[name]
    near = difflib.get_close_matches(name.lower().replace("-", ""), REAL, n=1)
    raise PrepError(f"No data set '{name}'.",
                    f"Did you mean {near[0]}?  prep data status" if near else "See them all:  prep data status")


def amount(size: int) -> str:
    """A number of bytes that a person reads: "60 bytes", "28.9 kB", "170.1 MB"."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e3:.1f} kB" if size < 999_950 else f"{size / 1e6:.1f} MB"


def root(data_dir: Path | None = None) -> Path:
    """The data folder, absolute: the one given, or that of paths.data_dir()."""
    return (data_dir or paths.data_dir()).expanduser().absolute()


# Reading


def load(name: str, data_dir: Path | None = None) -> tuple[Split, Split]:
    """The training and the test split. Raises PrepError, with what to do, where a file is not there or not whole."""
    dataset, folder = get(name), root(data_dir)
    splits = {split: Split(np.empty((count, *dataset.shape), np.uint8), np.empty(count, np.int64))
              for split, count in (("train", dataset.train_size), ("test", dataset.test_size))}

    def place(part: Part, rows: NDArray[np.uint8]) -> None:
        split, where = splits[part.split], slice(part.first, part.first + part.count)
        if part.holds != "images":
            split.labels[where] = rows[:, 0]
        if part.holds != "labels":
            split.images[where] = rows[:, rows.shape[1] - int(np.prod(dataset.shape)):].reshape(-1, *dataset.shape)

    found = _survey(dataset, folder, place)
    if not _whole(found):
        raise _unusable(dataset, folder, found, _command(dataset, data_dir))
    return splits["train"], splits["test"]


def available(name: str, data_dir: Path | None = None) -> bool:
    """Whether `load` can be expected to work. Cheap: files of the right size are taken to be good, others are read."""
    dataset, folder = get(name), root(data_dir)
    if all(any(_right_size(path, part.size) for path in _places(dataset, part, folder)) for part in dataset.parts):
        return True
    archive = dataset.archive
    if archive and _size(folder / dataset.home / archive.name) == archive.size:
        return True
    return _whole(_survey(dataset, folder))


def status(data_dir: Path | None = None) -> list[FileStatus]:
    """Every file of every data set, read and checked as `load` does it."""
    folder = root(data_dir)
    return [found for dataset in REAL.values() for found in _survey(dataset, folder)]


def _whole(found: list[FileStatus]) -> bool:
    return all(file.state is State.PRESENT for file in found)


def _ignore(part: Part, rows: NDArray[np.uint8]) -> None:
    pass


def _survey(dataset: Dataset, folder: Path, take: Take = _ignore) -> list[FileStatus]:
    """Read every part, hand what is good to `take`; what was found. All are PRESENT if and only if nothing is missing.

    From an archive, parts are handed on before its checksum is known.
    """
    found: list[FileStatus] = []
    missing: list[Part] = []
    for part in dataset.parts:
        file = _find(dataset, part, folder, take)
        found.append(file)
        if file.state is not State.PRESENT:
            missing.append(part)
    if not missing:
        return found
    if archive := dataset.archive:
        path = folder / dataset.home / archive.name
        bundle = _absent(dataset, path, archive)
        if os.path.isfile(path):  # Path's own method raises where a folder may not be searched
            try:
                _read_archive(dataset, path, missing, take)
                bundle = FileStatus(dataset.name, path, State.PRESENT, _size(path))
            except _Fault as fault:
                bundle = FileStatus(dataset.name, path, fault.state, _size(path), fault.detail)
        if bundle.state is State.PRESENT:
            return [file for file in found if file.state is State.PRESENT] + [bundle]
        if all(file.state is State.ABSENT for file in found):
            found = [bundle]
        elif bundle.state is not State.ABSENT:
            found.append(bundle)
    pickled = (folder / name for name in dataset.pickled)
    return found + [FileStatus(dataset.name, path, State.PICKLED, _size(path)) for path in pickled
                    if os.path.exists(path)]


def _places(dataset: Dataset, part: Part, folder: Path) -> Iterator[Path]:
    """Where a part may lie, gzipped or not; some copies of MNIST have a dot before "idx"."""
    for below in dataset.folders:
        for name in dict.fromkeys((part.name, part.name.replace("-idx", ".idx"))):
            yield folder / below / name
            yield folder / below / f"{name}.gz"


def _find(dataset: Dataset, part: Part, folder: Path, take: Take) -> FileStatus:
    """The first good file that holds a part; else the first bad one; else where it would be."""
    bad = None
    for path in _places(dataset, part, folder):
        try:
            with _faults_of_files():
                if not path.is_file():
                    continue
            take(part, _checked(_read(path, part.size), dataset, part))
            return FileStatus(dataset.name, path, State.PRESENT, _size(path))
        except _Fault as fault:
            bad = bad or FileStatus(dataset.name, path, fault.state, _size(path), fault.detail)
    download = next((d for d in dataset.downloads if d.name == f"{part.name}.gz"), None)
    if bad or download is None:
        return bad or FileStatus(dataset.name, folder / dataset.folders[0] / part.name, State.ABSENT)
    return _absent(dataset, folder / dataset.home / download.name, download)


def _absent(dataset: Dataset, path: Path, download: Download) -> FileStatus:
    half = _half(path)
    if size := _size(half):
        return FileStatus(dataset.name, half, State.PARTIAL, size, f"{amount(size)} of {amount(download.size)}")
    return FileStatus(dataset.name, path, State.ABSENT)


def _half(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if os.path.isfile(path) else 0
    except OSError:
        return 0


def _right_size(path: Path, size: int) -> bool:
    """Whether a file holds `size` bytes; for a gzipped one, says it does (its last four bytes)."""
    try:
        with path.open("rb") as file:
            begins = file.read(2)
            if begins != GZIP:
                return file.seek(0, os.SEEK_END) == size
            file.seek(-4, os.SEEK_END)
            return int.from_bytes(file.read(4), "little") == size
    except OSError:
        return False


@contextlib.contextmanager
def _faults_of_files() -> Iterator[None]:
    """What reading a bad file raises, as _Fault."""
    try:
        yield
    except EOFError:
        raise _Fault(State.TRUNCATED, "the compressed data end too early") from None
    except (gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise _Fault(State.DAMAGED, str(error)) from None
    except OSError as error:
        raise _Fault(State.UNREADABLE, error.strerror or str(error)) from None


def _read(path: Path, size: int) -> bytes:
    """What is in a file, gzipped or not (whatever its name says), and at most one byte more than `size`."""
    with _faults_of_files(), path.open("rb") as file:
        zipped = file.read(2) == GZIP
        file.seek(0)
        if zipped:
            with gzip.GzipFile(fileobj=file) as unzipped:
                return unzipped.read(size + 1)
        return file.read(size + 1)


def _read_archive(dataset: Dataset, path: Path, parts: list[Part], take: Take) -> None:
    """Hand the parts in an archive to `take`, in the archive's order. Nothing is written to disk."""
    wanted = {part.name: part for part in parts}
    with _faults_of_files(), gzip.open(path) as stream:
        # not tarfile's own gunzipping, which need not look at gzip's checksum
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in wanted and member.isreg():
                    part = wanted.pop(name)
                    content = archive.extractfile(member)
                    assert content is not None  # for it is a regular file
                    try:
                        take(part, _checked(content.read(part.size + 1), dataset, part))
                    except _Fault as fault:
                        raise _Fault(fault.state, f"{name}: {fault.detail}") from None
        while stream.read(1 << 20):  # the checksum is compared at the very end
            pass
    if wanted:
        raise _Fault(State.DAMAGED, f"it has no {', '.join(wanted)}")


def _checked(content: bytes, dataset: Dataset, part: Part) -> NDArray[np.uint8]:
    """(count, row_bytes) uint8: a part's rows. Raises _Fault where anything but the pixels is not as it must be."""
    header, begins = part.header, content[:len(part.header)]
    if not header[:4].startswith(begins[:4]):
        raise _Fault(State.WRONG_MAGIC, f"{begins[:4].hex(' ')} where {header[:4].hex(' ')} must be")
    if not header.startswith(begins):
        theirs, ours = (" x ".join(str(n) for n in struct.unpack(f">{len(head) // 4 - 1}I", head[4:len(head) // 4 * 4]))
                        for head in (begins, header))
        raise _Fault(State.WRONG_AXES, f"{theirs} where {ours} must be")
    if len(content) < part.size:
        raise _Fault(State.TRUNCATED, f"{len(content):,} of {part.size:,} bytes")
    if len(content) > part.size:
        raise _Fault(State.TOO_LONG, f"more than {part.size:,} bytes")
    rows = np.frombuffer(content, np.uint8, offset=len(header)).reshape(part.count, part.row_bytes)
    if part.holds != "images":
        labels, last = rows[:, 0], len(dataset.classes) - 1
        if (labels > last).any():
            row = int((labels > last).argmax())
            raise _Fault(State.WRONG_LABELS, f"{labels[row]} in row {row:,}; they go from 0 to {last}")
        if lacking := sorted(set(range(last + 1)) - set(np.unique(labels).tolist())):  # a file of zeros, say
            raise _Fault(State.WRONG_LABELS, f"no row is labelled {lacking[0]}")
    return rows


def _command(dataset: Dataset, data_dir: Path | None) -> str:
    return f"prep data fetch {dataset.name}" + (f" --data-dir {shlex.quote(str(data_dir))}" if data_dir else "")


def _unusable(dataset: Dataset, folder: Path, found: list[FileStatus], fetch: str) -> PrepError:
    """Why a data set cannot be loaded: bad files before half ones, those before the wrong kind, then absence."""

    def first(*states: State) -> FileStatus | None:
        return next((file for file in found if file.state in states), None)

    size = amount(dataset.download_size)
    if file := first(*(set(State) - {State.PRESENT, State.ABSENT, State.PARTIAL, State.PICKLED})):
        what = f"{dataset.title} cannot be used. {file.path}: {file.state} ({file.detail})."
        if file.state is State.UNREADABLE:
            return PrepError(what, f"Make it readable:  chmod -R u+rX {shlex.quote(str(folder))}")
        return PrepError(what, f"Get the official file:  {fetch}")
    if file := first(State.PARTIAL):
        return PrepError(f"{dataset.title} is not complete: the download of {file.path.stem} stopped at {file.detail}.",
                         f"Go on from there:  {fetch}")
    if file := first(State.PICKLED):
        return PrepError(f"Only the Python version of {dataset.title} is there: {file.path}\n"
                         "It is made of pickles, and is not read: unpickling a file runs whatever code is in it.",
                         f"Download the binary version ({size}):  {fetch}")
    file = first(State.ABSENT)
    part = f": there is no {file.path.name}" if file and len(found) > 1 and first(State.PRESENT) else ""
    return PrepError(f"{dataset.title} is not in {folder}{part}.",
                     f"Download it ({size}):  {fetch}\n"
                     "Or, where you have it already:  export PREP_DATA_DIR=FOLDER")


# Downloading


def fetch(name: str, data_dir: Path | None = None, *, progress: Callable[[Transfer], None] = lambda transfer: None
          ) -> Path:
    """Download what is missing or broken; the folder of the files. What an earlier run left unfinished is continued.

    Good files that are there already, wherever they came from, stay. Raises PrepError where the data set could not be
    completed. A KeyboardInterrupt, or a kill, leaves NAME.part for the next run, never a half file under NAME.
    """
    dataset, folder = get(name), root(data_dir)
    found = _survey(dataset, folder)
    if _whole(found):
        return found[0].path.parent
    home, again = folder / dataset.home, _command(dataset, data_dir)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(home):
            for download in _needed(dataset, folder):
                _download(dataset, download, home, progress, again)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(home, dataset, again) from None
        raise PrepError(f"{home} cannot be written: {error.strerror or error}",
                        f"Choose another folder:  {_elsewhere(dataset)}") from None
    found = _survey(dataset, folder)
    if not _whole(found):
        raise _unusable(dataset, folder, found, again)
    return found[0].path.parent


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Only one process at a time downloads into a folder. The lock goes with the process, however that ends."""
    descriptor = os.open(home, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PrepError(f"Another prep is downloading into {home}.", "When it is done:  prep data status") from None
        except OSError:  # some network file systems cannot lock; the digest still lets no mixed file through
            pass
        yield
    finally:
        os.close(descriptor)


def _needed(dataset: Dataset, folder: Path) -> list[Download]:
    """The files to download, for parts of which there is no good copy."""
    if dataset.archive:
        return [] if _whole(_survey(dataset, folder)) else [dataset.archive]
    missing = {f"{part.name}.gz" for part in dataset.parts
               if _find(dataset, part, folder, _ignore).state is not State.PRESENT}
    return [download for download in dataset.downloads if download.name in missing]


def _disk_full(home: Path, dataset: Dataset, again: str, detail: str = ". What has come is kept") -> PrepError:
    return PrepError(f"The disk of {home} is full{detail}.",
                     f"Make room and go on from there:  {again}\nOr use another disk:  {_elsewhere(dataset)}")


def _elsewhere(dataset: Dataset) -> str:
    return f"prep data fetch {dataset.name} --data-dir FOLDER    (then: export PREP_DATA_DIR=FOLDER)"


def _download(dataset: Dataset, download: Download, home: Path, progress: Callable[[Transfer], None], again: str
              ) -> None:
    """Get one file from the first mirror that gives it; it has its name only when its digest is right."""
    target = home / download.name
    half = _half(target)
    failures = []
    try:
        half.touch()  # a folder that cannot be written shows here, before its disk is called full
        free, needed = shutil.disk_usage(home).free, download.size - _size(half)
        if free < needed:
            raise _disk_full(home, dataset, again, f": {amount(needed)} are needed, {amount(free)} are free")
        for mirror in dataset.mirrors:
            try:
                _from_mirror(mirror, download, half, progress)
                os.replace(half, target)
                return
            except _MirrorFailed as failure:
                failures.append(f"  {urlsplit(mirror).netloc}: {failure}")
    finally:
        if half.is_file() and not _size(half):
            half.unlink()
    kept = f" {amount(_size(half))} of it are kept." if _size(half) else ""
    raise PrepError("\n".join((f"{dataset.title} could not be downloaded: no mirror gave {download.name}.{kept}",
                               *failures)),
                    f"The official files may also be copied from another machine, to {home}\nTo try again:  {again}")


def _from_mirror(mirror: str, download: Download, half: Path, progress: Callable[[Transfer], None]) -> None:
    """Complete NAME.part from one mirror and check it. Raises _MirrorFailed; OSError where the disk is at fault."""
    import pooch
    import requests

    algorithm, _, expected = download.digest.partition(":")
    broke = 0
    while True:
        if _size(half) > download.size:
            half.unlink()
        had, why = _size(half), "the connection broke"
        if had < download.size:
            try:
                _transfer(mirror + download.name, download, half, progress)
            except OSError as error:
                # every fault that requests finds is an OSError, too; what the disk raises has a number
                if error.errno and not isinstance(error, (requests.RequestException, ConnectionError, TimeoutError)):
                    raise
                why = _reason(error)
        if _size(half) < download.size:
            broke += 1
            if broke == ATTEMPTS or _size(half) <= had:
                raise _MirrorFailed(f"{why} after {amount(_size(half))}" if _size(half) else why)
            continue
        got = pooch.file_hash(str(half), alg=algorithm)
        if got == expected:
            return
        half.unlink()
        if not had:
            raise _MirrorFailed(f"wrong checksum: {algorithm} {got}, not {expected}; deleted")
        # the fault may be in what an earlier run, or another mirror, had left: once more from the start


def _transfer(url: str, download: Download, half: Path, progress: Callable[[Transfer], None]) -> None:
    """Append to NAME.part what it lacks, or write it anew where the server cannot send less than all."""
    import pooch

    with half.open("ab") as file:
        sink = _Sink(file, download, progress)
        # identity: a .gz file must come as it is, not unpacked on the way
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={sink.done}-"} if sink.done else {})
        try:
            pooch.HTTPDownloader(chunk_size=CHUNK, timeout=TIMEOUT_S, headers=headers, hooks={"response": sink.answered}
                                 )(url, sink, None)
            os.fsync(file.fileno())
        finally:
            sink.close()


class _Sink:
    """What pooch's downloader writes to. pooch knows no ranges, so the answer to one is looked at here."""

    def __init__(self, file: BinaryIO, download: Download, progress: Callable[[Transfer], None]) -> None:
        self.file = file
        self.download = download
        self.progress = progress
        self.done = file.seek(0, os.SEEK_END)
        self.response: Any = None

    def answered(self, response: Any, **_: Any) -> None:
        """requests calls this before any of the body is read."""
        self.response = response
        if response.is_redirect or not response.ok:
            return
        # some servers call a .gz file "encoded"; requests would unpack it
        response.raw.headers.pop("Content-Encoding", None)
        continued = response.status_code == 206
        begin = self.done if continued else 0
        if continued and not response.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
            raise _MirrorFailed("it answers with another range than was asked for")
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and begin + int(length) != self.download.size:  # a portal's login page, for one
            raise _MirrorFailed(f"its file has {begin + int(length):,} bytes, not {self.download.size:,}")
        if self.done and not continued:
            self.file.truncate(0)
            self.done = 0
        self.tell()

    def write(self, chunk: bytes) -> None:
        if self.done + len(chunk) > self.download.size:
            self.file.truncate(0)
            raise _MirrorFailed(f"its file has more than {self.download.size:,} bytes")
        self.file.write(chunk)
        self.done += len(chunk)

    def flush(self) -> None:
        self.file.flush()
        self.tell()

    def tell(self) -> None:
        self.progress(Transfer(self.download.name, self.done, self.download.size))

    def close(self) -> None:
        if self.response is not None:
            self.response.close()


def _reason(error: BaseException) -> str:
    """What went wrong on the network, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    for kind, words in ((requests.ConnectTimeout, f"no answer in {TIMEOUT_S[0]} s"),
                        (requests.exceptions.SSLError, "its TLS certificate is not accepted"),
                        (requests.exceptions.ProxyError, "the proxy does not let it through"),
                        (requests.exceptions.ChunkedEncodingError, "the connection broke")):
        if isinstance(error, kind):
            return words
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, TimeoutError):
            return f"silent for {TIMEOUT_S[1]} s"
        if isinstance(link, socket.gaierror):
            return "the host's name cannot be looked up; offline?"
        if isinstance(link, OSError) and link.errno and link.strerror:
            return link.strerror.lower()
        link = link.__cause__ or link.__context__
    return str(error).splitlines()[0][:100] if str(error) else type(error).__name__
