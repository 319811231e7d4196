"""What a run uses of its machine, by MLflow's names, as far as the machine tells."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ftrun.execution.usage import Usage

MACHINE = {
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
    "system/process_cpu_utilization_percentage",
    "system/process_memory_usage_megabytes",
}
BUSY = "import time; a = bytearray(10 ** 8); print(flush=True); [i * i for i in iter(int, 1)]"


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


@pytest.mark.usefixtures("no_gpu")
def test_the_machine_and_the_process_with_its_children_are_measured_and_who_is_apart_is_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    try:
        assert child.stdout and child.stdout.readline()
        with_child, without = Usage(), Usage([child.pid])
        time.sleep(0.5)
        both, alone = with_child.measure(), without.measure()
    finally:
        child.kill()
        child.communicate()
    assert set(both) == MACHINE
    assert 0 < both["system/system_memory_usage_percentage"] < 100
    memory, cpu = "system/process_memory_usage_megabytes", "system/process_cpu_utilization_percentage"
    assert both[memory] > alone[memory] + 100 > 110 and both[cpu] > alone[cpu] + 5
    time.sleep(0.1)
    assert with_child.measure()[cpu] >= 0


class Nvml:
    """NVIDIA's library with two GPUs, of which the second tells nothing but its memory."""

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=20e6, total=80e6)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=[50][handle])

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return [100_000][handle]

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        return 400_000


def test_a_gpu_is_measured_as_far_as_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    told = Usage().measure()
    assert {key: told[key] for key in told if "gpu" in key} == {
        "system/gpu_0_memory_usage_megabytes": 20.0,
        "system/gpu_0_memory_usage_percentage": 25.0,
        "system/gpu_0_utilization_percentage": 50,
        "system/gpu_0_power_usage_watts": 100.0,
        "system/gpu_0_power_usage_percentage": 25.0,
        "system/gpu_1_memory_usage_megabytes": 20.0,
        "system/gpu_1_memory_usage_percentage": 25.0,
    }
