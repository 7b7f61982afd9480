"""Where a program runs: one small class per ExecuTorch backend, one interface.

`BACKENDS` holds them by name. Those whose packages are not installed say so in words (`missing`); the ones that need a
vendor's SDK name it.
"""

from server_training.export.backends.arm import EthosU, Tosa, Vgf
from server_training.export.backends.backend import Backend, Quantization
from server_training.export.backends.general import CoreMl, OpenVino, Portable, Vulkan, Xnnpack
from server_training.export.backends.vendors import MediaTek, Nxp, Qualcomm, Samsung

BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Xnnpack(),
        Portable(),
        CoreMl(),
        Vulkan(),
        OpenVino(),
        EthosU(),
        Tosa(),
        Vgf(),
        Qualcomm(),
        MediaTek(),
        Samsung(),
        Nxp(),
    )
}

__all__ = ["BACKENDS", "Backend", "Quantization"]
