"""Frames and values: how data crosses between the judge and the attempt. Knows nothing of processes, calls or rules.

A frame is a header, a table of buffer lengths, a MessagePack body and the raw buffers of its arrays, so that a large
array is never copied into a message. Only data crosses: None, bool, int, float, complex, str, bytes, list, tuple, dict,
set, range, slice, Ellipsis, dtypes, NumPy arrays, scalars and generators, Torch tensors, and numbered references to
what cannot be copied. Nothing is ever unpickled or evaluated. A frame from a hostile peer is bounded in bytes, in
containers and in depth, and anything malformed is a WireError.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np

HEADER = struct.Struct("<4sIIQ")  # magic, bytes of body, number of buffers, bytes of all buffers together
MAGIC = b"prp1"
MAX_BODY = 8 << 20
MAX_BUFFERS = 4096
MAX_CONTAINERS = 200_000
MAX_DEPTH = 100
MAX_ODD_KEYS = 10_000
"""dict keys other than strings: their hashes can be chosen to collide, so there must not be many"""
MAX_INT_BITS = 1 << 16
MAX_DIMS = 32
MAX_DESCRIPTION = 512
"""bytes of MessagePack that say what an array is: dtype, shape, where it lies"""
READ_AHEAD = 1 << 16
"""bytes; holds the table of the lengths of MAX_BUFFERS arrays"""

(TUPLE, BIGINT, COMPLEX, ARRAY, TENSOR, SCALAR, SLICE, DTYPE, ELLIPSIS, SET, RANGE, GENERATOR, DEVICE, REF) = range(14)
_CASTABLE = frozenset("?bBhHiIlLqQefd")
"""dtypes that a memoryview can take for bytes"""
_ARRAY_DTYPE = re.compile(r"[<>|=]?([?biufc]\d{1,2}|[SU]\d{1,6}|[mM]8(\[\w+\])?)")
_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
_TORCH_DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16",
                 "float32", "float64", "bfloat16", "complex64", "complex128")

_NOTHING = contextlib.nullcontext()

Buffer = bytearray | memoryview


class WireError(Exception):
    """A frame or a value that breaks the format."""


class Encoder:
    """One value -> body and buffers. `reference(value)` numbers what cannot be copied; `tensor(value)` may add
    what the gradients need to know of a tensor."""

    def __init__(self, reference: Callable[[Any], Any], tensor: Callable[[Any], Any] | None = None) -> None:
        self._reference, self._tensor = reference, tensor
        self.buffers: list[memoryview] = []

    def encode(self, value: Any) -> bytes:
        body = self._pack(value)
        if len(body) > MAX_BODY:
            raise WireError(f"a message of {len(body):,} bytes beside its arrays; {MAX_BODY:,} are allowed")
        return body

    def _pack(self, value: Any) -> bytes:
        try:
            return bytes(msgpack.packb(value, default=self._other, strict_types=True))
        except (RecursionError, ValueError, OverflowError) as error:
            raise WireError(str(error)) from None

    def _ext(self, code: int, content: Any) -> msgpack.ExtType:
        return msgpack.ExtType(code, content if isinstance(content, bytes) else self._pack(content))

    def _other(self, value: Any) -> Any:
        """What MessagePack has no type for; subclasses of plain types become plain."""
        kind = type(value)
        if kind is tuple:
            return self._ext(TUPLE, list(value))
        if isinstance(value, np.ndarray):
            try:
                return self._array(value)
            except (MemoryError, RuntimeError, ValueError) as error:
                raise WireError(_unsendable(value, error)) from None
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor):
            try:
                return self._torch_tensor(value)
            except (MemoryError, RuntimeError, ValueError) as error:
                raise WireError(_unsendable(value, error)) from None
        if isinstance(value, np.generic):
            return self._scalar(value)
        if isinstance(value, bool):
            return bool(value)
        if isinstance(value, int):
            plain = int.__index__(value)
            if -(1 << 63) <= plain < 1 << 64:
                return plain
            if plain.bit_length() > MAX_INT_BITS:
                raise WireError(f"an integer of {plain.bit_length()} bits")
            return self._ext(BIGINT, plain.to_bytes(plain.bit_length() // 8 + 1, "little", signed=True))
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, complex):
            return self._ext(COMPLEX, struct.pack("<dd", value.real, value.imag))
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        if torch is not None:
            if isinstance(value, torch.Size):
                return self._ext(TUPLE, [int(n) for n in value])
            if isinstance(value, torch.dtype):
                return self._ext(DTYPE, str(value))
            if isinstance(value, torch.device):
                return self._ext(DEVICE, str(value))
        if isinstance(value, dict):
            return dict(dict.items(value))
        if isinstance(value, list):
            return list(list.__iter__(value))
        if isinstance(value, tuple):
            return self._ext(TUPLE, list(tuple.__iter__(value)))
        if kind is set or kind is frozenset:
            return self._ext(SET, [kind is frozenset, list(value)])
        if kind is range:
            return self._ext(RANGE, [value.start, value.stop, value.step])
        if kind is slice:
            return self._ext(SLICE, [value.start, value.stop, value.step])
        if value is Ellipsis:
            return self._ext(ELLIPSIS, b"")
        if isinstance(value, np.dtype) and value.kind != "V" and not value.hasobject:
            return self._ext(DTYPE, value.str)
        if isinstance(value, type) and issubclass(value, np.generic) and value.__module__ == "numpy":
            return self._ext(DTYPE, f"class:{value.__name__}")
        if isinstance(value, np.random.Generator) and type(value.bit_generator).__name__ in _BIT_GENERATORS:
            return self._ext(GENERATOR, value.bit_generator.state)
        return self._ext(REF, self._reference(value))

    def _array(self, value: np.ndarray[Any, Any]) -> msgpack.ExtType:
        plain = np.asarray(value) if type(value) is np.ndarray else np.ndarray.view(value, np.ndarray)
        if plain.dtype.hasobject or plain.dtype.kind == "V" or not _ARRAY_DTYPE.fullmatch(plain.dtype.str):
            return self._ext(REF, self._reference(value))
        layout, flat = _layout(plain.flags.c_contiguous, plain.flags.f_contiguous), plain
        data = np.ascontiguousarray(flat.T if layout == 1 else flat)
        index = self._buffer(data)
        return self._ext(ARRAY, b"\x94" + _description(plain.dtype.str, plain.shape) + _placement(index, layout))

    def _buffer(self, data: np.ndarray[Any, Any]) -> int:
        if len(self.buffers) >= MAX_BUFFERS:
            raise WireError(f"more than {MAX_BUFFERS} arrays in one message")
        if data.dtype.char in _CASTABLE and data.size:
            self.buffers.append(memoryview(data).cast("B"))  # type: ignore[arg-type]
        else:
            raw = data.reshape(-1).view(np.uint8) if data.size else np.empty(0, np.uint8)
            self.buffers.append(memoryview(raw))  # type: ignore[arg-type]
        return len(self.buffers) - 1

    def _scalar(self, value: np.generic) -> Any:
        if value.dtype.hasobject or not _ARRAY_DTYPE.fullmatch(value.dtype.str):
            return self._ext(REF, self._reference(value))
        return self._ext(SCALAR, [value.dtype.str, value.tobytes()])

    def _torch_tensor(self, value: Any) -> msgpack.ExtType:
        torch = sys.modules["torch"]
        name = _torch_names(torch).get(value.dtype)
        if name is None or value.layout is not torch.strided or (not value.is_cpu and value.device.type == "meta"):
            return self._ext(REF, self._reference(value))
        extra = self._tensor(value) if self._tensor else None
        ordinary = type(value) is torch.Tensor and not value.requires_grad
        with _NOTHING if ordinary else torch._C._DisableTorchDispatch():
            plain, layout = value if ordinary else value.detach(), 0
            if not plain.is_cpu or plain.is_conj() or plain.is_neg() or not plain.is_contiguous():
                plain, flat, layout = _flattened(torch, plain)
            else:
                flat = plain
            array = flat.view(torch.int16).numpy() if name == "bfloat16" else flat.numpy()
        index = self._buffer(array)
        return self._ext(TENSOR, b"\x95" + _description(name, plain.shape) + _placement(index, layout)
                         + (b"\xc0" if extra is None else self._pack(extra)))


def _unsendable(value: Any, error: Exception) -> str:
    """What is said of an array whose elements its library does not hand out: nested, or too many once it is dense."""
    array = isinstance(value, np.ndarray)
    if not array and value.is_nested:
        return "a nested tensor"
    why = (str(error) or type(error).__name__).splitlines()[0][:200]
    return f"{'an array' if array else 'a tensor'} of dtype {value.dtype} and shape {tuple(value.shape)}: {why}"


# The content of an array's extension is the MessagePack list [dtype, shape, index of its buffer, memory layout], a
# tensor's has what the gradients need to know as well. A suite sends the same few kinds by the thousand, so they are
# written from parts that are kept, and read once.

@functools.lru_cache(maxsize=1024)
def _description(dtype: str, shape: tuple[int, ...]) -> bytes:
    return bytes(msgpack.packb(dtype)) + bytes(msgpack.packb(list(shape)))


@functools.lru_cache(maxsize=1024)
def _placement(index: int, layout: int) -> bytes:
    return bytes(msgpack.packb(index)) + bytes(msgpack.packb(layout))


@functools.lru_cache(maxsize=1024)
def _array_fields(content: bytes) -> tuple[np.dtype[Any], tuple[int, ...], int, int, int]:
    """(dtype, shape, index, layout, bytes). Raises WireError for anything else."""
    name, shape, index, layout = _of(msgpack.unpackb(content), list)
    dtype, dims = _numpy_dtype(name), _shape(shape)
    return dtype, dims, _of(index, int), layout, math.prod(dims) * dtype.itemsize


@functools.lru_cache(maxsize=1024)
def _tensor_fields(content: bytes) -> tuple[Any, tuple[int, ...], int, int, int] | None:
    """The same of a tensor that gradients need to know nothing of; None for another."""
    name, shape, index, layout, extra = _of(msgpack.unpackb(content), list)
    return _torch_fields(name, shape, index, layout) if extra is None else None


def _torch_fields(name: Any, shape: Any, index: Any, layout: Any) -> tuple[Any, tuple[int, ...], int, int, int]:
    torch = sys.modules.get("torch")
    if torch is None:
        raise WireError("a Torch tensor where Torch is not in use")
    if name not in _TORCH_DTYPES:
        raise WireError(f"a tensor of dtype {name!r}")
    dtype, dims = getattr(torch, name), _shape(shape)
    return dtype, dims, _of(index, int), layout, math.prod(dims) * dtype.itemsize


@functools.cache
def _torch_names(torch: Any) -> dict[Any, str]:
    return {getattr(torch, name): name for name in _TORCH_DTYPES if hasattr(torch, name)}


def _flattened(torch: Any, value: Any) -> tuple[Any, Any, int]:
    """A tensor of any memory layout, on the CPU; its elements in one row; the layout."""
    with torch.no_grad():
        plain = value.cpu().resolve_conj().resolve_neg()
        turned = plain.permute(*reversed(range(plain.ndim)))
        layout = _layout(plain.is_contiguous(), plain.ndim > 1 and turned.is_contiguous())
        return plain, (turned if layout == 1 else plain).contiguous().reshape(-1), layout


def _layout(c_contiguous: bool, f_contiguous: bool) -> int:
    """0 row-major, 1 column-major, 2 neither: the receiver builds an array of the same kind."""
    return 0 if c_contiguous else 1 if f_contiguous else 2


class Decoder:
    """Body and buffers -> value. `resolve(reference)` finds what a reference stands for; `tensor(value, extra)` ties a
    received tensor to its gradients."""

    def __init__(self, buffers: list[Buffer], resolve: Callable[[Any], Any],
                 tensor: Callable[[Any, Any], Any] | None = None) -> None:
        self._buffers, self._resolve, self._tensor = buffers, resolve, tensor
        self._taken = [False] * len(buffers)
        self._containers = 0
        self._nesting = 0
        self._odd_keys = 0

    def decode(self, body: Buffer | bytes) -> Any:
        try:
            value = self._unpack(body)
        except WireError:
            raise
        except RecursionError:
            raise WireError("values nested too deeply") from None
        except Exception as error:  # msgpack raises a dozen kinds; all of them mean the same here
            raise WireError(f"malformed message: {type(error).__name__}: {error}") from None
        if self._containers > MAX_DEPTH:
            _bound_depth(value)
        return value

    def _unpack(self, body: Buffer | bytes) -> Any:
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            raise WireError("values nested too deeply")
        try:
            return msgpack.unpackb(body, ext_hook=self._ext, object_pairs_hook=self._dict, list_hook=self._list,
                                   strict_map_key=False)
        finally:
            self._nesting -= 1

    def _count(self) -> None:
        self._containers += 1
        if self._containers > MAX_CONTAINERS:
            raise WireError(f"more than {MAX_CONTAINERS} lists and dicts in one message")

    def _list(self, items: list[Any]) -> list[Any]:
        self._count()
        return items

    def _dict(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self._count()
        if pairs and not all(type(key) is str for key, _ in pairs):
            self._odd(len(pairs))
        return dict(pairs)

    def _odd(self, count: int) -> None:
        self._odd_keys += count
        if self._odd_keys > MAX_ODD_KEYS:
            raise WireError(f"more than {MAX_ODD_KEYS} keys that are not strings in one message")

    def _ext(self, code: int, raw: bytes) -> Any:
        self._count()
        if code == COMPLEX:
            return complex(*struct.unpack("<dd", raw))
        if code == BIGINT:
            if len(raw) > MAX_INT_BITS // 8 + 1:
                raise WireError("an integer that is too long")
            number = int.from_bytes(raw, "little", signed=True)
            if number.bit_length() > MAX_INT_BITS:
                raise WireError(f"an integer of {number.bit_length()} bits")
            return number
        if code == ELLIPSIS:
            return Ellipsis
        if code == ARRAY and len(raw) <= MAX_DESCRIPTION:
            return self._array(*_array_fields(raw))
        if code == TENSOR and raw[-1:] == b"\xc0" and len(raw) <= MAX_DESCRIPTION and (known := _tensor_fields(raw)):
            return self._torch_tensor(*known, None)
        content = self._unpack(raw)
        if code == TUPLE:
            return tuple(_of(content, list))
        if code == TENSOR:
            name, shape, index, layout, extra = _of(content, list)
            return self._torch_tensor(*_torch_fields(name, shape, index, layout), extra)
        if code == SCALAR:
            name, data = content
            return np.frombuffer(_of(data, bytes), dtype=_numpy_dtype(name))[0]
        if code == SLICE:
            start, stop, step = content
            return slice(start, stop, step)
        if code == RANGE:
            start, stop, step = content
            return range(start, stop, step)
        if code == SET:
            frozen, items = content
            if not all(type(item) is str for item in items):
                self._odd(len(items))
            return frozenset(items) if frozen else set(items)
        if code == DTYPE:
            return _any_dtype(_of(content, str))
        if code == DEVICE:
            return sys.modules["torch"].device(_of(content, str))
        if code == GENERATOR:
            return _generator(_of(content, dict))
        if code == REF:
            return self._resolve(content)
        raise WireError(f"unknown extension {code}")

    def _take(self, index: Any, size: int) -> Buffer:
        if type(index) is not int or not 0 <= index < len(self._buffers) or self._taken[index]:
            raise WireError("an array without a buffer of its own")
        buffer = self._buffers[index]
        if len(buffer) != size:
            raise WireError(f"an array of {size} bytes in a buffer of {len(buffer)}")
        self._taken[index] = True
        return buffer

    def _array(self, dtype: np.dtype[Any], dims: tuple[int, ...], index: int, layout: int,
               size: int) -> np.ndarray[Any, Any]:
        buffer = self._take(index, size)
        if layout == 1:
            return np.frombuffer(buffer, dtype).reshape(dims[::-1]).T
        dense = np.frombuffer(buffer, dtype).reshape(dims)
        if layout == 2 and dims:
            wide = np.empty((*dims[:-1], 2 * dims[-1]), dtype)
            wide[..., ::2] = dense
            return wide[..., ::2]
        return dense

    def _torch_tensor(self, dtype: Any, dims: tuple[int, ...], index: int, layout: int, size: int, extra: Any) -> Any:
        torch = sys.modules["torch"]
        buffer = self._take(index, size)
        # never a view of anything: an answer may change it in place, as it may the caller's own tensor
        if not len(buffer):
            value = torch.empty(dims, dtype=dtype)
        elif layout == 2 and dims:
            wide = torch.empty((math.prod(dims), 2), dtype=dtype)
            wide[:, 0] = torch.frombuffer(buffer, dtype=dtype)
            value = torch.empty(0, dtype=dtype)
            value.set_(wide.untyped_storage(), 0, dims, [2 * math.prod(dims[i + 1:]) for i in range(len(dims))])
        elif layout == 1:
            value = torch.empty(0, dtype=dtype)
            value.set_(torch.frombuffer(buffer, dtype=dtype).untyped_storage(), 0, dims,
                       [math.prod(dims[:i]) for i in range(len(dims))])
        else:
            value = torch.frombuffer(buffer, dtype=dtype).resize_(dims)
        return self._tensor(value, extra) if self._tensor else value


def _of(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise WireError(f"{kind.__name__} expected, {type(value).__name__} found")
    return value


def _shape(value: Any) -> tuple[int, ...]:
    if type(value) is not list or len(value) > MAX_DIMS or not all(type(n) is int and 0 <= n < 1 << 48 for n in value):
        raise WireError("a shape that is no shape")
    return tuple(value)


def _numpy_dtype(name: Any) -> np.dtype[Any]:
    if type(name) is not str or not _ARRAY_DTYPE.fullmatch(name):
        raise WireError(f"an array of dtype {str(name)[:40]!r}")
    return np.dtype(name)


def _any_dtype(name: str) -> Any:
    if name.startswith("torch."):
        if name.removeprefix("torch.") in _TORCH_DTYPES and "torch" in sys.modules:
            return getattr(sys.modules["torch"], name.removeprefix("torch."))
    elif name.startswith("class:"):
        found = getattr(np, name.removeprefix("class:"), None)
        if isinstance(found, type) and issubclass(found, np.generic):
            return found
    else:
        return _numpy_dtype(name)
    raise WireError(f"an unknown dtype {name[:40]!r}")


def _generator(state: dict[str, Any]) -> np.random.Generator:
    name = state.get("bit_generator")
    if name not in _BIT_GENERATORS:
        raise WireError("an unknown random generator")
    bits = getattr(np.random, name)(0)
    bits.state = state
    return np.random.Generator(bits)


def _bound_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for container in level if isinstance(container, list | tuple | dict)
                 for item in (container.values() if isinstance(container, dict) else container)
                 if isinstance(item, list | tuple | dict)]
        if not level:
            return
    raise WireError(f"values nested more than {MAX_DEPTH} deep")


def overlap(a: Any, b: Any) -> bool:
    """Whether some array or tensor of `a` lies, at least in part, where one of `b` does: both data, however nested."""
    spans = _spans(b)
    return any(low < end and begin < high for low, high in _spans(a) for begin, end in spans)


def _spans(value: Any) -> list[tuple[int, int]]:
    """The addresses between which each array and tensor in there lies."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [span for item in value for span in _spans(item)]
    torch = sys.modules.get("torch")
    if isinstance(value, np.ndarray):
        low, strides, item = value.__array_interface__["data"][0], value.strides, value.itemsize
    elif torch is not None and isinstance(value, torch.Tensor) and value.layout is torch.strided:
        item = value.element_size()
        low, strides = value.data_ptr(), tuple(item * stride for stride in value.stride())
    else:
        return []
    if 0 in value.shape:
        return []
    reach = [(size - 1) * stride for size, stride in zip(value.shape, strides)]
    return [(low + sum(r for r in reach if r < 0), low + sum(r for r in reach if r > 0) + item)]


# Frames over a socket. `wait_to_read` and `wait_to_write` block until it is worth trying again, or raise.

def frame(body: bytes, buffers: list[memoryview]) -> list[bytes | memoryview]:
    """The parts of a frame, to be sent one after another."""
    lengths = [len(buffer) for buffer in buffers]
    head = HEADER.pack(MAGIC, len(body), len(buffers), sum(lengths))
    return [head + struct.pack(f"<{len(lengths)}Q", *lengths) + body, *(b for b in buffers if len(b))]


def send(sock: socket.socket, parts: list[bytes | memoryview], wait_to_write: Callable[[], None]) -> None:
    """Send every part. The socket may be blocking or not."""
    pending = [memoryview(part) for part in parts]
    while pending:
        try:
            sent = sock.sendmsg(pending[:64])
        except BlockingIOError:
            wait_to_write()
            continue
        except InterruptedError:
            continue
        while pending and sent >= len(pending[0]):
            sent -= len(pending.pop(0))
        if sent:
            pending[0] = pending[0][sent:]


class Reader:
    """Frames off a socket. What is small comes in one read; a large array goes straight to where it stays."""

    def __init__(self, sock: socket.socket, max_bytes: int) -> None:
        self._sock, self._max_bytes = sock, max_bytes
        self._ahead = memoryview(bytearray(READ_AHEAD))
        self._begin = self._end = 0

    def receive(self, wait_to_read: Callable[[], None]) -> tuple[Buffer, list[Buffer]]:
        """One frame: (body, buffers). Raises WireError for a malformed one, EOFError where the peer is gone."""
        magic, body_size, count, total = HEADER.unpack(self._small(HEADER.size, wait_to_read))
        if magic != MAGIC:
            raise WireError("not a frame")
        if body_size > MAX_BODY:
            raise WireError(f"a message of {body_size:,} bytes beside its arrays; {MAX_BODY:,} are allowed")
        if count > MAX_BUFFERS or body_size + total > self._max_bytes:
            raise WireError(f"a message of {body_size + total:,} bytes in {count} arrays; "
                            f"{self._max_bytes:,} bytes are allowed")
        lengths = struct.unpack(f"<{count}Q", self._small(8 * count, wait_to_read)) if count else ()
        if sum(lengths) != total:
            raise WireError("buffer lengths that do not add up")
        body = self._take(body_size, wait_to_read)
        return body, [self._take(length, wait_to_read) for length in lengths]

    def _small(self, size: int, wait_to_read: Callable[[], None]) -> memoryview:
        """The next `size` bytes, at most READ_AHEAD; they stand until more is read."""
        if self._begin + size > READ_AHEAD:
            self._ahead[:self._end - self._begin] = bytes(self._ahead[self._begin:self._end])
            self._begin, self._end = 0, self._end - self._begin
        while self._end - self._begin < size:
            self._end += self._read(self._ahead[self._end:], wait_to_read)
        self._begin += size
        return self._ahead[self._begin - size:self._begin]

    def _take(self, size: int, wait_to_read: Callable[[], None]) -> Buffer:
        """The next `size` bytes, in memory of their own."""
        have = self._end - self._begin
        if size <= have or size <= READ_AHEAD // 4:
            return bytearray(self._small(size, wait_to_read))
        # bytearray() writes zeros first, which a large array need not wait for
        data = memoryview(np.empty(size, np.uint8))  # type: ignore[arg-type]
        data[:have] = self._ahead[self._begin:self._end]
        self._begin = self._end = 0
        while have < size:
            have += self._read(data[have:], wait_to_read)
        return data

    def _read(self, into: memoryview, wait_to_read: Callable[[], None]) -> int:
        while True:
            try:
                got = self._sock.recv_into(into)
            except BlockingIOError:
                wait_to_read()
                continue
            except InterruptedError:
                continue
            except ConnectionResetError:
                got = 0
            if got == 0:
                raise EOFError
            return got
