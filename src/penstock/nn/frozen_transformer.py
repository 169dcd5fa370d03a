"""A frozen Transformer encoder in place of an embedding, which gives contextual vectors.

Devlin et al. 2019 (https://arxiv.org/abs/1810.04805), section 5.3: features for a recurrent
network. The encoder is never trained: no gradient, no dropout.

It is read from a local directory in the format of the optional package `transformers`, and saved in
our bundle. Only safetensors weights and the text encoders listed here are read: some of the
library's other architectures load more files, or code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from penstock.config.json_types import is_object
from penstock.errors import DataError, MissingExtraError
from penstock.special_tokens import EOS_ID, PAD_ID, RESERVED, UNK_ID

ARCHITECTURES = (
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert",
    "mpnet", "roberta", "xlm-roberta",
)  # fmt: skip

_CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
# keys about a checkpoint or another use of it; names that begin with `_` are internal
_LEFT_OUT = (
    "add_cross_attention", "architectures", "attn_implementation", "auto_map", "dtype",
    "experts_implementation", "gradient_checkpointing", "id2label", "is_decoder", "label2id",
    "num_labels", "output_attentions", "output_hidden_states", "problem_type",
    "quantization_config", "return_dict", "task_specific_params", "torch_dtype",
    "transformers_version", "use_cache",
)  # fmt: skip
_COUNTS = ("num_hidden_layers", "n_layers", "num_hidden_groups", "inner_group_num")
_POOLER = "pooler."  # for the whole sentence; we use the tokens' vectors


class FrozenTransformer(nn.Module):
    """Map token ids to an encoder's vectors.

    The encoder is not registered as a submodule: its weights are not parameters of the model, so
    they are not initialized, optimized, averaged or saved with it. They move with it between
    devices.

    Args:
        encoder: of `transformers`, without pooler.
        first: the encoder's id of the token that begins an input.
        last: its id of the token that ends an input, our EOS.
        unknown: its id of the unknown token.

    Attributes:
        embedding_dim: width E of the vectors.
        num_embeddings: number of our ids, including the reserved ones.
        max_tokens: maximum length, EOS included; None if unlimited.
    """

    _reserved: Tensor

    def __init__(self, encoder: Any, *, first: int, last: int, unknown: int) -> None:
        super().__init__()
        encoder.eval().requires_grad_(requires_grad=False)
        self._held = (encoder,)  # in a tuple, nn.Module does not register it
        self.embedding_dim: int = encoder.config.hidden_size
        self.num_embeddings: int = len(RESERVED) + encoder.get_input_embeddings().num_embeddings
        positions = _positions(encoder)
        self.max_tokens = None if positions is None else positions - 1
        self._first = first
        padding = encoder.config.pad_token_id
        marks = {PAD_ID: first if padding is None else padding, UNK_ID: unknown, EOS_ID: last}
        reserved = torch.tensor([marks.get(i, first) for i in range(len(RESERVED))])
        self.register_buffer("_reserved", reserved, persistent=False)

    @classmethod
    def read(cls, directory: str | Path, *, first: int, last: int, unknown: int) -> Self:
        """Read a model's directory without downloads or code execution.

        Raises:
            MissingExtraError: `transformers` is not installed.
            DataError: no model there, not an encoder known here, weights not in safetensors.
        """
        directory = Path(directory)
        library = _library()
        config = _read_config(directory / _CONFIG)
        if not any((directory / name).is_file() for name in _WEIGHTS):
            raise DataError(
                f"no {_WEIGHTS[0]}; weights are read from safetensors only, a pickle "
                "(pytorch_model.bin) can run any code: load the model where you trust it and "
                "write it anew by save_pretrained",
                path=directory,
            )
        try:
            with _quiet(library):
                encoder, report = library.AutoModel.from_pretrained(
                    directory,
                    config=_make_config(library, config),
                    dtype=torch.float32,
                    attn_implementation="eager",
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    output_loading_info=True,
                )
        except Exception as error:  # noqa: BLE001 - the library raises what it likes
            raise DataError(
                f"the model cannot be loaded: {_first_line(error)}; save it anew by "
                "save_pretrained, or choose another",
                path=directory,
            ) from None
        missing = [key for key in sorted(report["missing_keys"]) if not key.startswith(_POOLER)]
        if missing:
            raise DataError(
                f"its weights lack {len(missing)} of the encoder's (first: {missing[0]}); they "
                f"belong to another model than {_CONFIG}",
                path=directory,
            )
        return cls(_without_pooler(encoder), first=first, last=last, unknown=unknown)

    @classmethod
    def from_parts(
        cls, config: Any, tensors: Mapping[str, Tensor], *, first: int, last: int, unknown: int
    ) -> Self:
        """Restore from the results of `config` and `tensors`.

        Raises:
            MissingExtraError: `transformers` is not installed.
            ValueError: not an encoder known here, or its weights are another's.
        """
        library = _library()
        config = _checked_config(config)
        # shapes first: absurd sizes in a configuration must not allocate memory
        if max((config[key] for key in _COUNTS if key in config), default=1) > len(tensors):
            raise ValueError("the transformer's weights have fewer layers than its configuration")
        try:
            with torch.device("meta"):
                wanted = _build(library, config).state_dict()
            wrong = wanted.keys() ^ tensors.keys() or {
                name for name, tensor in tensors.items() if tensor.shape != wanted[name].shape
            }
            if wrong:
                raise ValueError(f"its weights do not fit (first: {min(wrong)})")
            encoder = _build(library, config)
            encoder.load_state_dict(dict(tensors))
        except Exception as error:  # noqa: BLE001 - the library raises what it likes
            raise ValueError(f"the transformer cannot be built: {_first_line(error)}") from None
        return cls(encoder, first=first, last=last, unknown=unknown)

    @property
    def encoder(self) -> Any:
        """The encoder."""
        return self._held[0]

    @property
    def summary(self) -> str:
        """A short description of the encoder."""
        millions = sum(weight.numel() for weight in self.encoder.parameters()) / 1e6
        return f"{self.encoder.config.model_type} of {millions:.1f} M parameters"

    def config(self) -> dict[str, Any]:
        """The encoder's configuration, for JSON."""
        return _pruned(json.loads(self.encoder.config.to_json_string(use_diff=False)))

    def tensors(self) -> dict[str, Tensor]:
        """Its weights by name."""
        return {name: value.contiguous() for name, value in self.encoder.state_dict().items()}

    @torch.no_grad()
    def forward(self, ids: Tensor) -> Tensor:
        """Ids (B, S), padded, to vectors (B, S, E), zero at padding.

        The encoder's input begins with its own first token and ends with its last token in place of
        EOS; padding is masked. The vector of the first token is dropped.
        """
        reserved = self._reserved[ids.clamp(max=len(RESERVED) - 1)]
        own = torch.where(ids < len(RESERVED), reserved, ids - len(RESERVED))
        real = ids != PAD_ID
        output = self.encoder(
            input_ids=pad(own, (1, 0), value=self._first),
            attention_mask=pad(real, (1, 0), value=True).long(),
        )
        return output.last_hidden_state[:, 1:].float() * real[:, :, None]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Called by `to`, `cuda`, `double`."""
        self.encoder._apply(fn)
        return super()._apply(fn, recurse)


def find_transformer(model: nn.Module) -> FrozenTransformer | None:
    """The frozen encoder of a network, if any."""
    return next((m for m in model.modules() if isinstance(m, FrozenTransformer)), None)


def _positions(encoder: Any) -> int | None:
    """The encoder's maximum number of positions."""
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # some position ids start after the padding id
            offset = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - offset
    return getattr(encoder.config, "max_position_embeddings", None)


def _without_pooler(encoder: Any) -> Any:
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder


# --- the library --------------------------------------------------------------------------------


def _library() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("model.transformer", "transformers") from None
    return transformers


@contextmanager
def _quiet(library: Any) -> Generator[None]:
    """Silence the library's progress bar and its report of unused weights."""
    logging = library.utils.logging
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _build(library: Any, config: dict[str, Any]) -> Any:
    made = _make_config(library, config)
    with _quiet(library):
        encoder = library.AutoModel.from_config(made, attn_implementation="eager")
    return _without_pooler(encoder)


def _make_config(library: Any, config: dict[str, Any]) -> Any:
    settings = {key: value for key, value in config.items() if key != "model_type"}
    with _quiet(library):
        return library.CONFIG_MAPPING[config["model_type"]](**settings)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


# --- its configuration --------------------------------------------------------------------------


def _read_config(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"cannot read the transformer's configuration: {error.strerror}; give a directory that "
            "save_pretrained has written",
            path=path,
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}; fetch the file again", path=path) from None
    try:
        return _checked_config(content)
    except ValueError as error:
        raise DataError(f"{error}; choose another encoder", path=path) from None


def _checked_config(content: Any) -> dict[str, Any]:
    if not is_object(content):
        raise ValueError("the transformer's configuration is no JSON object")
    kind = content.get("model_type")
    if kind not in ARCHITECTURES:
        raise ValueError(
            f"model_type {kind!r} is not an encoder that is read here: {', '.join(ARCHITECTURES)}"
        )
    pruned = _pruned(content)
    for key in _COUNTS:
        if key in pruned and type(pruned[key]) is not int:
            raise ValueError(f"the transformer's {key} is {pruned[key]!r}")
    return pruned


def _pruned(content: dict[str, Any]) -> dict[str, Any]:
    """Remove keys that are not about the encoder itself."""
    return {
        key: value
        for key, value in content.items()
        if key not in _LEFT_OUT and not key.startswith("_")
    }
