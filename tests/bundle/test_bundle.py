"""Bundles: whole or refused, whatever happened to the directory."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from penstock.bundle import INDEX, Bundle, bundle_files, find_bundle, load_bundle, save_bundle
from penstock.bundle import bundle as bundle_module
from penstock.cli.app import run
from penstock.config import ModelConfig, parse_config
from penstock.errors import BundleError, BundleWarning, PenstockError
from penstock.files import atomic_write, with_checksum
from penstock.nn import Seq2Seq
from penstock.runtime.torch_network import load_network, network_files
from penstock.tasks.classification.task import CLASSIFICATION
from penstock.tasks.translation.translator import Translator


@pytest.fixture(scope="session")
def bundle(tiny_run: Path) -> Bundle:
    return load_bundle(tiny_run)


@pytest.fixture
def saved(bundle: Bundle, tmp_path: Path) -> Path:
    save_bundle(bundle, tmp_path / "saved")
    return tmp_path / "saved"


Edit = Callable[[Any], None]


def edit_index(directory: Path, edit: Edit) -> None:
    index = json.loads((directory / INDEX).read_text())
    edit(index)
    (directory / INDEX).write_text(json.dumps(with_checksum(index)))


def test_a_setting_above_a_later_bound_is_lowered_with_a_word(
    saved: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Bounds came after bundles; such a bundle still loads, except with sizes of no network."""

    def older(index: Any) -> None:
        index["config"]["search"]["length_penalty"] = 1000.0
        index["config"]["training"]["max_updates"] = 10**12

    edit_index(saved, older)
    with pytest.warns(BundleWarning) as said:
        config = load_bundle(saved).config
    assert "search.length_penalty = 1000.0: more than is allowed now; 10.0 is used" in "".join(
        str(each.message) for each in said
    )
    assert (config.search.length_penalty, config.training.max_updates) == (10, 10**9)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(["info", str(saved)]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    told = "max_updates = 1000000000000: more than is allowed now; 1,000,000,000 is used"
    assert any(line.startswith("penstock: ") and line.endswith(told) for line in lines)
    edit_index(saved, lambda index: index["config"]["model"].update(hidden_size=10**12))
    with pytest.raises(BundleError, match=r"damaged configuration at model\.hidden_size"):
        load_bundle(saved)


def test_an_index_altered_in_one_byte_is_rejected(saved: Path) -> None:
    """Every byte of the settings counts, not only those of the files that the index names."""
    content = (saved / INDEX).read_bytes()
    for old, new in ((b'"beam_size": 5', b'"beam_size": 4'), (b'"update": 60', b'"update": 61')):
        assert content.count(old) == 1
        (saved / INDEX).write_bytes(content.replace(old, new))
        with pytest.raises(
            BundleError, match=r"bundle\.json: altered since it was written; restore"
        ):
            load_bundle(saved)
    unsigned = {key: value for key, value in json.loads(content).items() if key != "checksum"}
    (saved / INDEX).write_text(json.dumps(unsigned))  # as an older penstock wrote it
    load_bundle(saved)


def file_of(directory: Path, role: str) -> Path:
    return directory / json.loads((directory / INDEX).read_text())["files"][role]["name"]


def replace_file(directory: Path, role: str, content: bytes) -> None:
    """As a forger would: the index agrees with the file."""
    file_of(directory, role).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_index(directory, lambda index: index["files"][role].update(sha256=digest))


def refusal(directory: Path, **options: Any) -> str:
    with pytest.raises(BundleError) as caught:
        load_network(load_bundle(directory, **options))
    return str(caught.value)


def logits(bundle: Bundle) -> torch.Tensor:
    with torch.no_grad():
        src, tgt = torch.arange(4, 10).view(2, 3), torch.tensor([[1, 5], [1, 6]])
        return load_network(bundle)(src, torch.tensor([3, 2]), tgt)


def untrained(bundle: Bundle, seed: int, **model: Any) -> Bundle:
    """The same with another, untrained network."""
    torch.manual_seed(seed)
    text = bundle.config.text.model_copy(update={"shared": model.get("tie_embeddings") == "all"})
    config = bundle.config.model_copy(update={"model": ModelConfig(**model), "text": text})
    sizes = bundle.source_tokenizer.vocab_size, bundle.target_tokenizer.vocab_size
    network = Seq2Seq(config.model, source_size=sizes[0], target_size=sizes[1]).eval()
    return replace(bundle, config=config, files=network_files(network))


# --- round trip ---------------------------------------------------------------------------------


def test_a_bundle_comes_back(bundle: Bundle, saved: Path) -> None:
    loaded = load_bundle(saved)
    assert loaded.config == bundle.config
    assert loaded.record == bundle.record
    assert loaded.source_tokenizer.to_json() == bundle.source_tokenizer.to_json()
    assert torch.equal(logits(loaded), logits(bundle))


@pytest.mark.parametrize("tie", ["decoder", "all"])
@pytest.mark.parametrize("initialization", ["uniform", "orthogonal"])
def test_tied_weights_come_back_tied(
    bundle: Bundle, tmp_path: Path, tie: str, initialization: str
) -> None:
    made = untrained(
        replace(bundle, target_tokenizer=bundle.source_tokenizer),
        1,
        embedding_size=8,
        hidden_size=8,
        tie_embeddings=tie,
        initialization=initialization,
    )
    save_bundle(made, tmp_path)
    loaded = load_bundle(tmp_path)
    assert torch.equal(logits(loaded), logits(made))
    network = load_network(loaded)
    assert isinstance(network, Seq2Seq)
    assert not network.training
    decoder = network.decoder
    assert decoder.output.weight is decoder.embedding.weight
    assert (network.encoder.embedding.weight is decoder.embedding.weight) == (tie == "all")


def test_everything_is_safetensors_or_json(saved: Path) -> None:
    names = sorted(path.name for path in saved.iterdir())
    assert len(names) == 4
    for path in saved.iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        else:
            assert path.suffix == ".safetensors"
        assert b"torch" not in path.read_bytes()  # what every pickled tensor names


def test_nothing_here_can_unpickle() -> None:
    for path in Path(bundle_module.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import pickle" not in text, path
        assert "torch.load" not in text, path
        assert "allow_pickle" not in text, path


def test_a_run_directory_and_its_model_are_found(tiny_run: Path) -> None:
    assert find_bundle(tiny_run) == tiny_run / "model"
    assert find_bundle(tiny_run / "model") == tiny_run / "model"


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    assert "no such directory" in refusal(tmp_path / "nowhere")
    assert f"no {INDEX} in it or in its model/" in refusal(tmp_path)
    (tmp_path / "file").write_text("x")
    assert "give a run directory or a bundle" in refusal(tmp_path / "file")


def test_another_task_is_refused(saved: Path) -> None:
    assert "a model for translation, asked to classify; use it with" in refusal(
        saved, task=CLASSIFICATION
    )


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["weights", "source_tokenizer", "target_tokenizer"])
def test_a_missing_file(saved: Path, role: str) -> None:
    file_of(saved, role).unlink()
    assert "missing from the bundle (No such file or directory); copy the whole" in refusal(saved)


@pytest.mark.parametrize("role", ["weights", "source_tokenizer", "target_tokenizer"])
@pytest.mark.parametrize("how", ["truncated", "emptied", "altered", "lengthened"])
def test_a_damaged_file(saved: Path, role: str, how: str) -> None:
    path = file_of(saved, role)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "truncated": content[:-1],
            "emptied": b"",
            "altered": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "lengthened": content + b" ",
        }[how]
    )
    message = refusal(saved)
    assert str(path) in message
    assert "altered or truncated: its SHA-256 is" in message


def test_a_newer_format(saved: Path) -> None:
    edit_index(saved, lambda index: index.update(format=3, penstock="9.0"))
    message = refusal(saved)
    assert "format 3, written by penstock 9.0" in message
    assert "upgrade penstock" in message


@pytest.mark.parametrize("number", [None, "1", 0, -1, True, 1.5])
def test_a_format_that_is_none(saved: Path, number: Any) -> None:
    edit_index(saved, lambda index: index.update(format=number))
    assert "not a penstock bundle (no format number)" in refusal(saved)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[1]", b"null", b"[" * 100_000, b'"x"']
)
def test_a_damaged_index(saved: Path, content: bytes) -> None:
    (saved / INDEX).write_bytes(content)
    message = refusal(saved)
    assert "cannot be read" in message or "not a penstock bundle" in message


@pytest.mark.parametrize("key", ["files", "config", "task", "record"])
@pytest.mark.parametrize("value", [None, 3, []])
def test_a_damaged_entry(saved: Path, key: str, value: Any) -> None:
    edit_index(saved, lambda index: index.update({key: value}))
    assert f"damaged: {key!r} is missing" in refusal(saved)


@pytest.mark.parametrize("entry", [None, 3, {}, {"name": 3}, {"name": "x"}, {"sha256": "x"}])
def test_a_damaged_file_entry(saved: Path, entry: Any) -> None:
    edit_index(saved, lambda index: index["files"].update(weights=entry))
    assert "damaged: files.weights is missing" in refusal(saved)


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "a/../../b", "..", ".", "", "a\\..\\b", ".hidden", "a\nb", "a/b"],
)
def test_a_path_outside_is_refused(saved: Path, name: str) -> None:
    edit_index(saved, lambda index: index["files"]["weights"].update(name=name))
    message = refusal(saved)
    assert "leads outside the bundle; do not use this bundle" in message


def test_a_symbolic_link_is_refused(saved: Path, tmp_path: Path) -> None:
    path = file_of(saved, "weights")
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "leads outside the bundle" in refusal(saved)


def test_a_pipe_does_not_hang(saved: Path) -> None:
    path = file_of(saved, "weights")
    path.unlink()
    os.mkfifo(path)
    assert "not a plain file" in refusal(saved)


def test_a_damaged_configuration(saved: Path) -> None:
    edit_index(saved, lambda index: index["config"]["model"].update(hidden_size="many"))
    assert "damaged configuration at model.hidden_size" in refusal(saved)
    edit_index(saved, lambda index: index["config"]["model"].update(hidden_size=24, wings=2))
    assert "damaged configuration at model.wings" in refusal(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 26},
        {"hidden_size": 65_536},
        {"hidden_size": 65_536, "encoder_layers": 100},
        {"decoder_layers": 2},
        {"cell": "lstm"},
    ],
)
def test_a_configuration_of_another_model(saved: Path, change: dict[str, Any]) -> None:
    """Also one whose sizes would take all memory: shapes are compared before any is taken."""
    edit_index(saved, lambda index: index["config"]["model"].update(change))
    assert "weights do not fit the configuration (first: " in refusal(saved)


def test_weights_of_another_dtype(saved: Path) -> None:
    """Relabelled in the header, and signed again: the bytes are as before."""
    weights = file_of(saved, "weights").read_bytes()
    replace_file(saved, "weights", weights.replace(b'"F32"', b'"I32"'))
    assert "weights do not fit the configuration (first: " in refusal(saved)


def test_weights_too_large_to_compute_with(saved: Path) -> None:
    tensors = load_tensors(file_of(saved, "weights").read_bytes())
    vast = {name: torch.full_like(tensor, 3e38) for name, tensor in tensors.items()}
    replace_file(saved, "weights", save_tensors(vast))
    for search in ("beam", "greedy", "sample"):
        with pytest.raises(BundleError, match=r"the model's outputs are not numbers \(NaN\)"):
            Translator.load(saved).translate(["She sees them."], search=search)


def test_weights_that_are_not_finite(saved: Path) -> None:
    tensors = load_tensors(file_of(saved, "weights").read_bytes())
    tensors["decoder.embedding.weight"][0, 0] = float("nan")
    replace_file(saved, "weights", save_tensors(tensors))
    assert "decoder.embedding.weight has numbers that are not finite" in refusal(saved)


def test_a_task_that_this_version_lacks(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run / "model", tmp_path / "model")
    edit_index(tmp_path / "model", lambda index: index.update(task="tagging"))
    assert "a model for task 'tagging'; this penstock has translation, " in refusal(tmp_path)


def test_another_task_in_the_index(classifier_run: Path, tmp_path: Path) -> None:
    shutil.copytree(classifier_run / "model", tmp_path / "model")
    edit_index(tmp_path / "model", lambda index: index.update(task="translation"))
    told = refusal(tmp_path / "model")
    assert "task is 'translation', config.task 'classification'" in told


def test_a_classifier_without_labels(classifier_run: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(classifier_run / "model", model)
    content = json.loads(file_of(model, "target_tokenizer").read_bytes())
    vocabulary = content["tokenizer"]["model"]["vocab"]
    content["tokenizer"]["model"]["vocab"] = {t: i for t, i in vocabulary.items() if i < 4}
    replace_file(model, "target_tokenizer", json.dumps(content).encode())
    assert "target_tokenizer has no label" in refusal(model)


def test_forged_files_that_match_their_hash(saved: Path) -> None:
    weights = file_of(saved, "weights").read_bytes()
    replace_file(saved, "weights", b"not tensors")
    assert "weights are not safetensors" in refusal(saved)
    replace_file(saved, "weights", weights[: len(weights) // 2])
    assert "weights are not safetensors" in refusal(saved)
    replace_file(saved, "weights", weights)
    replace_file(saved, "source_tokenizer", b"\xff\xfe\x00")
    assert "train again" in refusal(saved)


# --- saving -------------------------------------------------------------------------------------


def test_a_new_model_replaces_the_old_and_leaves_nothing(bundle: Bundle, saved: Path) -> None:
    other = untrained(bundle, 2, embedding_size=8, hidden_size=8)
    save_bundle(other, saved)
    assert torch.equal(logits(load_bundle(saved)), logits(other))
    assert len(list(saved.iterdir())) == 4


def test_saving_again_mends_a_damaged_file(bundle: Bundle, saved: Path) -> None:
    file_of(saved, "source_tokenizer").write_bytes(b"damaged")
    save_bundle(bundle, saved)
    assert torch.equal(logits(load_bundle(saved)), logits(bundle))


@pytest.mark.parametrize("failing", range(4))
@pytest.mark.parametrize("where", ["write", "sync", "rename"])
def test_a_full_disk_leaves_the_old_bundle_whole(
    bundle: Bundle, saved: Path, monkeypatch: pytest.MonkeyPatch, failing: int, where: str
) -> None:
    other = untrained(bundle, 2, embedding_size=8, hidden_size=8)
    other = replace(
        other,
        source_tokenizer=bundle.target_tokenizer,
        target_tokenizer=bundle.source_tokenizer,
    )
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    done = 0

    def fail_at_its_turn(original: Callable[..., Any], *, half: bool = False) -> Any:
        def act(first: Any, *rest: Any) -> Any:
            nonlocal done
            done += 1
            if done <= failing:
                return original(first, *rest)
            if half:
                original(first, rest[0][: len(rest[0]) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        return act

    with monkeypatch.context() as patch:
        if where == "write":
            act = fail_at_its_turn(Path.write_bytes, half=True)
            patch.setattr(Path, "write_bytes", act)
        elif where == "sync":
            patch.setattr(os, "fsync", fail_at_its_turn(os.fsync))
        else:
            patch.setattr(Path, "replace", fail_at_its_turn(Path.replace))
        if failing < 4:
            with pytest.raises(PenstockError, match=r"cannot write: No space left.*is whole"):
                save_bundle(other, saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert torch.equal(logits(load_bundle(saved)), logits(bundle))
    save_bundle(other, saved)  # once there is room
    assert torch.equal(logits(load_bundle(saved)), logits(other))


def test_reading_while_a_better_model_is_saved(
    bundle: Bundle, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = untrained(bundle, 2, embedding_size=8, hidden_size=8)
    read_index, reads = bundle_files.read_index, 0

    def read_then_save(directory: Path) -> dict[str, Any]:
        nonlocal reads
        index = read_index(directory)
        reads += 1
        if reads == 1:
            save_bundle(other, saved)
        return index

    monkeypatch.setattr(bundle_files, "read_index", read_then_save)
    assert torch.equal(logits(load_bundle(saved)), logits(other))


def test_a_folder_that_cannot_be_made(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PenstockError, match="cannot write"):
        save_bundle(bundle, tmp_path / "file" / "model")


def test_a_saved_bundle_needs_nothing_else(bundle: Bundle, saved: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved away"
    shutil.move(saved, moved)
    assert torch.equal(logits(load_bundle(moved)), logits(bundle))
    assert parse_config(json.loads((moved / INDEX).read_text())["config"]) == bundle.config


# --- single files -------------------------------------------------------------------------------


def test_a_device_is_written_to_and_stays_a_device(tmp_path: Path) -> None:
    atomic_write("/dev/null", "x")
    assert Path("/dev/null").is_char_device()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    atomic_write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    from penstock.files import replacing

    (tmp_path / "x").write_text("old")

    def interrupted() -> None:
        with replacing(tmp_path / "x") as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_an_interruption_after_the_index_stands_leaves_the_new_bundle_whole(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_bundle(bundle, tmp_path)
    made = untrained(bundle, 5, embedding_size=8, hidden_size=8)
    write = atomic_write

    def interrupted(path: str | Path, content: str | bytes) -> None:
        write(path, content)
        if Path(path).name == INDEX:
            raise KeyboardInterrupt

    monkeypatch.setattr(bundle_module, "atomic_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_bundle(made, tmp_path)
    assert torch.equal(logits(load_bundle(tmp_path)), logits(made))
