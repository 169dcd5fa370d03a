"""What CUDA graphs are to a GPU, for a CPU: operations recorded, and replayed over the same memory.

A recorded function leaves nothing changed, a replay writes into the tensors of the recording, and
reading a number or a shape that depends on values while recording is an error.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

_WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::bincount"}
_RESHAPES = {"aten::unsqueeze_", "aten::squeeze_", "aten::t_", "aten::transpose_"}


def is_strided(x: object) -> bool:
    """Packed weights are not, and never change."""
    return isinstance(x, torch.Tensor) and x.layout == torch.strided


def alias(x: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.alias(x) if is_strided(x) else x


def storage(x: torch.Tensor) -> int:
    return x.untyped_storage().data_ptr()


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[torch.Tensor]]] = []
        self.undo: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        called_args, called_kwargs = args, kwargs or {}
        kwargs = called_kwargs
        name = func._schema.name
        has_mask = name == "aten::index" and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        if name in _WAITS or has_mask:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        if name in _RESHAPES:
            return func(*args, **kwargs)
        # what the tensors look like now: their shapes may change in place
        args, kwargs = tree_map_only(torch.Tensor, alias, (args, kwargs))
        inputs = [x for x in tree_leaves((args, kwargs)) if is_strided(x)]
        written = self._written(func, args, kwargs)
        self.undo += [(x, x.clone()) for x in written]
        result = func(*called_args, **called_kwargs)
        outputs = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        known = {storage(x) for x in inputs}
        fresh = [alias(x) for x in outputs if storage(x) not in known]
        if written or fresh:
            self.calls.append((func, args, kwargs, [] if written else fresh))
        return result

    @staticmethod
    def _written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
        declared = func._schema.arguments
        given = [*zip(declared, args, strict=False)]
        given += [(a, kwargs[a.name]) for a in declared if a.name in kwargs]
        values = [v for a, v in given if a.alias_info is not None and a.alias_info.is_write]
        return [x for x in tree_leaves(values) if isinstance(x, torch.Tensor)]


class StaticRecorder:
    """See `penstock.runtime.torch_cuda_graphs.Recorder`."""

    def __init__(self) -> None:
        self.warm_ups = self.recorded = self.replayed = 0

    def warm_up(self, run: Callable[[], None]) -> None:
        self.warm_ups += 1
        run()

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        random, recording = torch.get_rng_state(), _Recording()
        try:
            with recording:
                run()
        finally:
            with torch.no_grad():
                for tensor, before in reversed(recording.undo):
                    tensor.copy_(before)
            torch.set_rng_state(random)
        self.recorded += 1
        calls = recording.calls

        @torch.no_grad()
        def replay() -> None:
            self.replayed += 1
            for func, args, kwargs, into in calls:
                result = func(*args, **kwargs)
                outputs = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
                for x, value in zip(into, outputs, strict=False):
                    x.copy_(value)

        return replay
