"""`penstock bench scale`: what a text of a length costs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from penstock.bench import length_cost
from penstock.bench.length_cost import LengthCost, growth
from penstock.cli.app import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Measure here: a process for each length would spend seconds on importing torch."""

    class Pool:
        def __init__(self, *_: Any, **__: Any) -> None: ...
        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, function: Any, *arguments: Any) -> Pool:
            self.value = function(*arguments)
            return self

        def result(self) -> LengthCost:
            return self.value

    threads = torch.get_num_threads()
    monkeypatch.setattr(length_cost, "ProcessPoolExecutor", Pool)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("in_this_process")
def test_both_networks_are_measured(capsys: Capture) -> None:
    command = ["bench", "scale", "--cells", "gru,mingru", "--lengths", "40,400"]
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(c["network"], c["cell"], c["length"]) for c in found["costs"]] == [
        (network, cell, length)
        for network in ("language model", "classifier")
        for cell in ("gru", "mingru")
        for length in (40, 400)
    ]
    assert all(cost["training_seconds"] > 0 for cost in found["costs"])
    assert len(found["exponents"]) == 4
    assert run(command) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows[0][:3] == ["network", "cell", "tokens"]
    assert len(rows) == 1 + 8 + 1 + 4


def test_growth_is_the_power_of_the_length() -> None:
    def costs(power: float) -> Sequence[LengthCost]:
        return [LengthCost("classifier", "gru", n, 1.0, 3 * n**power, 1.0) for n in (10, 100)]

    assert growth(costs(1), "training_seconds") == pytest.approx(1)
    assert growth(costs(2), "training_seconds") == pytest.approx(2)
    assert growth(costs(2), "use_seconds") == 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--cells", "lstn"], "did you mean 'lstm'"),
        (["--lengths", "100"], "give two or more rising numbers"),
        (["--lengths", "100,10"], "give two or more rising numbers"),
        (["--lengths", "0,10"], "give two or more rising numbers"),
        (["--lengths", "1,many"], "invalid literal for int() with base 10: 'many'"),
    ],
)
def test_impossible_requests(flags: list[str], says: str, capsys: Capture) -> None:
    assert run(["bench", "scale", *flags]) == 2
    assert says in capsys.readouterr().err
