"""Configuration: frozen models, read from TOML, overridden by dotted keys, checked once."""

from penstock.config.attention_table import ATTENTIONS, AttentionEntry, attention_entry
from penstock.config.cell_table import CELLS, CellEntry, cell_entry, check_cell
from penstock.config.config_file import dump_toml, load_config, parse_config
from penstock.config.data_config import DataConfig
from penstock.config.metric_table import METRICS, MetricEntry, selection_metrics
from penstock.config.model_config import ModelConfig
from penstock.config.run_config import RunConfig
from penstock.config.search_config import SearchConfig
from penstock.config.start_config import StartConfig
from penstock.config.text_config import TextConfig, TokenizerConfig
from penstock.config.tokenizer_table import TOKENIZERS, TokenizerEntry, tokenizer_entry
from penstock.config.training_config import ExportPrecision, Precision, TrainingConfig

__all__ = [
    "ATTENTIONS",
    "CELLS",
    "METRICS",
    "TOKENIZERS",
    "AttentionEntry",
    "CellEntry",
    "DataConfig",
    "ExportPrecision",
    "MetricEntry",
    "ModelConfig",
    "Precision",
    "RunConfig",
    "SearchConfig",
    "StartConfig",
    "TextConfig",
    "TokenizerConfig",
    "TokenizerEntry",
    "TrainingConfig",
    "attention_entry",
    "cell_entry",
    "check_cell",
    "dump_toml",
    "load_config",
    "parse_config",
    "selection_metrics",
    "tokenizer_entry",
]
