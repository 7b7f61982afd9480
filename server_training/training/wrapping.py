"""How the processes share a model: each a copy of it (DDP), or each a shard of it (FSDP2).

What shards need takes seconds to import, so functions import it where they need it.
"""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from server_training.training.processes import Processes
from server_training.training.step import TrainingStep


def wrapped(step: TrainingStep, processes: Processes, *, sharded: bool) -> nn.Module:
    """Return a module with the forward of `step` whose gradients are averaged over all processes.

    Sharded, every block of the backbone and the rest are split over the processes, which must have formed a group.
    """
    if sharded:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(processes.device.type, (dist.get_world_size(),))
        for block in step.model.backbone.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(step, mesh=mesh)
        return step
    if processes.world > 1:
        return DistributedDataParallel(step)
    return step


def full_weights(step: TrainingStep) -> dict[str, Any]:
    """Gather all weights of a sharded step on the CPU of the first process; the others get nothing."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return dict(get_model_state_dict(step, options=options))
