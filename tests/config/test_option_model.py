"""One definition of options: bounds in every place, and a new option is one field."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from pydantic import BaseModel, Field

from penstock.cli.app import run
from penstock.cli.option_flags import with_options
from penstock.config import parse_config
from penstock.config.option_model import Offered
from penstock.errors import ConfigError, UsageError
from penstock.search.ensemble import shares
from penstock.serve.api import native_types
from penstock.serve.api.error_responses import RequestError
from penstock.serve.api.option_fields import with_option_fields
from penstock.serve.api.request_body import validated
from penstock.tasks.language_model.writing_options import WritingOptions
from penstock.tasks.translation.search_options import MOST_ROWS, SearchOptions

Capture = pytest.CaptureFixture[str]

EXTREMES = [
    ("temperature", 1e-40, "temperature = 1e-40: must be at least 0.001"),
    ("temperature", 1e300, "temperature = 1e+300: must be at most "),
    ("temperature", -1.0, "temperature = -1.0: must be at least 0.001"),
    ("beam_size", 10**20, "beam_size = 100000000000000000000: must be at most "),
    ("length_penalty", 1000.0, "length_penalty = 1000.0: must be at most 10"),
    ("length_reward", -1e308, "length_reward = -1e+308: must be at least -100"),
    ("coverage_penalty", 1e308, "coverage_penalty = 1e+308: must be at most 100"),
    ("samples", 10**9, "samples = 1000000000: must be at most "),
    ("max_length_ratio", 1e300, "max_length_ratio = 1e+300: must be at most "),
    ("max_length_ratio", 0.0, "max_length_ratio = 0.0: must be above 0"),
    ("min_length_ratio", 1e300, "min_length_ratio = 1e+300: must be at most "),
    ("min_length", -1, "min_length = -1: must be at least 0"),
    ("max_length", 10**20, "max_length = 100000000000000000000: must be at most "),
    ("top_k", 0, "top_k = 0: must be at least 1"),
    ("top_p", 1.5, "top_p = 1.5: must be at most 1"),
    ("seed", 2**64, "seed = 18446744073709551616: must be at most "),
    ("seed", -1, "seed = -1: must be at least 0"),
    ("budget", 10**20, "budget = 100000000000000000000: must be at most "),
    ("diversity", 1e300, "diversity = 1e+300: must be at most 100"),
    ("groups", 10**9, "groups = 1000000000: must be at most "),
    ("no_repeat_ngram", 10**9, "no_repeat_ngram = 1000000000: must be at most "),
]


@pytest.mark.parametrize(("name", "value", "says"), EXTREMES)
def test_python_flags_and_requests_reject_the_same_in_the_same_words(
    name: str, value: Any, says: str, tiny_run: Path, capfd: Capture
) -> None:
    with pytest.raises(UsageError) as raised:
        SearchOptions(**{name: value})
    assert str(raised.value).startswith(says)
    flag = f"--{name.replace('_', '-')}"
    assert run(["translate", "-m", str(tiny_run), flag, repr(value)]) == 2
    assert f"penstock: {raised.value}\n" in capfd.readouterr().err
    with pytest.raises(RequestError) as refused:
        validated(native_types.TranslateRequest, {"texts": "a", name: value})
    place = says.partition(": ")[0]
    assert refused.value.message.startswith(f"{place}: must be ")  # its bounds may be narrower
    if "least" in says or "above" in says:
        assert refused.value.message == str(raised.value)


@pytest.mark.parametrize(("name", "value", "says"), EXTREMES[:3] + EXTREMES[13:17])
def test_writing_has_the_same_bounds(
    name: str, value: Any, says: str, tmp_path: Path, capfd: Capture
) -> None:
    with pytest.raises(UsageError) as raised:
        WritingOptions(**{name: value})
    assert str(raised.value).startswith(says)
    # the model is not even looked for
    flag = f"--{name.replace('_', '-')}"
    assert run(["generate", "-m", str(tmp_path / "none"), flag, repr(value)]) == 2
    assert f"penstock: {raised.value}\n" in capfd.readouterr().err


@pytest.mark.parametrize("key", ["beam_size", "length_penalty", "max_length_ratio"])
@pytest.mark.parametrize("value", [-1, 10**9])
def test_the_configuration_has_the_same_bounds(key: str, value: Any) -> None:
    with pytest.raises(UsageError) as raised:
        SearchOptions(**{key: value})
    with pytest.raises(ConfigError) as refused:
        parse_config({"data": {"train": "a"}, "search": {key: value}})
    assert str(refused.value) == f"config: search.{raised.value}"


@pytest.mark.parametrize("name", ["temperature", "length_penalty", "length_reward", "top_p"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_are_finite(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"{name} = {value}: must be "):
        SearchOptions(**{name: value})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"beam_siz": 3}, "unknown option 'beam_siz'; did you mean 'beam_size'\\?"),
        ({"zzz": 3}, "unknown option 'zzz'; known: search, beam_size, n_best"),
        ({"beam_size": "5"}, "beam_size = '5': must be a valid integer"),
        ({"beam_size": 10**5000}, "beam_size = a number of thousands of digits: must be at most"),
        ({"alignments": 1}, "alignments = 1: must be a valid boolean"),
        ({"phrases": {"prefix": 3}}, "prefix = 3: must be a valid string"),
    ],
)
def test_what_is_no_option_is_told(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        SearchOptions(**given)


def test_a_change_is_checked_and_leaves_the_rest() -> None:
    options = SearchOptions(beam_size=3, placeholders=["a"])  # pyright: ignore[reportArgumentType]
    assert options.changed(n_best=2) == SearchOptions(beam_size=3, n_best=2, placeholders=("a",))
    with pytest.raises(UsageError, match="n_best = 0"):
        options.changed(n_best=0)


def test_a_batch_has_no_more_hypotheses_than_fit() -> None:
    config = parse_config({"data": {"train": "a"}}).search
    assert SearchOptions(beam_size=1000, batch=MOST_ROWS // 1000).beam(config) == 1000
    for asked in (
        SearchOptions(beam_size=1000, batch=66),
        SearchOptions(search="sample", samples=1000, batch=66),
        SearchOptions(search="mbr", samples=1000, batch=66),
        SearchOptions(search="mbr", mbr_from="beam", beam_size=1000, batch=66),
    ):
        with pytest.raises(UsageError, match=r"batch 66 × 1,000 .* lower batch to 65 or less"):
            asked.beam(config)
    assert SearchOptions(search="greedy", beam_size=1000, batch=10_000).beam(config) == 1000


@pytest.mark.parametrize("weights", [[1e308, 1e308], [1e-320, 1.0], [math.inf, 1.0], [0.0, 1.0]])
def test_weights_have_bounds(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="each must be between 1e-9 and 1e9"):
        shares(weights, 2)


# --- a new option is one field ------------------------------------------------------------------


class Wider(SearchOptions):
    """The options and one more, as someone would add it."""

    patience: Annotated[
        Annotated[float, Field(ge=1, le=8)] | None,
        Field(description="Factor by which a beam searches on."),
        Offered(most=4),
    ] = None


def test_a_new_option_is_one_field(capsys: Capture) -> None:
    with pytest.raises(UsageError, match=r"patience = 0.5: must be at least 1"):
        Wider(patience=0.5)

    seen: list[Wider] = []
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command()
    @with_options(Wider)
    def command(options: Wider) -> None:  # pyright: ignore[reportUnusedFunction]
        seen.append(options)

    app(["--patience", "2.5", "--beam-size", "4"], standalone_mode=False)
    assert seen == [Wider(patience=2.5, beam_size=4)]
    app(["--help"], standalone_mode=False)
    assert "--patience <float>" in (said := capsys.readouterr().out)
    assert "Factor by which a beam searches on." in said

    @with_option_fields(Wider)
    class Request(BaseModel):
        texts: list[str] = []

    schema = Request.model_json_schema()["properties"]["patience"]
    assert schema["description"] == "Factor by which a beam searches on."
    assert {"type": "number", "minimum": 1, "maximum": 4} in schema["anyOf"]
    with pytest.raises(RequestError, match=r"patience = 5: must be at most 4"):
        validated(Request, {"patience": 5})


def test_what_is_offered_where() -> None:
    served = set(native_types.TranslateRequest.model_json_schema()["properties"])
    assert {"n_best", "alignments", "require", "forbid", "prefix", "beam_size"} <= served
    assert not served & {"batch", "long_lines", "dictionary", "placeholders", "phrases"}
    assert "require" not in native_types.InspectRequest.model_fields
