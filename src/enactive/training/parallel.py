"""The one place that knows of several processes: ``torchrun`` with DDP or FSDP2.

Everything else is written for one process. A step's batch is cut into micro-batches, numbered over
all processes; the random numbers of a micro-batch depend on its number, so that two processes with
one micro-batch each compute what one process computes by accumulating two, up to rounding.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from enactive.models.action_model import ActionModel

Sharding = Literal["replicate", "shard"]


class Parallel:
    """The processes of a run, seen from one of them."""

    def __init__(self, device: str = "auto", sharding: Sharding = "replicate") -> None:
        """Join the other processes, if ``torchrun`` started this one (it sets RANK and WORLD_SIZE).

        Args:
            device: ``cpu``, ``cuda`` or ``auto``.
            sharding: DDP (``replicate``) or FSDP2 (``shard``) where there are several processes.
        """
        cuda = torch.cuda.is_available() if device == "auto" else device.startswith("cuda")
        self.sharding = sharding
        self.rank, self.world_size = 0, 1
        local = 0
        if "WORLD_SIZE" in os.environ and "RANK" in os.environ:
            local = int(os.environ.get("LOCAL_RANK", "0"))
            if not dist.is_initialized():
                dist.init_process_group("nccl" if cuda else "gloo")
                # The group lives as long as the process: torchrun's store still holds the old
                # addresses, and a second group made from it would wait for them for ever.
                atexit.register(dist.destroy_process_group)
            self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.device = torch.device("cuda", local) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(self.device)

    @property
    def main(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """Whether parameters are spread over processes."""
        return self.world_size > 1 and self.sharding == "shard"

    def shard(self, model: ActionModel) -> None:
        """With FSDP2, spread ``model`` over the processes: every block by itself, then the rest."""
        if not self.sharded:
            return
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        mesh = init_device_mesh(self.device.type, (self.world_size,))
        for block in model.backbone.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        register_fsdp_forward_method(model, "sample")

    def replicate(self, module: nn.Module) -> nn.Module:
        """With DDP, ``module`` with its gradients averaged over the processes."""
        if self.world_size == 1 or self.sharded:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices)

    @contextlib.contextmanager
    def synchronising(self, module: nn.Module, model: ActionModel, last: bool) -> Iterator[None]:
        """Exchange gradients in this backward pass only if it is the step's last."""
        if isinstance(module, DistributedDataParallel) and not last:
            with module.no_sync():
                yield
            return
        if self.sharded:
            model.set_requires_gradient_sync(last)  # type: ignore[operator]
        yield

    def mean(self, value: Tensor) -> Tensor:
        """The mean of ``value`` over the processes."""
        if self.world_size > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
            value /= self.world_size
        return value

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` holds in any process."""
        if self.world_size == 1:
            return flag
        value = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return bool(value.item())

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            dist.barrier()


def local(value: Tensor) -> Tensor:
    """This process's part of a tensor that may be sharded."""
    from torch.distributed.tensor import DTensor

    return value.to_local() if isinstance(value, DTensor) else value


def whole(value: Tensor, like: Tensor | None = None) -> Tensor:
    """The whole of a tensor that may be sharded, on the CPU; all processes must call it.

    Args:
        value: the tensor, or this process's part of one that is sharded like ``like``.
        like: what says how ``value`` is sharded, by default itself.
    """
    from torch.distributed.tensor import DTensor

    if like is None:
        like = value
    if isinstance(like, DTensor):
        if not isinstance(value, DTensor):
            value = DTensor.from_local(
                value, like.device_mesh, like.placements, shape=like.shape, stride=like.stride()
            )
        value = value.full_tensor()
    return value.detach().cpu()


def part(value: Tensor, like: Tensor) -> Tensor:
    """The inverse of :func:`whole`: ``value`` sharded and placed as ``like`` is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(like, DTensor):
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value.to(like.device)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """An optimizer's state as whole tensors called ``<kind>/<parameter>``."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        for kind, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{kind}/{name}"] = whole(value)
    return tensors


def load_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
) -> None:
    """Put back what :func:`optimizer_tensors` took."""
    for key, value in tensors.items():
        kind, _, name = key.partition("/")
        parameter = parameters[name]
        state: dict[str, Any] = optimizer.state[parameter]
        # A step counter is a scalar of its own; moments are placed like their parameter.
        state[kind] = value.clone() if value.dim() == 0 else part(value, parameter).clone()
        if value.dim() == 0 and parameter.device.type != "cpu":
            state[kind] = state[kind].to(parameter.device)
