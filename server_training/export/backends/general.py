"""CPUs and GPUs: XNNPACK, portable operators, Core ML, Vulkan, OpenVINO."""

from __future__ import annotations

from typing import Any

from server_training.export.backends.backend import Backend, Quantization


class Xnnpack(Backend):
    """CPUs, by hand-written kernels: the default."""

    name = "xnnpack"
    target = "Arm and x86 CPUs"
    quantizations: tuple[Quantization, ...] = ("8da8w", "8da4w", "int8", "fp32")
    varying = True

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return XNNPACK's."""
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        return [XnnpackPartitioner()]

    def quantizer(self) -> Any:
        """Return XNNPACK's, symmetric and per channel, for the linear maps: it would also take sums of integers."""
        import torch
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )

        config = get_symmetric_quantization_config(is_per_channel=True)
        return XNNPACKQuantizer().set_operator_type(torch.ops.aten.linear.default, config)


class Portable(Backend):
    """Anything with a C++ compiler, by ExecuTorch's own operators; slow."""

    name = "portable"
    target = "any CPU"
    quantizations: tuple[Quantization, ...] = ("fp32",)
    varying = True

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Delegate nothing."""
        return []


class CoreMl(Backend):
    """Apple's CPUs, GPUs and neural engines, iOS 18 or macOS 15 and later."""

    name = "coreml"
    target = "Apple devices, in half precision"
    packages = ("coremltools==9.0",)
    environment = "coreml"
    modules = ("coremltools",)

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return Core ML's, in half precision."""
        import coremltools
        from executorch.backends.apple.coreml.compiler import CoreMLBackend
        from executorch.backends.apple.coreml.partition import CoreMLPartitioner

        specs = CoreMLBackend.generate_compile_specs(
            compute_precision=coremltools.precision.FLOAT16, minimum_deployment_target=coremltools.target.iOS18
        )
        return [CoreMLPartitioner(compile_specs=specs)]


class Vulkan(Backend):
    """GPUs of Android phones and others."""

    name = "vulkan"
    target = "GPUs with Vulkan"

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return Vulkan's."""
        from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

        return [VulkanPartitioner()]


class OpenVino(Backend):
    """Intel's CPUs, GPUs and NPUs; the program is made for the CPU, the device may be changed where it runs."""

    name = "openvino"
    target = "Intel CPUs, GPUs, NPUs"
    quantizations: tuple[Quantization, ...] = ("fp32", "int8")
    fold_weights = False  # OpenVINO folds them itself, and knows the scales only then
    packages = ("openvino==2025.4.1", "nncf==3.1.0")
    environment = "openvino"
    modules = ("openvino", "nncf")

    def partitioner(self, method: str) -> list[Any]:  # noqa: ARG002
        """Return OpenVINO's."""
        from executorch.backends.openvino.partitioner import OpenvinoPartitioner
        from executorch.exir.backend.backend_details import CompileSpec

        return [OpenvinoPartitioner([CompileSpec("device", b"CPU")])]

    def quantizer(self) -> Any:
        """Return OpenVINO's, in the mode for transformers."""
        from executorch.backends.openvino.quantizer import OpenVINOQuantizer, QuantizationMode

        return OpenVINOQuantizer(mode=QuantizationMode.INT8_TRANSFORMER)
