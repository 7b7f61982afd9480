"""NPUs whose compilers come from their vendors, not from PyPI: used where the vendor's SDK is installed."""

from __future__ import annotations

import os
from typing import Any

from server_training.export.backends.backend import Backend, Quantization, importable


class _Vendor(Backend):
    quantizations: tuple[Quantization, ...] = ("int8", "fp32")
    sdk: str  # its name and where to get it
    variable: str | None = None  # of the environment, naming its folder

    def missing(self) -> str | None:
        """Name the SDK where it is not there."""
        lacking = [module for module in self.modules if not importable(module)]
        if self.variable is not None and not os.environ.get(self.variable):
            lacking.append(f"${self.variable}")
        return f"backend {self.name} needs {self.sdk}; it lacks {', '.join(lacking)}" if lacking else None


class Qualcomm(_Vendor):
    """Hexagon NPUs of Snapdragon SoCs."""

    name = "qualcomm"
    target = "Qualcomm Hexagon NPUs"
    sdk = "Qualcomm's AI Engine Direct SDK (qpm.qualcomm.com), with QNN_SDK_ROOT naming its folder"
    variable = "QNN_SDK_ROOT"

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return QNN's, for a Snapdragon 8 Gen 3."""
        from executorch.backends.qualcomm.partition.qnn_partitioner import QnnPartitioner
        from executorch.backends.qualcomm.serialization.qc_schema import QcomChipset
        from executorch.backends.qualcomm.utils.utils import (
            generate_htp_compiler_spec,
            generate_qnn_executorch_compiler_spec,
        )

        options = generate_htp_compiler_spec(use_fp16=False)
        return [QnnPartitioner(generate_qnn_executorch_compiler_spec(QcomChipset.SM8650, options))]

    def quantizer(self) -> Any:
        """Return QNN's."""
        from executorch.backends.qualcomm.quantizer.quantizer import QnnQuantizer

        return QnnQuantizer()


class MediaTek(_Vendor):
    """APUs of Dimensity SoCs."""

    name = "mediatek"
    target = "MediaTek APUs"
    sdk = "MediaTek's NeuroPilot Express SDK (neuropilot.mediatek.com) with its mtk_converter and mtk_neuron packages"
    modules = ("mtk_converter", "mtk_neuron")

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return NeuroPilot's, for a Dimensity 9300."""
        from executorch.backends.mediatek import NeuropilotPartitioner
        from executorch.exir.backend.backend_details import CompileSpec

        return [NeuropilotPartitioner([CompileSpec("platform-config", b"mt6989")])]

    def quantizer(self) -> Any:
        """Return NeuroPilot's."""
        from executorch.backends.mediatek import NeuropilotQuantizer

        return NeuropilotQuantizer()


class Samsung(_Vendor):
    """NPUs of Exynos SoCs."""

    name = "samsung"
    target = "Samsung Exynos NPUs"
    sdk = "Samsung's Exynos AI LiteCore SDK (soc-developer.semiconductor.samsung.com) and ExecuTorch built with it"
    modules = ("executorch.backends.samsung.python.PyEnnWrapperAdaptor",)
    variable = "EXYNOS_AI_LITECORE_ROOT"

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return ENN's, for an Exynos 2500."""
        from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
        from executorch.backends.samsung.serialization.compile_options import gen_samsung_backend_compile_spec

        return [EnnPartitioner([gen_samsung_backend_compile_spec("E9955")])]

    def quantizer(self) -> Any:
        """Return ENN's."""
        from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer

        return EnnQuantizer()


class Nxp(_Vendor):
    """eIQ Neutron NPUs of i.MX SoCs."""

    name = "nxp"
    target = "NXP eIQ Neutron NPUs"
    quantizations: tuple[Quantization, ...] = ("int8",)
    sdk = "NXP's eIQ Neutron SDK (eiq.nxp.com) with its eiq_neutron_sdk package"
    modules = ("eiq_neutron_sdk",)

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return Neutron's, for an i.MX RT700."""
        from executorch.backends.nxp.backend.neutron_target_spec import NeutronTargetSpec
        from executorch.backends.nxp.neutron_partitioner import NeutronPartitioner
        from executorch.backends.nxp.nxp_backend import generate_neutron_compile_spec

        return [NeutronPartitioner(generate_neutron_compile_spec("imxrt700"), NeutronTargetSpec("imxrt700"))]

    def quantizer(self) -> Any:
        """Return Neutron's."""
        from executorch.backends.nxp.backend.neutron_target_spec import NeutronTargetSpec
        from executorch.backends.nxp.quantizer.neutron_quantizer import NeutronQuantizer

        return NeutronQuantizer(NeutronTargetSpec("imxrt700"))
