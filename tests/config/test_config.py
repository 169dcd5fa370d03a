"""Configuration: refused where wrong, the same after a round trip, overridden in order."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import dump_toml, load_config, parse_config
from penstock.errors import ConfigError
from penstock.tasks.translation.demo import DEMO


def refusal(*overrides: str, **raw: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


# --- unknown keys -------------------------------------------------------------------------------


def test_a_misspelt_key_gets_a_suggestion() -> None:
    message = refusal(model={"hiden_size": 3})
    assert message == "config: unknown key 'hiden_size' in [model]; did you mean 'hidden_size'?"


def test_a_misspelt_section_gets_a_suggestion() -> None:
    assert "unknown key 'modle' in the configuration; did you mean 'model'?" in refusal("modle.x=1")


def test_a_misspelt_nested_key_names_its_section() -> None:
    message = refusal(text={"source": {"kindd": "bpe"}})
    assert "unknown key 'kindd' in [text.source]; did you mean 'kind'?" in message


def test_a_key_outside_its_section_is_told_its_home() -> None:
    assert "unknown key 'cell' in the configuration; did you mean 'model.cell'?" in refusal(
        "cell=gru"
    )


def test_a_key_like_nothing_lists_what_is_known() -> None:
    assert "known: beam_size, length_penalty" in refusal("search.zzzzzz=1")


def test_a_value_where_a_section_belongs() -> None:
    assert "'model' in the configuration must be a section, found 'lstm'" in refusal("model=lstm")


def test_a_section_where_a_value_belongs() -> None:
    assert "model.cell" in refusal("model.cell.size=1")
    assert "'cell' is a value, not a section" in refusal("model.cell.size=1", model={"cell": "gru"})


# --- impossible values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "model.encoder_layers=0",
            "model.encoder_layers = 0: must be at least",
        ),
        ("model.decoder_layers=-1", "model.decoder_layers = -1"),
        ("model.hidden_size=0", "model.hidden_size = 0"),
        ("model.hidden_size=33", "hidden_size 33 must be even"),
        ("model.dropout=1.0", "model.dropout = 1.0: must be below 1"),
        ("model.dropout=nan", "model.dropout = nan: must be a finite number"),
        ("model.cell=gruu", "model.cell = 'gruu': unknown cell 'gruu'; did you mean 'gru'? known"),
        (
            "model.gru_form=before",
            "gru_form 'before' is an option of cell 'gru', found cell 'lstm'",
        ),
        ("model.layer_norm=true", "layer_norm inside the cell needs backend = 'reference'"),
        ("training.learning_rate=0", "training.learning_rate = 0"),
        ("training.learning_rate=inf", "training.learning_rate = inf"),
        ("training.max_updates=many", "training.max_updates = 'many'"),
        ("training.max_updates=1.5", "training.max_updates = 1.5"),
        ("training.max_updates=true", "training.max_updates = True: must be a valid int"),
        ("training.batch_tokens=0", "training.batch_tokens = 0"),
        ("model.bidirectional=no", "model.bidirectional = 'no': must be a valid boolean"),
        ("training.metric=blue", "training.metric = 'blue'"),
        ("data.columns=[1]", "data.columns"),
        ("data.valid_pairs=0", "data.valid_pairs = 0"),
        ("text.source.kind=words", "text.source.kind = 'words'"),
        ("search.beam_size=0", "search.beam_size = 0"),
        ("search.max_length_ratio=1e308", "search.max_length_ratio = 1e+308"),
        ("seed=-1", "seed = -1"),
        ("task=poetry", "task = 'poetry'"),
    ],
)
def test_an_impossible_value_is_named(override: str, says: str) -> None:
    assert says in refusal(override)


def test_heads_that_do_not_divide() -> None:
    message = refusal("model.attention=multihead", "model.attention_heads=3")
    assert "attention_size 512 is not divisible by attention_heads 3" in message


def test_tied_embeddings_need_a_readout_of_their_size() -> None:
    message = refusal("model.tie_embeddings=decoder", "model.readout_size=7")
    assert "needs readout_size = embedding_size (256), found 7" in message


def test_a_fault_of_the_whole_has_no_empty_place() -> None:
    message = refusal("model.tie_embeddings=all")
    assert ": model.tie_embeddings = 'all' needs text.shared = true" in message
    assert ": : " not in message


def test_a_seed_that_no_generator_takes() -> None:
    assert "seed = 9223372036854775808: must be below" in refusal(f"seed={2**63}")


def test_the_form_of_gru_that_torch_lacks() -> None:
    message = refusal("model.cell=gru", "model.gru_form=before")
    assert "gru_form 'before' needs backend = 'reference'" in message


# --- --set --------------------------------------------------------------------------------------


@pytest.mark.parametrize("override", ["model.cell", "=3", "  =3", ""])
def test_set_needs_a_key_and_a_value(override: str) -> None:
    assert "write it as section.key=value" in refusal(override)


def test_set_takes_toml_values_and_bare_words() -> None:
    config = parse_config(
        {},
        [
            "model.cell=gru",
            "model.residual = true",
            'data.train=["a b.en", "c=d.fr"]',
            "training.learning_rate=1e-4",
            "data.columns=['en', 2]",
            "data.cache=/tmp/x y",
            'data.valid="quoted"',
        ],
    )
    assert config.model.cell == "gru"
    assert config.model.residual is True
    assert config.data.train == ["a b.en", "c=d.fr"]
    assert config.training.learning_rate == 1e-4
    assert config.data.columns == ["en", 2]
    assert config.data.cache == "/tmp/x y"
    assert config.data.valid == "quoted"


def test_the_language_no_stays_a_string(tmp_path: Path) -> None:
    path = tmp_path / "no.toml"
    path.write_text('[data]\nsource_language = "no"\ntarget_language = "no"\n')
    config = load_config(path, ["data.target_language=no"])
    assert (config.data.source_language, config.data.target_language) == ("no", "no")


def test_none_takes_an_optional_key_back() -> None:
    config = parse_config({"training": {"patience": 3}}, ["training.patience=none"])
    assert config.training.patience is None
    # and is a value where a key has it as one
    assert parse_config({}, ["model.attention=none"]).model.attention == "none"


def test_a_line_end_in_set_smuggles_in_no_key() -> None:
    assert "seed = '1\\ntask" in refusal('seed=1\ntask = "x"')


def test_the_last_override_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("seed = 2\n[model]\nhidden_size = 64\n")
    assert load_config(path).seed == 2
    config = load_config(path, ["seed=3", "seed=4"])
    assert (config.seed, config.model.hidden_size) == (4, 64)
    assert config.model.decoder_layers == 2  # the default


def test_overrides_leave_the_given_mapping_alone() -> None:
    raw = {"model": {"cell": "gru"}}
    parse_config(raw, ["model.cell=rnn"])
    assert raw == {"model": {"cell": "gru"}}


# --- files --------------------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.toml: no such file; check the path"):
        load_config(tmp_path / "x.toml")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)


@pytest.mark.parametrize("content", [b"[model\n", b"seed = \n", b"\xff\xfe=1", b"seed=1\nseed=2\n"])
def test_damaged_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.toml: not valid TOML: "):
        load_config(path)


def test_a_byte_order_mark_and_crlf_are_no_error(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"\xef\xbb\xbfseed = 5\r\n[model]\r\ncell = 'gru'\r\n")
    assert load_config(path).seed == 5


def test_the_message_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[training]\nepochs = 3\n")
    with pytest.raises(ConfigError, match=re.escape(f"{path}: unknown key 'epochs' in [training]")):
        load_config(path)


# --- round trip ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["training.patience=3", "training.max_minutes=10"],
        ["training.average_decay=none", "training.patience=none", "training.evaluate_every=none"],
        ['data.train=["a\\"b.en", "ü\\\\.fr"]', "data.source_language=no", "threads=2"],
    ],
)
def test_the_resolved_configuration_comes_back(tmp_path: Path, overrides: list[str]) -> None:
    config = parse_config({}, overrides)
    path = tmp_path / "config.toml"
    path.write_text(dump_toml(config), encoding="utf-8")
    assert load_config(path) == config


def test_the_resolved_configuration_shows_every_key() -> None:
    shown = tomllib.loads(dump_toml(parse_config({})))
    for name in ("data", "text", "model", "training", "search"):
        values = getattr(parse_config({}), name).model_dump()
        assert shown[name].keys() == values.keys()


@given(
    rate=st.floats(1e-12, 1e3),
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
)
def test_numbers_and_text_come_back_exactly(rate: float, text: str) -> None:
    raw = {"training": {"learning_rate": rate}, "data": {"source_language": text}}
    config = parse_config(raw)
    assert parse_config(tomllib.loads(dump_toml(config))) == config


def test_the_demo_and_its_example_are_the_same() -> None:
    config = parse_config(DEMO)
    example = Path(__file__).parents[2] / "examples" / "demo.toml"
    assert load_config(example) == config


def test_every_example_is_valid() -> None:
    for path in (Path(__file__).parents[2] / "examples").glob("*.toml"):
        load_config(path)


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_config({}).seed = 3  # pyright: ignore[reportAttributeAccessIssue]
