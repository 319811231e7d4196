"""What the machine and a process with its children use, by the names that MLflow has for it."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Collection, Iterator
from typing import Any

import psutil

PREFIX = "system/"
"""Of the keys; MLflow shows what begins so on a page of its own."""


class Usage:
    """Measures; percentages are those of the time since it was made or last asked.

    To be made and asked by one thread: psutil remembers by thread.

    Args:
        apart: The ids of children that do not count.
    """

    def __init__(self, apart: Collection[int] = ()) -> None:
        self._apart = apart
        self._process = psutil.Process()
        self._gpus = _gpus()
        psutil.cpu_percent()
        self._at, self._busy = time.monotonic(), self._cpu_seconds()

    def measure(self) -> dict[str, float]:
        """All of it by MLflow's keys: memory in megabytes of 10**6 bytes, power in watts."""
        memory = psutil.virtual_memory()
        told = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": memory.used / memory.total * 100,
            "process_cpu_utilization_percentage": self._process_percentage(),
            "process_memory_usage_megabytes": sum(_memory_of(process) for process in self._family()) / 1e6,
            **dict(_of_gpus(*self._gpus)),
        }
        return {f"{PREFIX}{key}": round(value, 1) for key, value in told.items()}

    def _process_percentage(self) -> float:
        """Of one core: two that are busy are 200."""
        now, busy = time.monotonic(), self._cpu_seconds()
        percentage = (busy - self._busy) / max(now - self._at, 1e-3) * 100
        self._at, self._busy = now, busy
        return max(percentage, 0.0)  # a child that nobody waited for takes its time with it

    def _cpu_seconds(self) -> float:
        return sum(_cpu_seconds_of(process) for process in self._family())

    def _family(self) -> list[Any]:
        with contextlib.suppress(psutil.Error):
            children = self._process.children(recursive=True)
            return [self._process, *(child for child in children if child.pid not in self._apart)]
        return [self._process]


def _cpu_seconds_of(process: Any) -> float:
    """With that of the children that are over."""
    with contextlib.suppress(psutil.Error):  # it is over, or not ours to look at
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _memory_of(process: Any) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _gpus() -> tuple[Any, list[Any]]:
    """NVIDIA's library and a handle of each GPU, where they are there."""
    with contextlib.suppress(Exception):  # not installed, no driver, or none that answers
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        return nvml, [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    return None, []


def _of_gpus(nvml: Any, handles: list[Any]) -> Iterator[tuple[str, float]]:
    """What each GPU tells; some tell less than others."""
    for index, handle in enumerate(handles):
        with contextlib.suppress(Exception):
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            yield f"gpu_{index}_memory_usage_megabytes", memory.used / 1e6
            yield f"gpu_{index}_memory_usage_percentage", memory.used / memory.total * 100
        with contextlib.suppress(Exception):
            yield f"gpu_{index}_utilization_percentage", nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        with contextlib.suppress(Exception):
            watts = nvml.nvmlDeviceGetPowerUsage(handle) / 1000
            yield f"gpu_{index}_power_usage_watts", watts
            limit = nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000
            yield f"gpu_{index}_power_usage_percentage", watts / limit * 100
