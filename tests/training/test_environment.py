"""What alters a number comes from the file: the environment is refused where it disagrees, and has no say where not."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ftrun
import pytest
from click.testing import CliRunner
from ftrun.cli import group
from ftrun.errors import ExperimentError, RunError
from ftrun.settings import TrainingSettings
from ftrun.training import environment
from helpers import died_after, points_of, slow, weights_of

DISAGREEING = {
    "ACCELERATE_MIXED_PRECISION=bf16": "the file says training.bf16 = false | training.bf16 = true",
    "ACCELERATE_MIXED_PRECISION=fp16": "the file says training.bf16 = false",
    "ACCELERATE_MIXED_PRECISION=fp8": "the file says training.bf16 = false",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS=4": "gradient_accumulation_steps = 1 | gradient_accumulation_steps = 4",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS=auto": "gradient_accumulation_steps = 1",
    "ACCELERATE_TORCH_DEVICE=cuda": 'training.device = "cpu" | training.device = "cuda"',
    "ACCELERATE_TORCH_DEVICE=cuda:1": 'training.device = "cpu"',
    "ACCELERATE_DYNAMO_BACKEND=inductor": "training.torch_compile = false",
    "ACCELERATE_USE_DEEPSPEED=true": "trains in one process",
    "ACCELERATE_USE_FSDP=True": "trains in one process",
    "ACCELERATE_USE_MEGATRON_LM=1": "trains in one process",
    "ACCELERATE_USE_PARALLELISM_CONFIG=true": "trains in one process",
    "ACCELERATE_USE_SAGEMAKER=true": "trains in one process",
    "ONEDNN_DEFAULT_FPMATH_MODE=BF16": "float32 in full",
    "DNNL_DEFAULT_FPMATH_MODE=any": "float32 in full",
}

AGREEING = [
    *("ACCELERATE_MIXED_PRECISION=no", "ACCELERATE_MIXED_PRECISION=NO", "ACCELERATE_MIXED_PRECISION="),
    *("ACCELERATE_GRADIENT_ACCUMULATION_STEPS=1", "ACCELERATE_USE_CPU=False", "ACCELERATE_USE_CPU=True"),
    *("ACCELERATE_DYNAMO_BACKEND=NO", "ACCELERATE_DYNAMO_MODE=default", "ACCELERATE_DYNAMO_USE_DYNAMIC=False"),
    *("ACCELERATE_USE_FSDP=false", "ACCELERATE_TORCH_DEVICE=cpu", "NVIDIA_TF32_OVERRIDE=1", "NVIDIA_TF32_OVERRIDE=0"),
    *("ONEDNN_DEFAULT_FPMATH_MODE=STRICT", "OMP_NUM_THREADS=7", "CUDA_VISIBLE_DEVICES=", "FSDP_VERSION=2"),
    *("CUBLAS_WORKSPACE_CONFIG=:0:0", "FLASH_ATTENTION_DETERMINISTIC=0", "TRANSFORMERS_VERBOSITY=debug"),
]


def check(tiny: Path, variable: str, *options: str) -> Any:
    name, _, value = variable.partition("=")
    return CliRunner().invoke(group, ["check", str(tiny), *options], env={name: value}, standalone_mode=False)


@pytest.mark.parametrize("variable", DISAGREEING)
def test_a_variable_that_disagrees_with_the_file_is_refused_by_name(tiny: Path, variable: str) -> None:
    said, _, mend = DISAGREEING[variable].partition(" | ")
    name, _, value = variable.partition("=")
    checked = check(tiny, variable)
    assert checked.return_value == 2
    assert f'{name}: the environment variable is "{value}", and ' in checked.output and said in checked.output
    expected = f"Unset it, or set {mend if mend.startswith('training') else f'training.{mend}'} in the file."
    assert (expected if mend else "Unset it.\n") in checked.output


@pytest.mark.parametrize("variable", AGREEING)
def test_a_variable_that_agrees_or_has_no_say_passes(tiny: Path, variable: str) -> None:
    checked = check(tiny, variable)
    assert checked.return_value == 0 and "nothing wrong" in checked.output, checked.output


@pytest.mark.parametrize(
    ("value", "asked", "hint"),
    [
        ("fp16", {"fp16": True}, None),
        ("no", {"fp16": True}, "Unset it, or set training.fp16 = false in the file."),
        ("bf16", {"fp16": True}, "Unset it, or set training.bf16 = true in the file."),
        ("fp16", {"bf16": True}, "Unset it, or set training.fp16 = true in the file."),
        ("fp16", {"device": "cpu"}, "Unset it."),
    ],
)
def test_float16_is_asked_for_by_the_file_and_not_where_there_is_none(
    value: str, asked: dict[str, Any], hint: str | None
) -> None:
    problems = environment.disagreements(TrainingSettings(**asked), {"ACCELERATE_MIXED_PRECISION": value})
    assert [problem.hint for problem in problems] == ([hint] if hint else [])


@pytest.mark.parametrize(
    ("variable", "setting", "agrees"),
    [
        ("ACCELERATE_MIXED_PRECISION=bf16", "bf16=true", True),
        ("ACCELERATE_MIXED_PRECISION=no", "bf16=true", False),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS=4", "gradient_accumulation_steps=4", True),
        ("ACCELERATE_USE_CPU=true", "device=cuda", False),
        ("ACCELERATE_USE_CPU=true", "device=auto", True),
        ("ACCELERATE_TORCH_DEVICE=cuda", "device=auto", True),
        ("ACCELERATE_TORCH_DEVICE=cuda:1", "device=auto", False),
        ("NVIDIA_TF32_OVERRIDE=1", "device=cuda", False),
        ("NVIDIA_TF32_OVERRIDE=1", "device=auto", False),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1", "device=cuda", False),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=0", "device=cuda", True),
        ("PYTORCH_MPS_FAST_MATH=1", "device=mps", False),
        ("CUBLAS_WORKSPACE_CONFIG=:0:0", "full_determinism=true", False),
        ("CUBLAS_WORKSPACE_CONFIG=:16:8", "full_determinism=true", True),
        ("FLASH_ATTENTION_DETERMINISTIC=0", "full_determinism=true", False),
    ],
)
def test_what_the_file_says_decides_whether_it_agrees(tiny: Path, variable: str, setting: str, agrees: bool) -> None:
    checked = check(tiny, variable, "--set", f"training.{setting}")
    assert checked.return_value == (0 if agrees else 2), checked.output


def test_what_only_the_machine_tells_is_refused_as_the_run_begins(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """device = "auto" and no GPU: a run would go to the CPU, and the variable asks for a GPU."""
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "cuda")
    result = ftrun.run(tiny, overrides={"training.device": "auto"}, progress=False)
    assert result.status == "FAILED" and result.error and "ACCELERATE_TORCH_DEVICE" in result.error
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "cpu")
    short = {"training.device": "auto", "training.max_steps": 1, "training.eval_strategy": "no"}
    assert ftrun.run(tiny, overrides=short, progress=False).status == "FINISHED"


def test_all_of_them_are_told_at_once_with_what_else_is_wrong(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ExperimentError) as caught:
        ftrun.run(tiny, overrides={"metrics": [{"use": "correlation"}]}, progress=False)
    places = [problem.place for problem in caught.value.problems]
    assert places == ["ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_FSDP", "metrics[0]"]
    assert not (tiny.parent / "runs").exists()


def test_an_experiment_is_shown_whatever_the_environment(tiny: Path) -> None:
    env = {"ACCELERATE_MIXED_PRECISION": "bf16"}
    assert "bf16 = false" in CliRunner().invoke(group, ["show", str(tiny)], env=env, standalone_mode=False).output


LAUNCHED = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "29511",
    "TORCHELASTIC_RUN_ID": "x",
    "ACCELERATE_MIXED_PRECISION": "no",
    "ACCELERATE_DYNAMO_BACKEND": "NO",
    "ACCELERATE_USE_CPU": "False",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "2",
    "FSDP_VERSION": "2",
}
"""As `torchrun` and `accelerate launch` set them for one process."""

FAULTY = {
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
    "ACCELERATE_DYNAMO_BACKEND": "aot_eager",
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_USE_CPU": "perhaps",
    "ACCELERATE_TORCH_DEVICE": "meta",
}

SHORT = {
    "training.max_steps": 3,
    "training.gradient_accumulation_steps": 2,
    "training.per_device_train_batch_size": 4,
}


def curve(tiny: Path, backend: str, **overrides: Any) -> tuple[dict[tuple[str, int], float], bytes]:
    result = ftrun.run(tiny, overrides={**SHORT, "backend.use": backend, **overrides}, progress=False)
    assert result.status == "FINISHED", result.error
    return points_of(result.run_folder), weights_of(result.run_folder)


@pytest.mark.parametrize("backend", [slow(name) for name in ("accelerate", "trainer", "loop")])
def test_launchers_of_one_process_change_no_curve(tiny: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = curve(tiny, backend)
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert curve(tiny, backend) == plain
    assert dict(os.environ) == before


@pytest.mark.parametrize("backend", ["accelerate", *map(slow, ("trainer", "loop"))])
def test_nothing_of_it_reaches_the_libraries(tiny: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were one forgotten in the table, it would still change no curve."""
    plain = curve(tiny, backend)
    monkeypatch.setattr(environment, "JUDGED", {})
    for name, value in FAULTY.items():
        monkeypatch.setenv(name, value)
    assert curve(tiny, backend) == plain


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "accelerate.commands.launch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_accelerate_launch_with_one_process_runs_an_experiment(tiny: Path) -> None:
    short = ["--set", "training.max_steps=1", "--set", "training.eval_strategy=no"]
    done = launch("--num_processes", "1", "-m", "ftrun", "tiny.toml", "--backend", "accelerate", *short)
    assert done.returncode == 0 and "finished" in done.stdout, done.stderr
    refused = launch("--num_processes", "1", "--mixed_precision", "bf16", "-m", "ftrun", "check", "tiny.toml")
    assert 'ACCELERATE_MIXED_PRECISION: the environment variable is "bf16"' in refused.stderr


@pytest.mark.parametrize("name", ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"])
@pytest.mark.parametrize("count", ["2", "many", "0"])
def test_one_of_several_processes_is_refused_whoever_started_them(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: str
) -> None:
    monkeypatch.setenv(name, count)
    with pytest.raises(RunError, match=f"trains in one process, and {name} is {count}"):
        ftrun.run(tiny, progress=False)


def test_what_chooses_the_kernels_is_recorded_and_compared(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving = {**SHORT, "training.save_strategy": "steps", "training.save_steps": 1}
    monkeypatch.setenv("TORCH_LINEAR_FLATTEN_3D", "0")
    first = ftrun.run(tiny, overrides=saving, progress=False)
    journal = (first.run_folder / "journal.jsonl").read_text()
    assert '"ftrun.variables": "TORCH_LINEAR_FLATTEN_3D=0"' in journal
    monkeypatch.delenv("TORCH_LINEAR_FLATTEN_3D")
    other = ftrun.resume(died_after(first.run_folder, 2, "other"), progress=False)
    assert other.status == "FAILED" and other.error
    assert "variables: the run was begun with TORCH_LINEAR_FLATTEN_3D=0, and now it is nothing" in other.error
    monkeypatch.setenv("TORCH_LINEAR_FLATTEN_3D", "0")
    same = ftrun.resume(died_after(first.run_folder, 2, "same"), progress=False)
    assert same.status == "FINISHED" and weights_of(same.run_folder) == weights_of(first.run_folder)


ELSEWHERE = {
    *("NVIDIA_TF32_OVERRIDE", "CUBLASLT_WORKSPACE_SIZE", "DISABLE_ADDMM_CUDA_LT"),  # in CUDA's libraries, and torch's
    *("PYTORCH_MPS_FAST_MATH", "PYTORCH_MPS_PREFER_METAL"),  # in torch for macOS
    *("TORCH_BLAS_PREFER_CUBLASLT", "TORCH_LINALG_PREFER_CUSOLVER"),
    *("TORCH_CUDNN_SDPA_AVOID_RECOMPILE", "TORCH_CUDNN_SDPA_DEPRIORITIZED"),
}


@pytest.fixture(scope="module")
def reads() -> Callable[[str], bool]:
    """Whether an installed library names a variable."""
    sources = [_source(name) for name in ("accelerate", "transformers", "torch/cuda", "torch/_native", "torch/_dynamo")]
    (library,) = [
        path for path in (_folder("torch") / "lib").glob("libtorch_cpu.*") if path.suffix in (".so", ".dylib")
    ]

    def read(name: str) -> bool:
        bare = name.removeprefix("ONEDNN_").removeprefix("DNNL_")  # which oneDNN puts before the name itself
        parts = (name, name.removeprefix("ACCELERATE_DYNAMO_"))  # Accelerate puts this before
        return any(f'"{part}"' in source for source in sources for part in parts) or _holds(library, bare.encode())

    return read


def _folder(package: str) -> Path:
    spec = find_spec(package.partition("/")[0])
    assert spec and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*package.split("/")[1:])


def _source(package: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(_folder(package).rglob("*.py")))


def _holds(library: Path, name: bytes) -> bool:
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"\0" + name + b"\0") >= 0


@pytest.mark.parametrize("name", sorted({*environment.JUDGED, *environment.RECORDED} - ELSEWHERE))
def test_every_variable_of_the_tables_is_read_by_an_installed_library(name: str, reads: Callable[[str], bool]) -> None:
    """When this fails after an upgrade, the variable has gone: see what has come in its place."""
    assert reads(name)


def test_no_table_is_needed_for_what_is_not_set() -> None:
    from ftrun.settings import TrainingSettings

    nothing: Mapping[str, str] = {}
    assert environment.disagreements(TrainingSettings(), nothing) == []
    assert environment.recorded_variables(nothing) == ""


@pytest.mark.parametrize("name", ["TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE", "TORCHDYNAMO_SUPPRESS_ERRORS"])
def test_what_switches_the_compiler_off_is_refused_where_the_file_asks_for_it(name: str) -> None:
    from ftrun.settings import TrainingSettings

    (problem,) = environment.disagreements(TrainingSettings(torch_compile=True), {name: "1"})
    assert problem.place == name and 'the environment variable is "1"' in problem.message
    assert environment.disagreements(TrainingSettings(), {name: "1"}) == []
