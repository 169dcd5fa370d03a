"""What follows the gradients of an update: their mean, clipping, the optimizer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penstock.config import TrainingConfig
from penstock.runtime.torch_cuda_graphs import Repeater

_READ_EVERY = 16  # updates of a GPU: reading a number makes the host wait for it


class Update:
    """An optimizer that takes sums of gradients and losses.

    The division by the number of tokens and the clipping happen inside the optimizer's kernel, so
    gradients are read twice, for their norm and for the step, and nothing makes the host wait.
    What changes from step to step are tensors on the device, so that a step can be replayed.

    Args:
        model: its parameters are trained.
        settings: optimizer, rate, decay and clipping.
        repeat: replays steps. Gradients then stay in place and are set to zero after a step.

    Attributes:
        loss: the sum of the losses of this update, a scalar on the device.
    """

    def __init__(
        self, model: nn.Module, settings: TrainingConfig, *, repeat: Repeater | None = None
    ) -> None:
        self.parameters = list(model.parameters())
        self.clip_norm = settings.clip_norm
        device = self.parameters[0].device
        self._repeat = repeat
        self.loss = torch.zeros((), device=device)
        self._tokens = torch.ones((), device=device)
        # in double precision on a CPU, as a Python number is; a GPU's kernels read a single
        kind = torch.float32 if device.type == "cuda" else torch.float64
        self._rate = torch.zeros((), dtype=kind, device=device)
        self._outcome = torch.zeros(2, device=device)
        self._outcomes = torch.zeros(_READ_EVERY if device.type == "cuda" else 1, 2, device=device)
        self._unread = 0
        self.optimizer = _optimizer(self.parameters, self._rate, settings)

    @property
    def must_read(self) -> bool:
        """Whether the outcomes must be read before the next step."""
        return self._unread == len(self._outcomes)

    def step(self, tokens: int, learning_rate: float) -> None:
        """Step by the mean over `tokens` of the gradients summed so far, and clear them."""
        self._tokens.fill_(tokens)
        self._rate.fill_(learning_rate)
        if self._repeat is None:
            self._step()
        else:
            self._repeat("step", self._step)
        self._outcomes[self._unread].copy_(self._outcome)
        self._unread += 1

    def read(self) -> list[tuple[float, float]]:
        """The loss and the norm of the mean gradient before clipping, of each step since."""
        outcomes = self._outcomes[: self._unread]
        self._unread = 0
        return [(float(loss), float(norm)) for loss, norm in outcomes.cpu()]

    def clear(self) -> None:
        """Forget the gradients and losses summed so far."""
        self.loss.zero_()
        gradients = self._gradients()
        if self._repeat is None or not gradients:
            self.optimizer.zero_grad(set_to_none=True)
        else:
            torch._foreach_zero_(gradients)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.parameters if p.grad is not None]

    def _step(self) -> None:
        norm = nn.utils.get_total_norm(self._gradients()) / self._tokens
        # as for AMP's scaler: fused kernels divide by it; 1e-6 as in `clip_grad_norm_`
        scale = self._tokens * ((norm + 1e-6) / self.clip_norm).clamp(min=1)
        self.optimizer.grad_scale = scale.float()  # pyright: ignore[reportAttributeAccessIssue]
        self.optimizer.step()
        self._outcome[0].copy_(self.loss)
        self._outcome[1].copy_(norm)
        self.clear()


def _optimizer(
    parameters: list[nn.Parameter], rate: Tensor, settings: TrainingConfig
) -> torch.optim.Optimizer:
    decay = settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, fused=True)  # pyright: ignore[reportArgumentType]
    adam = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    made = adam(
        parameters, lr=rate, betas=(0.9, settings.beta2), weight_decay=decay, fused=True,
        capturable=rate.is_cuda,
    )  # fmt: skip
    # torch warns of a capturable optimizer that also steps outside of a graph
    made._warned_capturable_if_run_uncaptured = True  # pyright: ignore[reportPrivateUsage]
    return made
