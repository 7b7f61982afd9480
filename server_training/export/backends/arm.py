"""Arm's accelerators: Ethos-U NPUs, TOSA as such (for its reference model), VGF for GPUs with the ML extensions."""

from __future__ import annotations

from typing import Any

from server_training.export.backends.backend import Backend, Quantization

_TOSA_TOOLS = "tosa-tools==2026.5.0"


class _Arm(Backend):
    quantizations: tuple[Quantization, ...] = ("int8",)
    environment = "arm"
    check_guards = False  # Arm's passes stumble over them

    def compile_config(self) -> Any:
        """Return what Arm's examples use: their operators are not all of the core set."""
        from executorch.exir import EdgeCompileConfig

        return EdgeCompileConfig(_check_ir_validity=False)


class EthosU(_Arm):
    """Ethos-U85, 256 multiply-accumulate units; Vela compiles for it."""

    name = "ethos-u"
    target = "Arm Ethos-U85 NPUs"
    packages = ("ethos-u-vela==5.1.0", _TOSA_TOOLS)
    modules = ("ethosu.vela", "tosa_serializer")

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return Ethos-U's."""
        from executorch.backends.arm.ethosu import EthosUPartitioner

        return [EthosUPartitioner(self._spec())]

    def quantizer(self) -> Any:
        """Return Ethos-U's."""
        from executorch.backends.arm.quantizer import EthosUQuantizer, get_symmetric_quantization_config

        return EthosUQuantizer(self._spec()).set_global(get_symmetric_quantization_config())

    @staticmethod
    def _spec() -> Any:
        from executorch.backends.arm.ethosu import EthosUCompileSpec

        return EthosUCompileSpec(target="ethos-u85-256")


class Tosa(_Arm):
    """TOSA 1.0, integers: what Arm's reference model runs."""

    name = "tosa"
    target = "TOSA reference model"
    packages = (_TOSA_TOOLS,)
    modules = ("tosa_serializer",)

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return TOSA's."""
        from executorch.backends.arm.tosa.partitioner import TOSAPartitioner

        return [TOSAPartitioner(self._spec())]

    def quantizer(self) -> Any:
        """Return TOSA's."""
        from executorch.backends.arm.quantizer import TOSAQuantizer, get_symmetric_quantization_config

        return TOSAQuantizer(self._spec()).set_global(get_symmetric_quantization_config())

    @staticmethod
    def _spec() -> Any:
        from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec

        return TosaCompileSpec("TOSA-1.0+INT")


class Vgf(_Arm):
    """VGF, for GPUs with Vulkan's ML extensions."""

    name = "vgf"
    target = "GPUs with the ML extensions for Vulkan"
    packages = ("ai_ml_sdk_model_converter==0.9.0", _TOSA_TOOLS)
    modules = ("tosa_serializer",)
    tools = ("model-converter",)

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return VGF's."""
        from executorch.backends.arm.vgf import VgfPartitioner

        return [VgfPartitioner(self._spec())]

    def quantizer(self) -> Any:
        """Return VGF's."""
        from executorch.backends.arm.quantizer import VgfQuantizer, get_symmetric_quantization_config

        return VgfQuantizer(self._spec()).set_global(get_symmetric_quantization_config())

    @staticmethod
    def _spec() -> Any:
        from executorch.backends.arm.vgf import VgfCompileSpec

        return VgfCompileSpec("TOSA-1.0+INT")
