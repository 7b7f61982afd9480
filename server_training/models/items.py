"""From an item's semantic ID and its few own numbers to its vector.

A vector is the sum of L code embeddings plus a linear map of R numbers: learned ones (zero for an item nobody has
used) and ones computed from content. There is no item table, so the parameters grow with the catalog only by the
learned numbers, which travel in the catalog as int8.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from server_training.models.config import ModelConfig

CODE_SCALE = 0.02


class ItemEncoder(nn.Module):
    """Codes and features of items -> vectors."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        # Row K is the pad code, hidden by masks. No padding_idx: it would keep the exporter from fusing quantised
        # embeddings.
        levels = config.levels if config.codes else 0
        tables = [nn.Embedding(config.codebook_size + 1, config.width) for _ in range(levels)]
        self.own_map = nn.Linear(config.own_features, config.width, bias=False)
        # Learned numbers start small under a map of unit gain, so that they move as fast as a table of their own would;
        # numbers from content have unit size, so their map starts small.
        nn.init.normal_(self.own_map.weight, std=config.own_features**-0.5)
        self.content_map: nn.Linear | None = None
        if config.content_features:
            self.content_map = nn.Linear(config.content_features, config.width, bias=False)
            nn.init.normal_(self.content_map.weight, std=CODE_SCALE * config.content_features**-0.5)
        self.own_features = config.own_features
        for table in tables:
            nn.init.normal_(table.weight, std=CODE_SCALE)
        self.code_tables = nn.ModuleList(tables)

    def forward(self, codes: Tensor, features: Tensor) -> Tensor:
        """Map codes int64 [..., L] and features float [..., R] to vectors [..., d]."""
        vectors: Tensor = self.own_map(features[..., : self.own_features])
        if self.content_map is not None:
            vectors = vectors + self.content_map(features[..., self.own_features :])
        for level, table in enumerate(self.code_tables):
            vectors = vectors + table(codes[..., level])
        return vectors


class FeatureTable(nn.Module):
    """The R numbers of every catalog item: learned ones first, then those from content.

    Args:
        n_items: n.
        own: how many are learned.
        content: float32 [n, R - own], scaled to a standard deviation near 1; fixed.
        used: bool [n], items that training sees; the learned numbers of the others are zero, where training would only
            push them away from everyone. None when all are.
    """

    def __init__(self, n_items: int, own: int, content: Tensor | None = None, used: Tensor | None = None) -> None:
        super().__init__()
        self.own = nn.Parameter(CODE_SCALE * torch.randn(n_items, own))
        self.content: Tensor
        self.register_buffer("content", torch.zeros(n_items, 0) if content is None else content)
        self.used: Tensor
        self.register_buffer("used", torch.ones(n_items, 1) if used is None else used.float()[:, None])

    def forward(self, hidden: float = 0.0) -> Tensor:
        """Return float32 [n, R]; in training mode the learned numbers of a share of items are zero."""
        own: Tensor = self.own * self.used
        if hidden and self.training:
            own = own * (torch.rand(len(own), 1, device=own.device) >= hidden)
        return torch.cat([own, self.content], dim=1)
