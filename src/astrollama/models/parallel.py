"""The ranks that train one model together: processes that torchrun started, or this one alone.

The loop is the same for both. With several ranks each holds a slice of every weight, gradient and moment, and gathers a
layer's weights just before it is used (FSDP2; Zhao et al. 2023, arXiv:2304.11277).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

from astrollama.errors import UserInputError

T = TypeVar("T")

# Rank 0 may fetch and hash tens of gigabytes while the others wait.
_TIMEOUT = timedelta(hours=3)


@dataclass(frozen=True)
class Parallel:
    """One of `size` ranks.

    Attributes:
        device: where this rank's tensors are: `cpu`, `cuda` or `cuda:1`.
        local_rank: its number among the ranks of its machine.
    """

    rank: int
    size: int
    device: str
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this rank writes and speaks for all."""
        return self.rank == 0

    def shard(self, module: torch.nn.Module, layers: Iterator[torch.nn.Module]) -> None:
        """Divide a module's parameters among the ranks, layer by layer; what is in no layer stays whole in use.

        They are gathered in float32, and autocast makes of them what it makes on one rank, so that the numbers are the same.

        Args:
            module: its forward pass must be all that touches the parameters.
        """
        if self.size == 1:
            return
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.split(":")[0], (self.size,))
        for layer in layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(module, mesh=mesh, reshard_after_forward=False)

    def forget_gathered(self, module: Any) -> None:
        """Drop what a forward pass without a backward pass has gathered, which would outlive a change of the slices."""
        if self.size > 1:
            module.reshard()

    def sum(self, value: float) -> float:
        """The sum of a number over the ranks."""
        return self._reduce([value], dist.ReduceOp.SUM)[0] if self.size > 1 else value

    def max(self, *values: float) -> list[float]:
        """The largest over the ranks of each number."""
        return self._reduce(list(values), dist.ReduceOp.MAX) if self.size > 1 else list(values)

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if self.size > 1:
            dist.barrier()

    def share(self, value: T) -> T:
        """What rank 0 has, on all ranks."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """What each rank has, in the order of the ranks, on all of them."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def first(self, function: Callable[[], T]) -> T | None:
        """Call `function` on rank 0 alone, whose result it returns; the other ranks wait, and get None.

        An error of rank 0 ends all ranks, and rank 0 alone tells it.
        """
        if self.size == 1:
            return function()
        result, failure = None, None
        if self.is_main:
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 — raised below, once the others know
                failure = error
        code = self.share(None if failure is None else getattr(failure, "exit_code", 1))
        if failure is not None:
            raise failure
        if code is not None:
            raise SystemExit(code)
        return result

    def require_one(self, what: str) -> None:
        """Refuse several ranks for what runs on one.

        Raises:
            UserInputError: there are several.
        """
        if self.size > 1:
            raise UserInputError(f"{what} on {self.size} processes", "it runs on one: leave torchrun out")

    def in_turn(self, function: Callable[[], T]) -> T:
        """Call `function` on rank 0, then on the first rank of each other machine, which may fetch what the rest finds."""
        result = self.first(function)
        for is_mine in (self.local_rank == 0, self.local_rank != 0):
            if is_mine and not self.is_main:
                result = function()
            self.barrier()
        assert result is not None
        return result

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Plain tensors on the CPU, made of all ranks' slices; on the other ranks than 0 there are none."""
        gathered = {}
        for name, tensor in tensors.items():
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self.is_main:
                gathered[name] = full.detach().cpu()
        return gathered

    def _reduce(self, values: list[float], operation: Any) -> list[float]:
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, operation)
        return tensor.tolist()


@contextmanager
def parallel(device: str) -> Iterator[Parallel]:
    """The ranks of this run, joined within the block.

    Args:
        device: `cpu` or `cuda`; on a GPU each rank of a machine takes its own.
    """
    size = int(os.environ.get("WORLD_SIZE", "1")) if dist.is_torchelastic_launched() else 1
    if size == 1:
        yield Parallel(0, 1, device)
        return
    local_rank = int(os.environ["LOCAL_RANK"])
    if device == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise UserInputError(
                f"torchrun started more processes than there are GPUs, {torch.cuda.device_count()}",
                "lower --nproc-per-node",
            )
        device = f"cuda:{local_rank}"
        torch.cuda.set_device(device)
    joined_before = dist.is_initialized()  # a process joins once, however many runs it makes
    if not joined_before:
        dist.init_process_group("gloo" if device == "cpu" else "cuda:nccl,cpu:gloo", timeout=_TIMEOUT)
    try:
        yield Parallel(dist.get_rank(), size, device, local_rank)
    finally:
        if not joined_before:
            dist.destroy_process_group()


def local(tensor: Tensor) -> Tensor:
    """The slice of a tensor that this rank has; its memory is the tensor's own."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
