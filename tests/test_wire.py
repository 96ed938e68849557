"""The format under a hostile peer: whatever bytes arrive, the reader answers with a value or a WireError, bounded."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest
import torch

from grader import check
from grader.attempt import wire
from grader.attempt.launch import _tree
from grader.attempt.outcomes import AttemptRaised, AttemptStopped
from grader.attempt.proxy import Attempt
from grader.verdict import Status


def refuse(reference: Any) -> Any:
    raise wire.WireError("no references here")


def pack(value: Any) -> tuple[bytes, list[Any]]:
    encoder = wire.Encoder(lambda value: ["handle", 1, "x", False, False])
    body = encoder.encode(value)
    return body, [bytearray(buffer) for buffer in encoder.buffers]


def decode(body: bytes, buffers: list[Any]) -> Any:
    return wire.Decoder(buffers, refuse).decode(body)


def ext(code: int, content: Any) -> bytes:
    return bytes(msgpack.packb(msgpack.ExtType(code, msgpack.packb(content))))


def test_mutated_messages_never_do_worse_than_wire_errors() -> None:
    chance = random.Random(0)
    body, buffers = pack([1, "a", (2, {"k": np.arange(3)}), 2**100, 1j, {1, 2}, slice(1), np.float32(1), range(3),
                          np.dtype("f4"), np.random.default_rng(0)])
    outcomes = set()
    for _ in range(4000):
        broken = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            decode(bytes(broken), [bytearray(b) for b in buffers])
            outcomes.add("value")
        except wire.WireError:
            outcomes.add("error")
    assert outcomes == {"value", "error"}


def test_random_bytes() -> None:
    chance = random.Random(1)
    for _ in range(4000):
        try:
            decode(chance.randbytes(chance.randint(0, 60)), [])
        except wire.WireError:
            pass


def nested_tuples(depth: int) -> bytes:
    body = msgpack.packb([])
    for _ in range(depth):
        body = msgpack.packb(msgpack.ExtType(wire.TUPLE, b"\x91" + body))
    return bytes(body)


@pytest.mark.parametrize("body", [
    b"\x91" * 500 + b"\xc0", b"\x91" * 100_000 + b"\xc0", nested_tuples(300), b"\x81\xa1a" * 200 + b"\xc0",
    ext(wire.ARRAY, ["|O", [1], 0, 0]), ext(wire.ARRAY, ["<f8", [-1], 0, 0]), ext(wire.ARRAY, ["<f8", [2**60], 0, 0]),
    ext(wire.ARRAY, ["<f8", [1], 5, 0]), ext(wire.ARRAY, ["<f8,<f8", [1], 0, 0]), ext(wire.ARRAY, "x"),
    ext(wire.TENSOR, ["float8", [1], 0, 0, None]), ext(wire.SCALAR, ["<f8", b"123"]), ext(wire.SLICE, [1]),
    ext(wire.DTYPE, "class:ndarray"), ext(wire.DTYPE, "torch.nn"), ext(wire.GENERATOR, {"bit_generator": "os"}),
    ext(wire.REF, ["callback", 0]), ext(99, None), ext(wire.RANGE, [0, 1, 0]), ext(wire.SET, [False, [[]]]),
    msgpack.packb(msgpack.ExtType(wire.BIGINT, b"\xff" * 100_000)), b"\xdd\xff\xff\xff\xff", b"\xc7\xff", b"",
    msgpack.packb({1: 2}) + b"\0", bytes([0x91, 0x81, 0x90, 0x90]),
], ids=range(26))
def test_malformed_values(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        decode(body, [bytearray(8)])


def test_two_arrays_cannot_share_a_buffer() -> None:
    one = ["<f8", [1], 0, 0]
    body = msgpack.packb([msgpack.ExtType(wire.ARRAY, msgpack.packb(one))] * 2)
    with pytest.raises(wire.WireError, match="buffer"):
        decode(body, [bytearray(8)])


def test_colliding_keys_are_bounded() -> None:
    body = msgpack.packb(dict.fromkeys(range(wire.MAX_ODD_KEYS + 1), 0))
    with pytest.raises(wire.WireError, match="keys"):
        decode(body, [])
    assert len(decode(msgpack.packb({str(i): 0 for i in range(wire.MAX_ODD_KEYS + 1)}), [])) == wire.MAX_ODD_KEYS + 1


def test_a_message_of_empty_containers_is_bounded_in_memory() -> None:
    body = b"\xdd" + struct.pack(">I", wire.MAX_BODY - 5) + b"\x80" * (wire.MAX_BODY - 5)
    tracemalloc.start()
    with pytest.raises(wire.WireError, match="lists and dicts"):
        decode(body, [])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400 << 20


def frame_of(magic: bytes = wire.MAGIC, body: bytes = b"\xc0", count: int = 0, total: int = 0,
             body_size: int | None = None) -> bytes:
    return wire.HEADER.pack(magic, len(body) if body_size is None else body_size, count, total) + body


@pytest.mark.parametrize("sent, error", [
    (frame_of(magic=b"HTTP"), wire.WireError), (frame_of(body_size=wire.MAX_BODY + 1), wire.WireError),
    (frame_of(count=2**32 - 1), wire.WireError), (frame_of(total=2**63), wire.WireError),
    (wire.HEADER.pack(wire.MAGIC, 1, 1, 8) + struct.pack("<Q", 9), wire.WireError),
    (wire.HEADER.pack(wire.MAGIC, 1, 2, 8) + struct.pack("<QQ", 2**64 - 8, 16), wire.WireError),
    (b"prp", EOFError), (frame_of(body_size=100), EOFError), (b"", EOFError),
])
def test_frames(sent: bytes, error: type[Exception]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(error):
            wire.Reader(ours, 1 << 20).receive(lambda: None)


def test_frames_round_trip_in_pieces() -> None:
    ours, theirs = socket.socketpair()
    body, _ = pack([1])
    array = np.arange(100_000)
    parts = wire.frame(body, [memoryview(array.view(np.uint8)), memoryview(b"")])
    data = b"".join(bytes(part) for part in parts)

    def trickle() -> None:
        for i in range(0, len(data), 50_001):
            theirs.sendall(data[i:i + 50_001])

    with ours, theirs:
        thread = threading.Thread(target=trickle)
        thread.start()
        got, buffers = wire.Reader(ours, 1 << 24).receive(lambda: None)
        thread.join()
    assert bytes(got) == body and np.array_equal(np.frombuffer(buffers[0], np.int64), array) and len(buffers[1]) == 0


def test_frames_that_arrive_together_are_told_apart() -> None:
    """One read may bring several frames, and the end of one with the beginning of the next."""
    chance = random.Random(0)
    wanted, data = [], b""
    for i in range(200):
        arrays = [bytes([i % 251, *chance.randbytes(chance.choice((0, 1, 30, 5_000, 70_000)))])
                  for _ in range(chance.randrange(4))]
        body = pack([i] * chance.choice((1, 10, 3_000)))[0]
        wanted.append((body, arrays))
        data += b"".join(bytes(part) for part in wire.frame(body, [memoryview(array) for array in arrays]))
    ours, theirs = socket.socketpair()

    def trickle() -> None:
        begin = 0
        while begin < len(data):
            end = begin + chance.choice((1, 19, 400, 66_000, 200_000))
            theirs.sendall(data[begin:end])
            begin = end

    with ours, theirs:
        thread = threading.Thread(target=trickle)
        thread.start()
        reader = wire.Reader(ours, 1 << 24)
        got = [reader.receive(lambda: None) for _ in wanted]
        thread.join()
    assert [(bytes(body), [bytes(array) for array in arrays]) for body, arrays in got] == wanted


WRITER = """
import os, struct, time
def connection():
    import stat
    for fd in range(3, 200):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode): return fd
        except OSError: pass
def f(how):
    fd = connection()
    head = lambda body, count=0, total=0: b"prp1" + struct.pack("<IIQ", body, count, total)
    if type(how) is bytes: os.write(fd, how)
    if how == "junk": os.write(fd, b"\\xff" * 4096)
    if how == "truncated": os.write(fd, head(1000) + b"\\xc0"); os.close(fd)
    if how == "stalled": os.write(fd, head(1000) + b"\\xc0"); time.sleep(100)
    if how == "oversized": os.write(fd, head(1 << 31))
    if how == "huge buffer": os.write(fd, head(1, 1, 1 << 40))
    if how == "deep": os.write(fd, head(5000) + b"\\x91" * 5000)
    if how == "wrong type": os.write(fd, head(1) + b"\\xc0")
    if how == "unknown": os.write(fd, head(6) + b"\\x91\\xa4what")
    if how == "half a value": os.write(fd, head(7) + b"\\x91\\xa5value")
    if how == "bad raise": os.write(fd, head(9) + b"\\x92\\xa6raised\\x01")
    if how == "bad callback": os.write(fd, head(10) + b"\\x91\\xa8callback")
    if how == "bad violation": os.write(fd, head(12) + b"\\x92\\xa9violation\\x01")
    if how == "flood":
        frame = head(12) + b"\\x94\\xa8callback" + b"\\x01\\x90\\x80"
        frame = b"prp1" + struct.pack("<IIQ", len(frame) - 20, 0, 0) + frame[20:]
        while True: os.write(fd, frame * 1000)
    if how == "deaf": time.sleep(100)
    return 0
"""


@pytest.mark.parametrize("how, status", [
    ("junk", Status.RUNTIME_ERROR), ("truncated", Status.RUNTIME_ERROR), ("stalled", Status.TIME_LIMIT),
    ("oversized", Status.RUNTIME_ERROR), ("huge buffer", Status.RUNTIME_ERROR), ("deep", Status.RUNTIME_ERROR),
    ("wrong type", Status.RUNTIME_ERROR), ("unknown", Status.RUNTIME_ERROR), ("half a value", Status.RUNTIME_ERROR),
    ("bad raise", Status.RUNTIME_ERROR), ("bad callback", Status.RUNTIME_ERROR),
    ("bad violation", Status.RULE_VIOLATION), ("flood", Status.TIME_LIMIT), ("deaf", Status.TIME_LIMIT),
])
def test_an_answer_that_speaks_for_itself(answer: Callable[..., Attempt], how: str, status: Status) -> None:
    """The answer writes to the connection by hand: a verdict, within its time, with the judge's memory bounded."""
    attempt = answer(WRITER, limits={"call_s": 1.0})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.monotonic()
    with pytest.raises(AttemptStopped) as stopped:
        attempt.f(how)
    assert stopped.value.status is status, stopped.value.message
    assert time.monotonic() - begin < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
    with pytest.raises(AttemptStopped):  # and it stays over
        attempt.f("again")


LONGEST = 1 << (wire.MAX_INT_BITS + 6)  # its bytes are as many as those of the longest that can be sent


@pytest.mark.parametrize("number", [LONGEST, 1 << 64, -1, True, "1", None], ids=range(6))
@pytest.mark.parametrize("what", ["handle", "tape", "leaf"])
def test_numbers_that_cannot_be_sent_back(answer: Callable[..., Attempt], what: str, number: Any) -> None:
    """A handle, a tape and a leaf are released or asked for by their numbers."""
    if isinstance(number, int) and number > 1 << 63:
        number = msgpack.ExtType(wire.BIGINT, number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True))
    encoder = wire.Encoder(lambda value: ["handle", number, "x", False, False], lambda value: ["leaf", number, None])
    body = encoder.encode({"handle": object(), "tape": 0, "leaf": torch.ones(1)}[what])
    message = wire.Encoder(lambda value: None).encode(["value", number if what == "tape" else 0, 0, body])
    attempt = answer(WRITER)
    with pytest.raises(AttemptStopped) as stopped:
        attempt.f(b"".join(bytes(part) for part in wire.frame(message, encoder.buffers)))
    assert stopped.value.status is Status.RUNTIME_ERROR and "broke the protocol" in stopped.value.message


def test_an_integer_that_is_received_can_be_sent() -> None:
    with pytest.raises(wire.WireError, match="bits"):
        pack(LONGEST)
    with pytest.raises(wire.WireError, match="bits"):
        decode(msgpack.packb(msgpack.ExtType(wire.BIGINT, LONGEST.to_bytes(wire.MAX_INT_BITS // 8 + 1, "little"))), [])
    assert decode(*pack((1 << wire.MAX_INT_BITS) - 1)) == (1 << wire.MAX_INT_BITS) - 1


def test_what_cannot_be_sent_back_is_no_fault_of_the_judge(answer: Callable[..., Attempt]) -> None:
    """What an answer returned may be too much for a message with something beside it: a failure like any other."""
    attempt = answer("""
        import numpy as np
        def f(x): return [np.zeros(1) for _ in range(4096)]
        def g(both):
            try: return both(f(0))
            except TypeError as error: return str(error)
    """)
    with pytest.raises(check.CheckFailure, match="cannot be sent: more than 4096 arrays"):
        attempt.f([attempt.f(0), np.zeros(1)])
    with pytest.raises(check.CheckFailure, match="cannot be sent: a message of"):
        attempt.f("x" * wire.MAX_BODY)
    with pytest.raises(check.CheckFailure, match="cannot be sent: more than 4096 arrays"):
        attempt.g(lambda x: [x, np.zeros(1)])
    assert attempt.g(lambda x: len(x)) == 4096  # the connection stands


@pytest.mark.parametrize("result, words", [
    ("torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])", "a nested tensor"),
    ("torch.zeros(1).expand(1 << 46)", "a tensor of dtype torch.float32 and shape (70368744177664,)"),
    ("np.broadcast_to(0.5, (1 << 20, 1 << 26))", "an array of dtype float64 and shape (1048576, 67108864)"),
    ("'\\ud800'", "surrogates not allowed"), ("{'a\\ud800b': 1}", "surrogates not allowed"),
    ("1 << 70000", "70001 bits"), ("odd(1, 2)", "ZeroDivisionError: division by zero"),
], ids=range(7))
def test_what_cannot_be_sent_is_named(answer: Callable[..., Attempt], result: str, words: str) -> None:
    attempt = answer(f"""
        import numpy as np
        import torch
        class odd(complex):
            real = property(lambda self: 1 / 0)
        def f(how): return {result} if how else 1
        def g(log): return log({result})
    """, libraries=("numpy", "torch"))
    with pytest.raises(AttemptRaised, match="TypeError: the result cannot be sent") as raised:
        attempt.f(True)
    assert words in str(raised.value) and not isinstance(raised.value, TypeError)
    with pytest.raises(AttemptRaised, match="TypeError: the arguments cannot be sent") as raised:
        attempt.g(print)
    assert words in str(raised.value)
    assert attempt.f(False) == 1  # the connection stands


def test_what_cannot_be_read_is_named(answer: Callable[..., Attempt]) -> None:
    attempt = answer("def f(x): return x\ndef g(back): return back(1)")
    deep: list[Any] = []
    for _ in range(2 * wire.MAX_DEPTH):
        deep = [deep]
    for function, given in ((attempt.f, deep), (attempt.g, lambda x: deep)):
        with pytest.raises(AttemptRaised, match="cannot be read: values nested"):
            function(given)
        assert attempt.f(1) == 1


def test_an_answer_that_does_not_read(answer: Callable[..., Attempt]) -> None:
    """The judge's own sending is under the clock too."""
    attempt = answer("""
        import threading, time
        def f(g): return g(0)
    """, limits={"call_s": 1.0})

    def slow(_: int) -> np.ndarray[Any, Any]:
        for pid in _tree(attempt._connection.process.popen.pid):
            os.kill(pid, signal.SIGSTOP)  # it can read no more
        return np.zeros(10_000_000)

    begin = time.monotonic()
    with pytest.raises(AttemptStopped) as stopped:
        attempt.f(slow)
    assert stopped.value.status is Status.TIME_LIMIT and time.monotonic() - begin < 5
