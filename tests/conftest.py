"""One tiny model, trained once and used by all tests."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from rich.console import Console

from penstock.config import RunConfig, parse_config
from penstock.nn import Seq2Seq
from penstock.runtime.torch_translation import TorchTranslation
from penstock.tasks.translation.translator import Translator

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

if TYPE_CHECKING:
    from playwright.sync_api import Browser

os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "data": {"train": "builtin", "max_pairs": 300},
    "text": {
        "source": {"kind": "bpe", "vocab_size": 300},
        "target": {"kind": "bpe", "vocab_size": 300},
    },
    "model": {
        "cell": "gru",
        "embedding_size": 16,
        "hidden_size": 24,
        "decoder_layers": 1,
        "dropout": 0.2,
        "tie_embeddings": "none",
        "variational_dropout": False,
    },
    "training": {
        "max_updates": 60,
        "batch_tokens": 300,
        "learning_rate": 0.01,
        "warmup_updates": 5,
        "evaluate_every": 30,
        "evaluate_sentences": 10,
        "precision": "fp32",
        "metric": "loss",
        "average_decay": None,
        "patience": None,
    },
}

Tiny = Callable[..., RunConfig]


def tiny_config(*overrides: str) -> RunConfig:
    """The tiny run's configuration with `a.b=value` overrides."""
    return parse_config(TINY, overrides)


def quiet_console() -> Console:
    """A console that keeps what it is told: `.file.getvalue()`."""
    return Console(file=io.StringIO(), highlight=False, soft_wrap=True, width=200)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def _no_tensorboard() -> Iterator[None]:
    """Its import takes seconds; one test has it."""
    from penstock.training import progress

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "_tensorboard", lambda run: None)
        yield


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run directory; not to be changed."""
    from penstock.training.loop import train

    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny_config(), run, console=quiet_console())
    return run


@pytest.fixture
def penstock(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line: exit code, stdout, stderr."""
    from penstock.cli.app import run

    def command(*arguments: object) -> tuple[int, str, str]:
        code = run([*map(str, arguments)])
        out, err = capfd.readouterr()
        return code, out, err

    return command


# --- the other tasks, on the built-in corpus's English ------------------------------------------


def english_lines(count: int) -> list[str]:
    """Different sentences of the built-in corpus."""
    from penstock.data.grammar import generate_pairs

    return list(dict.fromkeys(pair.source for pair in generate_pairs(2 * count)))[:count]


def kind_of_sentence(line: str) -> str:
    """What the tests' classifier learns to tell."""
    return "question" if line.endswith("?") else "statement"


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `lines.txt`, and `labels.tsv` of the same lines with a label each."""
    folder = tmp_path_factory.mktemp("texts")
    lines = english_lines(300)
    (folder / "lines.txt").write_text("".join(f"{x}\n" for x in lines), encoding="utf-8")
    rows = "".join(f"{x}\t{kind_of_sentence(x)}\n" for x in lines)
    (folder / "labels.tsv").write_text(rows, encoding="utf-8")
    return folder


_SMALL = {"embedding_size": 16, "hidden_size": 24, "dropout": 0.1, "embedding_dropout": 0.0}
_QUICK = {
    **TINY["training"],
    "max_updates": 120,
    "batch_tokens": 256,
    "evaluate_every": 30,
    "learning_rate": 0.02,
}


def task_config(task: str, texts: Path, *overrides: str) -> RunConfig:
    """A tiny run of another task on the `texts`."""
    file = "labels.tsv" if task == "classification" else "lines.txt"
    training = dict(_QUICK)
    if task == "language-model":
        del training["evaluate_sentences"]
        training.update(window=16, evaluate_tokens=500)
    raw: dict[str, Any] = {
        "task": task,
        "threads": 1,
        "device": "cpu",
        "data": {"train": str(texts / file)},
        "text": {"source": {"kind": "word", "min_frequency": 1}},
        "model": dict(_SMALL),
        "training": training,
    }
    return parse_config(raw, overrides)


def _trained(task: str, texts: Path, folder: Path) -> Path:
    from penstock.training.loop import train

    train(task_config(task, texts), folder / task, console=quiet_console())
    return folder / task


@pytest.fixture(scope="session")
def language_model_run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; not to be changed."""
    return _trained("language-model", texts, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def classifier_run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; not to be changed."""
    return _trained("classification", texts, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def cloze_run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; not to be changed."""
    return _trained("cloze", texts, tmp_path_factory.mktemp("runs"))


def assert_resumes_exactly(
    task: str, texts: Path, folder: Path, *overrides: str, stops: tuple[int, ...] = (4,)
) -> None:
    """A run that stops after some updates and goes on has the weights of one that does not."""
    import torch

    from penstock.bundle import load_bundle
    from penstock.runtime.torch_network import load_network
    from penstock.training.loop import train

    def made(run: str, updates: int) -> dict[str, torch.Tensor]:
        config = task_config(
            task,
            texts,
            "training.schedule=constant",
            "training.keep=last",
            f"training.max_updates={updates}",
            *overrides,
        )
        resume = (folder / run).exists()
        train(config, folder / run, resume=resume, console=quiet_console())
        return load_network(load_bundle(folder / run)).state_dict()

    whole = made("whole", 13)
    for updates in stops:
        made("parts", updates)
    parts = made("parts", 13)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for a module's tests; its event loop must not live while others run theirs."""
    from playwright.sync_api import sync_playwright

    from browsing import BROWSER

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


def network_of(translator: Translator) -> Seq2Seq:
    """The network of a translator's first model."""
    engine = translator.engines[0]
    assert isinstance(engine, TorchTranslation)
    return engine.network
