"""`[start]`: the trained model that a run goes on from."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from penstock.config.section import Section


class StartConfig(Section):
    """The trained model that a run goes on from.

    Its tokenizers and its network are kept, and so are its other settings where the run has none
    of its own; the learning rate is lower.
    """

    model: str | None = None
    """Run directory, or bundle with weights, to go on from; default: begin with random weights."""
    valid: str | list[str] | None = None
    """Held-out data of the model's old training data, scored beside the new; default: what its run
    held out."""
    replay: str | list[str] | None = None
    """Old training data to mix in, in the formats of `data.train`, without held-out sources."""
    replay_share: float = Field(default=0.3, gt=0, lt=1)
    """Share of the batches that are replayed (of the rows of each batch for a language model)."""
    extend_vocabulary: bool = False
    """Add the symbols of the new data that the vocabulary lacks: each gets new weights, initialized
    as at the start of a run. Labels count as symbols."""

    @model_validator(mode="after")
    def _needs_model(self) -> Self:
        if self.model is None:
            for key in ("valid", "replay", "extend_vocabulary"):
                if getattr(self, key):
                    raise ValueError(
                        f"{key} = {getattr(self, key)!r}: only a run that goes on from a model has "
                        "a use for it; name the model as start.model (--from)"
                    )
        return self
