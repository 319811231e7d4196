"""Environment variables behind whose back a curve could change: refused where they disagree with the file, recorded
where they choose among kernels, and kept from the libraries while a run trains. Light.

Gone through: accelerate 1.15, transformers 5.23, torch 2.13 with oneDNN and MKL, datasets 5.2, huggingface_hub 2.4.
What is not here changes no number: places, caches, logs, debugging, timeouts, trackers; what distributes a training,
for this is one process; other devices than a CPU, CUDA and MPS; and what is
recorded as the thread count or the device that it led to. Where a file sets `torch_compile`, inductor's own variables
(`TORCHINDUCTOR_...`) are neither judged nor recorded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ftrun.errors import Problem
from ftrun.settings import TrainingSettings, float16_problem

TRUE = frozenset({"1", "true", "yes", "y", "t", "on"})


@dataclass(frozen=True)
class Verdict:
    """How a variable's value stands to the file.

    Attributes:
        agrees: Whether it leaves every number as the file has it.
        file: What the file says, or what a run does in any case.
        mend: The setting that would ask for the same, if there is one.
    """

    agrees: bool
    file: str
    mend: str | None = None


Judge = Callable[[str, TrainingSettings], Verdict]


def _precision(value: str, training: TrainingSettings) -> Verdict:
    key, asked = ("fp16" if training.fp16 else "bf16"), training.precision != "float32"
    mend = {"bf16": "training.bf16 = true", "no": f"training.{key} = false"}
    if training.device == "auto" or not float16_problem(training.device):
        mend["fp16"] = "training.fp16 = true"
    said = f"the file says training.{key} = {str(asked).lower()}"
    return Verdict(value.lower() == (key if asked else "no"), said, mend.get(value.lower()))


def _accumulation(value: str, training: TrainingSettings) -> Verdict:
    steps = training.gradient_accumulation_steps
    key = "training.gradient_accumulation_steps"
    mend = f"{key} = {int(value)}" if value.isdecimal() and int(value) > 0 else None
    return Verdict(value == str(steps), f"the file says {key} = {steps}", mend)


def _cpu(value: str, training: TrainingSettings) -> Verdict:
    agrees = value.lower() not in TRUE or training.device in ("auto", "cpu")
    return Verdict(agrees, _device_told(training), 'training.device = "cpu"')


def _device(value: str, training: TrainingSettings) -> Verdict:
    known = value in ("cpu", "cuda", "mps")
    agrees = value == training.device or (known and training.device == "auto")
    return Verdict(agrees, _device_told(training), f'training.device = "{value}"' if known else None)


def _device_told(training: TrainingSettings) -> str:
    return f'the file says training.device = "{training.device}"'


def _off(what: str) -> Judge:
    """Agrees as long as it does not switch on what no run does."""
    return lambda value, training: Verdict(value.lower() not in TRUE, what)


def _compiler(value: str, training: TrainingSettings) -> Verdict:
    if not training.torch_compile:
        return Verdict(value.lower() == "no", "the file says training.torch_compile = false")
    backend = training.torch_compile_backend or "inductor"
    return Verdict(value.lower() == backend, f'the file has the model compiled by "{backend}"')


def _compiles(value: str, training: TrainingSettings) -> Verdict:
    return Verdict(
        value.lower() not in TRUE or not training.torch_compile, "the file says training.torch_compile = true"
    )


def _hides_errors(value: str, training: TrainingSettings) -> Verdict:
    return Verdict(not training.torch_compile, "what cannot be compiled would run as it is, without a word")


def _no_tf32(value: str, training: TrainingSettings) -> Verdict:
    agrees = value.lower() not in TRUE or training.device == "cpu" or bool(training.tf32)
    return Verdict(agrees, "a run multiplies float32 in full, not as TF32", "training.tf32 = true")


def _no_fast_math(value: str, training: TrainingSettings) -> Verdict:
    agrees = value.lower() not in TRUE or training.device in ("cpu", "cuda")
    return Verdict(agrees, "a run calculates float32 in full")


def _strict_float32(value: str, training: TrainingSettings) -> Verdict:
    agrees = value.upper() in ("STRICT", "0")
    return Verdict(agrees, "a run calculates float32 in full")


def _cublas_workspace(value: str, training: TrainingSettings) -> Verdict:
    deterministic = value in (":4096:8", ":16:8")
    return Verdict(deterministic or not training.full_determinism, "the file says training.full_determinism = true")


def _deterministic_attention(value: str, training: TrainingSettings) -> Verdict:
    return Verdict(value == "1" or not training.full_determinism, "the file says training.full_determinism = true")


ONE_PROCESS = "this version trains in one process, in no such way"

JUDGED: Mapping[str, Judge] = {
    "ACCELERATE_MIXED_PRECISION": _precision,
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": _accumulation,
    "ACCELERATE_USE_CPU": _cpu,
    "ACCELERATE_TORCH_DEVICE": _device,
    "ACCELERATE_DYNAMO_BACKEND": _compiler,
    "TORCH_COMPILE_DISABLE": _compiles,
    "TORCHDYNAMO_DISABLE": _compiles,
    "TORCHDYNAMO_SUPPRESS_ERRORS": _hides_errors,
    "ACCELERATE_USE_DEEPSPEED": _off(ONE_PROCESS),
    "ACCELERATE_USE_FSDP": _off(ONE_PROCESS),
    "ACCELERATE_USE_MEGATRON_LM": _off(ONE_PROCESS),
    "ACCELERATE_USE_PARALLELISM_CONFIG": _off(ONE_PROCESS),
    "ACCELERATE_USE_SAGEMAKER": _off(ONE_PROCESS),
    "NVIDIA_TF32_OVERRIDE": _no_tf32,
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": _no_tf32,
    "PYTORCH_MPS_FAST_MATH": _no_fast_math,
    "ONEDNN_DEFAULT_FPMATH_MODE": _strict_float32,
    "DNNL_DEFAULT_FPMATH_MODE": _strict_float32,
    "CUBLAS_WORKSPACE_CONFIG": _cublas_workspace,
    "FLASH_ATTENTION_DETERMINISTIC": _deterministic_attention,
}
"""What a variable's value would do to a run that the file does not say."""

RECORDED = (
    "ATEN_CPU_CAPABILITY",
    "CUBLASLT_WORKSPACE_SIZE",
    "CUBLAS_WORKSPACE_CONFIG",
    "DISABLE_ADDMM_CUDA_LT",
    "DNNL_CPU_ISA_HINTS",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_DISABLE_FAST_MM",
    "MKL_DOMAIN_NUM_THREADS",
    "MKL_DYNAMIC",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_NUM_STRIPES",
    "MKL_NUM_THREADS",
    "ONEDNN_CPU_ISA_HINTS",
    "ONEDNN_MAX_CPU_ISA",
    "PYTORCH_MPS_PREFER_METAL",
    "PYTORCH_TUNABLEOP_ENABLED",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "TORCH_CUDNN_SDPA_AVOID_RECOMPILE",
    "TORCH_CUDNN_SDPA_DEPRIORITIZED",
    "TORCH_CUDNN_USE_HEURISTIC_MODE_B",
    "TORCH_CUDNN_V8_API_DISABLED",
    "TORCH_DISABLE_NATIVE_JIT",
    "TORCH_LINALG_PREFER_CUSOLVER",
    "TORCH_LINEAR_FLATTEN_3D",
    "TORCH_MKLDNN_MATMUL_MIN_DIM",
    "TORCH_MKLDNN_MATMUL_MIN_SIZE",
    "TRANSFORMERS_SDPA_FORCE_GQA",
)
"""Variables that choose the kernel and so the last bits, as the processor does: recorded, and compared on resume."""

KEPT_AWAY = ("ACCELERATE_", "FSDP_", "MEGATRON_LM_", "PARALLELISM_CONFIG_")
"""What Accelerate reads as it begins; a run tells it everything itself."""

PLACE_AMONG_PROCESSES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What `torchrun` sets for one process, too; Accelerate would make a group of it."""


def disagreements(training: TrainingSettings, environ: Mapping[str, str]) -> Sequence[Problem]:
    """A problem for every variable that would change a number behind the file's back."""
    problems = []
    for name, judge in JUDGED.items():
        value = environ.get(name, "").strip()
        verdict = judge(value, training)
        if value and not verdict.agrees:
            message = f'the environment variable is "{value}", and {verdict.file}'
            mend = f", or set {verdict.mend} in the file" if verdict.mend else ""
            problems.append(Problem(message, name, f"Unset it{mend}."))
    return problems


def recorded_variables(environ: Mapping[str, str]) -> str:
    """The recorded variables that are set, as "NAME=VALUE NAME=VALUE"; empty if none is."""
    return " ".join(f"{name}={environ[name]}" for name in RECORDED if environ.get(name))


@contextlib.contextmanager
def kept_from_libraries() -> Iterator[None]:
    """Take away what launchers set for Accelerate and Trainer, and put it back at the end."""
    names = [name for name in os.environ if name.startswith(KEPT_AWAY) or name in PLACE_AMONG_PROCESSES]
    kept = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(kept)
