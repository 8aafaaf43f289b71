"""Two simulated GPUs: which device is current, and what a stream has done once it was waited for.

TwoGpus models CUDA: kernels, copies and pinned buffers go to the current device or to their tensors' own; a stream's
work is done only when an event recorded after it on that same stream is waited for; and an event recorded without a
stream goes to the current device's stream.
"""

from array import array
from contextlib import contextmanager

import pytest
import torch
from decoders import make_decoder
from torch.overrides import TorchFunctionMode

from qzhou_eval.model.batching.batches import Batch
from qzhou_eval.model.forward import Forward
from qzhou_eval.model.speed import matmul_rate
from qzhou_eval.model.streams import start_copy
from qzhou_eval.model.token_prepending import PrependedLayers

UNREAD = -1.0  # content of a buffer until the copy into it is done


class OnGpu(torch.Tensor):
    """A tensor on the second GPU; whatever is computed from it is there too."""

    is_cuda = True
    device = torch.device("cuda:1")


class Stream:
    """Work in the order in which it was started; the first ``done`` pieces are finished."""

    def __init__(self) -> None:
        self.work: list = []
        self.done = 0

    def wait(self, upto: int) -> None:
        for piece in self.work[self.done : upto]:
            piece()
        self.done = max(self.done, upto)


class TwoGpus(TorchFunctionMode):
    """Tensors sent to ``cuda:1`` stay in host memory as :class:`OnGpu`, and copies from them wait in its stream."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.streams = {0: Stream(), 1: Stream()}
        self.seen: list[str] = []  # record, wait and read, each with the device's number
        self.strangers: set[str] = set()  # operations on a tensor of cuda:1 while cuda:0 was current

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if kwargs.pop("pin_memory", False) or name == "pin_memory":
            self._meets("pin_memory")
            return args[0] if name == "pin_memory" else func(*args, **kwargs)
        if str(kwargs.get("device", "")).startswith("cuda"):
            kwargs["device"] = "cpu"
            return func(*args, **kwargs).as_subclass(OnGpu)
        if name == "to" and any(str(one).startswith("cuda") for one in args[1:]):
            return args[0].as_subclass(OnGpu)
        if name == "copy_" and isinstance(args[1], OnGpu):
            return self._copy(*args[:2])
        if any(issubclass(kind, OnGpu) for kind in types) and name not in ("__get__", "numel", "size"):
            self._meets(name)
        return func(*args, **kwargs)

    def _meets(self, name: str) -> None:
        if self.now != 1:
            self.strangers.add(name)

    def _copy(self, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        values = source.as_subclass(torch.Tensor).clone()
        target.fill_(UNREAD)
        self.streams[1].work.append(lambda: target.copy_(values))
        return target

    @contextmanager
    def device(self, which):
        before, self.now = self.now, torch.device(which).index
        try:
            yield
        finally:
            self.now = before

    def current_stream(self, which=None) -> Stream:
        return self.streams[self.now if which is None else torch.device(which).index]

    def synchronize(self, which=None) -> None:
        number = self.now if which is None else torch.device(which).index
        self.seen.append(f"synchronize {number}")
        self.streams[number].wait(len(self.streams[number].work))

    def event(self):
        gpus = self

        class Event:
            def record(self, stream=None):
                self.stream = stream or gpus.current_stream()
                self.upto = len(self.stream.work)
                gpus.seen.append(f"record {self.number}")

            def synchronize(self):
                gpus.seen.append(f"wait {self.number}")
                self.stream.wait(self.upto)

            @property
            def number(self):
                return next(n for n, stream in gpus.streams.items() if stream is self.stream)

        return Event()


@pytest.fixture
def gpus(monkeypatch):
    made = TwoGpus()
    monkeypatch.setattr(torch.cuda, "device", made.device)
    monkeypatch.setattr(torch.cuda, "current_stream", made.current_stream)
    monkeypatch.setattr(torch.cuda, "synchronize", made.synchronize)
    monkeypatch.setattr(torch.cuda, "Event", made.event)
    with made:
        yield made


def test_a_copy_is_read_only_after_an_event_on_its_own_devices_stream(gpus):
    vectors = torch.arange(6.0).reshape(2, 3)
    wait = start_copy(vectors.to("cuda:1"))
    assert gpus.seen == ["record 1"]
    found = wait()
    assert gpus.seen == ["record 1", "wait 1"]
    assert torch.equal(found, vectors)
    assert not gpus.strangers and gpus.now == 0


def test_a_copy_that_is_waited_for_first_holds_its_own_numbers(gpus):
    """Two batches' copies are under way: each is finished once it is waited for, and the later one not before."""
    first, second = (torch.full((2, 3), value) for value in (1.0, 2.0))
    waits = [start_copy(vectors.to("cuda:1")) for vectors in (first, second)]
    assert torch.equal(waits[0](), first)
    assert gpus.streams[1].done == 1
    assert torch.equal(waits[1](), second)


def test_a_decoder_on_the_second_gpu_works_there_and_gives_the_cpus_vectors(gpus):
    """Every operation runs with the second GPU current, and afterwards the first is current again."""
    prompts = [array("I", range(3, 3 + n)) for n in (30, 12, 12, 7)]
    projection = torch.nn.Linear(64, 96)
    expected = {
        row: v for done in run(projection, "cpu", prompts) for row, v in zip(done.rows, done.vectors, strict=True)
    }
    gpus.seen.clear()
    gpus.strangers.clear()
    found = {}
    for done in run(projection, "cuda:1", prompts):
        assert gpus.now == 0, "the caller's current device must not change between two batches"
        found |= zip(done.rows, done.vectors, strict=True)
    assert not gpus.strangers
    assert gpus.seen == ["record 1", "record 1", "wait 1", "record 1", "wait 1", "wait 1"]
    for row, vector in expected.items():
        assert torch.equal(found[row].as_subclass(torch.Tensor), vector)


def run(projection, device: str, prompts: list[array]):
    options = dict(max_length=64, attention="padded", span=(1, 2), begins=array("I", [5, 6]))
    forward = Forward(make_decoder("Qwen3", layers=3), projection, device="cpu", **options)
    forward.device = device  # the trial only compares numbers and needs no second GPU
    yield from forward.stream(prompts, 32, prepended=PrependedLayers(1, 2, placeholder=1))


def test_a_batch_is_pinned_and_sent_with_its_device_current(gpus):
    forward = Forward(make_decoder("Qwen3", layers=2), None, device="cpu", max_length=64, attention="padded")
    forward.device = "cuda:1"
    batch = forward.batch([0], [array("I", [3, 4, 5])])
    gpus.strangers.clear()
    forward(batch)
    assert not gpus.strangers
    assert isinstance(Batch.to(batch, "cuda:1").ids, OnGpu) and gpus.strangers == {"pin_memory"}


def test_the_ceiling_waits_for_its_own_device(gpus, monkeypatch):
    monkeypatch.setattr(matmul_rate, "SIZES", {"cuda": 32, "cpu": 32})
    assert matmul_rate.matmul_rate("cuda:1", torch.float32) > 0
    assert set(gpus.seen) == {"synchronize 1"} and not gpus.strangers
