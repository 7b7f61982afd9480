"""The processes of one training run: alone, or started by `torchrun`.

Knows ranks and small sums; what is computed where is decided elsewhere.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

from server_training.errors import ConfigInvalid

DEFAULT_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among its fellows.

    Attributes:
        rank: 0 to world - 1; 0 writes files and shows progress.
        world: how many there are.
        device: where this one computes.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def join(cls, *, timeout_s: float = DEFAULT_TIMEOUT_S, alone_too: bool = False) -> Processes:
        """Join the group that torchrun's environment names; without one, this process is alone.

        Args:
            timeout_s: how long to wait for the others in any collective operation; then this process ends with an
                error, so that one that was killed does not leave the rest waiting for ever.
            alone_too: form a group of one when there is no environment; sharding needs a group.

        Raises:
            ConfigInvalid: the environment is incomplete.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        rank = int(os.environ.get("RANK", "0"))
        device = _device()
        if world == 1 and not alone_too:
            return cls(device=device)
        timeout = datetime.timedelta(seconds=timeout_s)
        backend = "nccl" if device.type == "cuda" else "gloo"
        try:
            if world == 1:
                dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1, timeout=timeout)
            else:
                dist.init_process_group(backend, timeout=timeout)
        except ValueError as error:
            raise ConfigInvalid(f"the processes cannot find each other ({error}); start them with torchrun") from error
        return cls(rank, world, device)

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def summed(self, value: float) -> float:
        """Return the sum of `value` over all processes, at all of them."""
        if self.world == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total)

    def wait(self) -> None:
        """Return when all processes are here."""
        if self.world > 1:
            dist.barrier()

    def leave(self) -> None:
        """Leave the group; harmless when there is none."""
        if dist.is_initialized():
            dist.destroy_process_group()


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", "0"))
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
