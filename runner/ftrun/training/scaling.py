"""The loss scaled for gradients in float16, and steps whose gradients overflow left out: alike on every backend."""

from __future__ import annotations

from typing import Any

import torch

from ftrun.settings import TrainingSettings

FIRST_SCALE = 2.0**16
"""What the loss is multiplied by at first: `GradScaler`'s default, and so Accelerate's and Trainer's."""


class LossScaler(torch.amp.GradScaler):
    """torch's `GradScaler` with its defaults, as Accelerate and Trainer have it; without `fp16` it scales nothing.

    Where gradients overflow, no optimizer is called, a fused one neither. torch would leave it to the kernel of that to
    change nothing, and Accelerate takes the step for one that was taken: its schedule and Trainer's go on then, which
    they do not where the same optimizer is not fused (accelerate#4242).

    Args:
        device: Where the model is.
        training: Of the settings `fp16`.

    Attributes:
        step_was_skipped: Whether the gradients of the last step overflowed; the schedule stays where it is then.
        used_scale: What the loss of the last step was multiplied by; None before there is one, and without `fp16`.
    """

    def __init__(self, device: torch.device, training: TrainingSettings) -> None:
        super().__init__(device.type, init_scale=FIRST_SCALE, enabled=training.fp16)
        self.step_was_skipped = False
        self.used_scale: float | None = None

    def step(self, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> float | None:
        """Call the optimizer, unless the gradients overflow. To be followed by `update()`."""
        if not self.is_enabled():
            return super().step(optimizer, *args, **kwargs)
        self.used_scale, self.step_was_skipped = self.get_scale(), True
        called = optimizer.register_step_post_hook(self._was_called)
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
        try:
            return super().step(optimizer, *args, **kwargs)
        finally:
            called.remove()

    def _was_called(self, *_: Any) -> None:
        self.step_was_skipped = False
