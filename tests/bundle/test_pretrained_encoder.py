"""A frozen Transformer encoder: its tokenizer, its vectors, its place in training and bundles."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from conftest import TINY, quiet_console
from penstock.bundle import load_bundle, save_bundle
from penstock.cli.app import run as run_command
from penstock.config import RunConfig, parse_config
from penstock.data.grammar import generate_pairs
from penstock.errors import BundleError, ConfigError, DataError, MissingExtraError, PenstockError
from penstock.files import with_checksum
from penstock.nn import Seq2Seq
from penstock.nn.frozen_transformer import FrozenTransformer, find_transformer
from penstock.runtime.pretrained_encoder import fingerprint, read_transformer
from penstock.runtime.torch_network import load_network
from penstock.special_tokens import EOS_ID, PAD_ID, RESERVED, UNK_ID
from penstock.tasks import TASKS
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.tasks.embedder import Embedder
from penstock.tasks.translation.translator import Translator
from penstock.text import Tokenizer
from penstock.training.loop import train

SIZE = 16
SENTENCES = [pair.source for pair in generate_pairs(300)]
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def wordpiece() -> LibraryTokenizer:
    library = LibraryTokenizer(models.WordPiece(unk_token="[UNK]"))  # pyright: ignore
    library.normalizer = normalizers.BertNormalizer()  # pyright: ignore
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore
    library.decoder = decoders.WordPiece()  # pyright: ignore
    trainer = trainers.WordPieceTrainer(
        vocab_size=200, special_tokens=MARKS, show_progress=False  # pyright: ignore
    )  # fmt: skip
    library.train_from_iterator(SENTENCES, trainer)
    library.post_processor = processors.TemplateProcessing(  # pyright: ignore
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return library


def make_encoder(kind: str, vocab_size: int) -> Any:
    from transformers import CONFIG_MAPPING, AutoModel

    common = {
        "vocab_size": vocab_size,
        "max_position_embeddings": 32,
        "pad_token_id": 0,
        "initializer_range": 0.1,  # so that tokens differ
    }
    if kind == "distilbert":
        sizes = {"dim": SIZE, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
    else:
        sizes = {
            "hidden_size": SIZE,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        }
    marks = {"bos_token_id": 2, "eos_token_id": 3} if kind == "roberta" else {}
    torch.manual_seed(1)
    configure: Any = CONFIG_MAPPING[kind]
    return AutoModel.from_config(configure(**common, **sizes, **marks)).eval()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT of random weights with a WordPiece tokenizer; not to be changed."""
    directory = tmp_path_factory.mktemp("encoders") / "bert"
    library = wordpiece()
    make_encoder("bert", library.get_vocab_size()).save_pretrained(directory)
    library.save(str(directory / "tokenizer.json"))
    return directory


def as_saved(directory: Path) -> LibraryTokenizer:
    return LibraryTokenizer.from_file(str(directory / "tokenizer.json"))


def copy_of(directory: Path, to: Path) -> Path:
    return Path(shutil.copytree(directory, to))


def run_quietly(config: RunConfig, run: Path, **options: Any) -> str:
    console = quiet_console()
    train(config, run, console=console, **options)
    return console.file.getvalue()  # pyright: ignore


# --- its tokenizer ------------------------------------------------------------------------------


def test_ids_are_the_encoders_moved_behind_the_reserved_ones(bert: Path) -> None:
    tokenizer, library = Tokenizer.pretrained(bert), as_saved(bert)
    assert tokenizer.kind == "pretrained"
    assert tokenizer.vocab_size == library.get_vocab_size() + len(RESERVED)
    for sentence in SENTENCES[:50]:
        theirs = library.encode(sentence, add_special_tokens=False)
        ids = tokenizer.encode(sentence)
        assert ids == [i + len(RESERVED) for i in theirs.ids]
        assert tokenizer.tokens(ids) == theirs.tokens
        assert tokenizer.decode(ids).replace(" ", "") == sentence.lower().replace(" ", "")
    assert tokenizer.tokens([PAD_ID, EOS_ID]) == ["<pad>", "<eos>"]
    assert tokenizer.encode("") == []
    assert tokenizer.encode("日本") == [UNK_ID, UNK_ID]


def test_marks_that_a_user_types_are_text(bert: Path) -> None:
    tokenizer = Tokenizer.pretrained(bert)
    reachable = {i for text in (*MARKS, "<eos>", "[CLS]a[SEP]") for i in tokenizer.encode(text)}
    marks = {index + len(RESERVED) for index in range(len(MARKS))}
    assert not reachable & (marks | {PAD_ID, EOS_ID})


def test_a_mark_that_the_tokenizer_insists_on_is_unknown(tmp_path: Path) -> None:
    vocabulary = {token: index for index, token in enumerate([*MARKS, "a"])}
    library = LibraryTokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # pyright: ignore
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore
    library.post_processor = wordpiece().post_processor  # pyright: ignore
    library.save(str(tmp_path / "tokenizer.json"))
    library.add_special_tokens(MARKS)
    library.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.pretrained(tmp_path)
    assert tokenizer.encode("a [SEP] [PAD] b a") == [9, UNK_ID, UNK_ID, UNK_ID, 9]


def test_a_stored_tokenizer_is_the_same(bert: Path) -> None:
    tokenizer = Tokenizer.pretrained(bert)
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.special_tokens == tokenizer.special_tokens
    assert again.vocabulary() == tokenizer.vocabulary()
    texts = [*SENTENCES[:50], "[SEP]", "Ünïcödé", ""]
    assert again.encode_batch(texts) == tokenizer.encode_batch(texts)
    assert again.to_json() == tokenizer.to_json()


Change = Callable[[dict[str, Any]], None]


def nested(value: int) -> Change:
    return lambda library: library["model"]["vocab"].update(odd=value)


FOREIGN: list[tuple[Change, str]] = [
    (lambda t: t.update(model={"type": "Magic"}), "its model 'Magic' is not one of WordPiece"),
    (lambda t: t.update(normalizer={"type": "Magic"}), "its normalizer 'Magic' is not one"),
    (lambda t: t.update(pre_tokenizer={"type": "Split"}), "its pre_tokenizer 'Split' is not one"),
    (lambda t: t.update(decoder={"type": "CTC"}), "its decoder 'CTC' is not one that encoders use"),
    (
        lambda t: t.update(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 17}),
        "its normalizer is not a list of at most 16 steps",
    ),
    (
        lambda t: t.update(
            normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "aaaa"}
        ),
        "its normalizer 'Replace' makes texts longer",
    ),
    (
        lambda t: t.update(
            normalizer={"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
        ),
        "its normalizer has the pattern .*, which is not one of encoders",
    ),
    (lambda t: t["model"].update(vocab={}), "its vocabulary is not tokens with ids"),
    (nested(4_000_000_000), "its ids are not different small numbers"),
    (nested(5), "its ids are not different small numbers"),
    (lambda t: t["model"].update(unk_token="gone"), "its unknown token 'gone' has no id"),
    (lambda t: t["model"].update(max_input_chars_per_word="x"), "damaged tokenizer: "),
    (lambda t: t.update(added_tokens=[{"id": 0}]), "its added tokens are not texts with ids"),
    (
        lambda t: t.update(added_tokens=t["added_tokens"] + [t["added_tokens"][0] | {"id": 99}]),
        r"its added token '\[PAD\]' has id 99, and gets 0",
    ),
    (
        lambda t: t.update(
            model={"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}
        ),
        r"its merge \['a', 'b'\] is not a pair of its tokens",
    ),
    (
        lambda t: t.update(model={"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 7}),
        "its vocabulary is not pieces with scores",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FOREIGN)
def test_only_what_encoders_use_is_read(
    bert: Path, tmp_path: Path, change: Change, message: str
) -> None:
    content = json.loads((bert / "tokenizer.json").read_text())
    change(content)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"tokenizer\.json: .*{message}.*; choose another"):
        Tokenizer.pretrained(tmp_path)
    stored = json.loads(Tokenizer.pretrained(bert).to_json())
    change(stored["tokenizer"])
    with pytest.raises(BundleError, match=f"mine: .*{message}.*; restore the file"):
        Tokenizer.from_json(json.dumps(stored), place="mine")


@pytest.mark.parametrize("own", [None, {}, {"first": 2, "last": 3, "unknown": 10**6}])
def test_stored_marks_must_be_tokens(bert: Path, own: Any) -> None:
    stored = json.loads(Tokenizer.pretrained(bert).to_json())
    stored["penstock"]["own"] = own
    with pytest.raises(BundleError, match=r"damaged tokenizer: its .* token is"):
        Tokenizer.from_json(json.dumps(stored))


def test_directories_without_a_usable_tokenizer(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tokenizer\.json: cannot read the tokenizer: No such"):
        Tokenizer.pretrained(tmp_path / "gone")
    path = tmp_path / "tokenizer.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"tokenizer\.json: not JSON"):
        Tokenizer.pretrained(tmp_path)
    content = json.loads((bert / "tokenizer.json").read_text())
    path.write_text(json.dumps(content | {"post_processor": None}))
    with pytest.raises(DataError, match="does not set one mark before a text and one after it"):
        Tokenizer.pretrained(tmp_path)


# --- the encoder --------------------------------------------------------------------------------


def frozen(directory: Path) -> FrozenTransformer:
    return read_transformer(directory, max_tokens=20)[0]


@pytest.mark.parametrize(("kind", "positions"), [("bert", 32), ("roberta", 31), ("distilbert", 32)])
def test_vectors_are_the_encoders_own(
    bert: Path, tmp_path: Path, kind: str, positions: int
) -> None:
    tokenizer = Tokenizer.pretrained(bert)
    encoder = make_encoder(kind, tokenizer.vocab_size - len(RESERVED))
    encoder.save_pretrained(tmp_path)
    shutil.copy(bert / "tokenizer.json", tmp_path)
    mine = frozen(tmp_path)
    assert mine.max_tokens == positions - 1
    for sentence in SENTENCES[:5]:
        theirs = torch.tensor([as_saved(bert).encode(sentence).ids])  # [CLS] ... [SEP]
        with torch.no_grad():
            expected = encoder(input_ids=theirs, attention_mask=torch.ones_like(theirs))[0]
        found = mine(torch.tensor([[*tokenizer.encode(sentence), EOS_ID]]))
        torch.testing.assert_close(found, expected[:, 1:], atol=1e-5, rtol=0)
    longest = torch.full((1, positions - 1), 9)
    assert mine(longest).shape == (1, positions - 1, SIZE)
    with pytest.raises((IndexError, RuntimeError)):
        mine(torch.full((1, positions), 9))


def test_padding_and_company_change_nothing(bert: Path) -> None:
    mine, tokenizer = frozen(bert), Tokenizer.pretrained(bert)
    rows = [torch.tensor([*tokenizer.encode(s), EOS_ID]) for s in SENTENCES[:8]]
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    together = mine(batch)
    for row, found in zip(rows, together, strict=True):
        torch.testing.assert_close(found[: len(row)], mine(row[None])[0], atol=1e-5, rtol=0)
        assert not found[len(row) :].any()


def test_it_is_never_trained(bert: Path) -> None:
    config = transformer_config(bert)
    mine = frozen(bert)
    before = {name: tensor.clone() for name, tensor in mine.tensors().items()}
    torch.manual_seed(1)
    model = (
        TASKS[config.task]
        .learning()
        .network(config, source_size=200, target_size=50, transformer=mine)
    )
    assert isinstance(model, Seq2Seq)
    assert find_transformer(model) is mine
    assert not any("word_embeddings" in name for name, _ in model.named_parameters())
    assert not list(mine.parameters())
    assert not mine.state_dict()
    model.train()
    assert not any(module.training for module in mine.encoder.modules())
    src, lengths = torch.tensor([[9, 10, 11, EOS_ID]]), torch.tensor([4])
    assert torch.equal(mine(src), mine(src)), "no dropout, in training either"
    loss, _ = model.loss(src, lengths, torch.tensor([[2, 5]]), torch.tensor([[5, 3]]), lengths // 2)
    loss.backward()
    assert all(weight.grad is None for weight in mine.encoder.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in mine.tensors().items())


def test_it_moves_with_the_model(bert: Path) -> None:
    mine = frozen(bert)
    torch.nn.Sequential(mine).to(torch.float64)
    assert {weight.dtype for weight in mine.encoder.parameters()} == {torch.float64}


def test_faults_of_a_models_directory(bert: Path, tmp_path: Path) -> None:
    def broken(name: str, change: Callable[[Path], object]) -> Path:
        directory = copy_of(bert, tmp_path / name)
        change(directory)
        return directory

    def edit(directory: Path, **values: Any) -> None:
        config = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps(config | values))

    def pickled(directory: Path) -> None:
        (directory / "model.safetensors").rename(directory / "pytorch_model.bin")

    faults: list[tuple[str, Callable[[Path], object], str]] = [
        ("a", lambda d: (d / "config.json").unlink(), "cannot read the transformer's config"),
        ("b", lambda d: (d / "config.json").write_text("["), r"config\.json: not JSON"),
        ("c", lambda d: edit(d, model_type="gpt2"), "model_type 'gpt2' is not an encoder"),
        ("d", lambda d: edit(d, num_hidden_layers="2"), "num_hidden_layers is '2'"),
        ("e", pickled, r"no model\.safetensors; weights are read from safetensors only, a pickle"),
        ("f", lambda d: edit(d, num_hidden_layers=3), r"its weights lack 16 of the encoder's"),
        ("g", lambda d: edit(d, hidden_size=8), "the model cannot be loaded: .*; save it anew"),
        ("h", lambda d: edit(d, hidden_act="none"), "the model cannot be loaded: "),
        ("i", lambda d: (d / "model.safetensors").write_bytes(b"x" * 99), "cannot be loaded: "),
    ]  # fmt: skip
    for name, change, message in faults:
        with pytest.raises(DataError, match=message):
            frozen(broken(name, change))
    larger = copy_of(bert, tmp_path / "larger")
    make_encoder("bert", 50).save_pretrained(larger)
    with pytest.raises(
        DataError, match=r"its tokenizer has ids up to .*, its model 54 of them; take"
    ):
        frozen(larger)
    with pytest.raises(
        ConfigError,
        match=r"data\.max_source_tokens = 32: the encoder in .* takes "
        r"rows of at most 31 tokens, EOS included; set data\.max_source_tokens = 31",
    ):
        read_transformer(bert, max_tokens=32)  # fmt: skip


def test_code_of_the_directory_does_not_run(bert: Path, tmp_path: Path) -> None:
    directory = copy_of(bert, tmp_path / "evil")
    config = json.loads((directory / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Evil", "AutoConfig": "evil.EvilConfig"}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert fingerprint(frozen(directory)) == fingerprint(frozen(bert))
    assert not (tmp_path / "ran").exists()


def test_the_missing_package_is_named(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'penstock\[transformers\]'"):
        frozen(bert)


# --- training on a frozen encoder ---------------------------------------------------------------


def transformer_config(bert: Path, *overrides: str) -> RunConfig:
    content = {**TINY, "text": {"target": TINY["text"]["target"]}}
    return parse_config(
        content,
        [
            f"model.transformer={bert}",
            "data.max_source_tokens=31",
            "training.max_updates=6",
            "training.evaluate_every=3",
            *overrides,
        ],
    )


@pytest.fixture(scope="module")
def translator_run(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose encoder's directory is gone; not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    directory = copy_of(bert, folder / "bert")
    run_quietly(transformer_config(directory), folder / "run")
    shutil.rmtree(directory)
    return folder / "run"


def test_a_bundle_has_its_encoder_and_needs_nothing_else(
    bert: Path, translator_run: Path, tmp_path: Path
) -> None:
    bundle = load_bundle(translator_run)
    assert fingerprint(load_network(bundle)) == fingerprint(frozen(bert))
    copy = copy_of(translator_run / "model", tmp_path / "model")
    lines = [*SENTENCES[:4], "", "日本 [SEP]"]
    found = Translator.load(copy).translate(lines)
    assert [r.text for r in found] == [r.text for r in Translator(bundle).translate(lines)]
    assert found[4].status == "empty"
    assert "[UNK]" not in "".join(found[0].source_tokens)
    alone = Translator(bundle).translate([SENTENCES[0]])[0]
    assert alone.log_probability == pytest.approx(found[0].log_probability, abs=1e-4)
    embedded = Embedder.load(copy).embed(lines)
    assert embedded[0].tokens == bundle.source_tokenizer.tokens(
        bundle.source_tokenizer.encode(lines[0])
    )
    save_bundle(bundle, tmp_path / "again")
    names = {path.name for path in copy.iterdir()}
    assert {path.name for path in (tmp_path / "again").iterdir()} == names


def test_info_says_what_encoder_a_model_has(
    translator_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["info", str(translator_run)]) == 0
    out = capsys.readouterr().out
    assert "\nencoder\tbert of 0.0 M parameters\n" in out
    assert "\nsource_vocabulary\tpretrained 204\n" in out


def test_a_long_line_is_split_to_fit_the_encoder(translator_run: Path) -> None:
    translator = Translator.load(translator_run)
    long = " ".join(SENTENCES[:12])
    result = translator.translate([long], search="greedy")[0]
    assert result.parts > 1


def test_training_on_an_encoder_resumes_exactly(bert: Path, tmp_path: Path) -> None:
    directory = copy_of(bert, tmp_path / "bert")
    config = transformer_config(directory)
    run_quietly(config, tmp_path / "whole")
    halfway = config.training.model_copy(update={"max_updates": 3})
    run_quietly(config.model_copy(update={"training": halfway}), tmp_path / "halves")
    checkpoint = next((tmp_path / "halves" / "checkpoints").glob("*.safetensors"))
    assert not [name for name in load_file(checkpoint) if "attention.self" in name]
    said = run_quietly(config, tmp_path / "halves", resume=True)
    assert "going on from update 3" in said
    assert "a frozen bert of 0.0 M parameters, vectors of 16 numbers" in said
    runs = (tmp_path / "whole", tmp_path / "halves")
    whole, halves = (load_network(load_bundle(run)) for run in runs)
    for one, other in zip(whole.parameters(), halves.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_does_not_go_on_with_another_encoder(bert: Path, tmp_path: Path) -> None:
    directory = copy_of(bert, tmp_path / "bert")
    config = transformer_config(directory, "training.max_updates=1")
    run_quietly(config, tmp_path / "run")
    torch.manual_seed(2)
    other = make_encoder("bert", Tokenizer.pretrained(bert).vocab_size - len(RESERVED))
    with torch.no_grad():
        other.embeddings.word_embeddings.weight[7, 0] += 1
    other.save_pretrained(directory)
    with pytest.raises(
        ConfigError, match="not the encoder that the run began with; put that one b"
    ):
        run_quietly(config, tmp_path / "run", resume=True)


def test_classifying_on_a_frozen_encoder(bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.tsv"
    path.write_text("".join(f"{s}\t{'?' if s.endswith('?') else '.'}\n" for s in SENTENCES))
    config = parse_config(
        {
            "task": "classification",
            "threads": 1,
            "device": "cpu",
            "data": {"train": str(path), "max_source_tokens": 31},
            "model": {
                "hidden_size": 16,
                "dropout": 0.0,
                "token_dropout": 0.0,
                "transformer": str(bert),
            },
            "training": {
                "max_updates": 120,
                "evaluate_every": 120,
                "precision": "fp32",
                "learning_rate": 0.01,
                "warmup_updates": 5,
                "average_decay": None,
            },
        }
    )
    run_quietly(config, tmp_path / "run")
    classifier = TextClassifier.load(tmp_path / "run")
    labels = [result.label for result in classifier.classify(SENTENCES[:100])]
    right = sum(
        label == ("?" if s.endswith("?") else ".")
        for label, s in zip(labels, SENTENCES[:100], strict=True)
    )
    assert right > 90, "the commoner label alone is right for 79"


# --- hostile bundles ----------------------------------------------------------------------------


def rewrite(bundle: Path, role: str, content: bytes) -> None:
    """Replace a file of a bundle and make its index fit."""
    index = json.loads((bundle / "bundle.json").read_text())
    index["files"][role]["sha256"] = hashlib.sha256(content).hexdigest()
    (bundle / index["files"][role]["name"]).write_bytes(content)
    (bundle / "bundle.json").write_text(json.dumps(with_checksum(index)))


def test_bundles_with_a_damaged_encoder(translator_run: Path, tmp_path: Path) -> None:
    def damaged(name: str) -> Path:
        return copy_of(translator_run / "model", tmp_path / name)

    index = json.loads((translator_run / "model" / "bundle.json").read_text())
    config_name = index["files"]["transformer_config"]["name"]
    config = json.loads((translator_run / "model" / config_name).read_text())
    for number, (content, message) in enumerate(
        [
            (b"[]", "the transformer's configuration is no JSON object"),
            (b"{", "the transformer's files are damaged"),
            (json.dumps({"model_type": "gpt2"}).encode(), "model_type 'gpt2' is not an encoder"),
            (json.dumps(config | {"num_hidden_layers": 10**9}).encode(), "fewer layers than"),
            (json.dumps(config | {"hidden_size": 10**12}).encode(), "cannot be built"),
            (json.dumps(config | {"vocab_size": 10**12}).encode(), "its weights do not fit"),
            (json.dumps(config | {"max_position_embeddings": 16}).encode(), "do not fit"),
            (json.dumps(config | {"hidden_act": "x"}).encode(), "the transformer cannot be built"),
        ]
    ):  # fmt: skip
        bundle = damaged(str(number))
        rewrite(bundle, "transformer_config", content)
        with pytest.raises(BundleError, match=f"{message}.*; restore the bundle"):
            load_network(load_bundle(bundle))
    bundle = damaged("weights")
    rewrite(bundle, "transformer_weights", b"x" * 50)
    with pytest.raises(BundleError, match="the transformer's files are damaged"):
        load_network(load_bundle(bundle))
    bundle = damaged("missing")
    (bundle / config_name).unlink()
    with pytest.raises(BundleError, match="missing from the bundle"):
        load_network(load_bundle(bundle))
    bundle = damaged("altered")
    (bundle / config_name).write_text("{}")
    with pytest.raises(BundleError, match="altered or truncated"):
        load_network(load_bundle(bundle))
    bundle = damaged("outside")
    index["files"]["transformer_weights"]["name"] = "../elsewhere"
    (bundle / "bundle.json").write_text(json.dumps(with_checksum(index)))
    with pytest.raises(BundleError, match="leads outside the bundle"):
        load_network(load_bundle(bundle))


def test_bundles_whose_parts_do_not_belong_together(
    translator_run: Path, tiny_run: Path, tmp_path: Path
) -> None:
    def changed(run: Path, name: str, **model: Any) -> Path:
        bundle = copy_of(run / "model", tmp_path / name)
        index = json.loads((bundle / "bundle.json").read_text())
        index["config"]["model"] |= model
        (bundle / "bundle.json").write_text(json.dumps(with_checksum(index)))
        return bundle

    with pytest.raises(BundleError, match=r"files\.transformer_config is missing"):
        load_network(load_bundle(changed(tiny_run, "added", transformer="x")))
    with pytest.raises(BundleError, match="its tokenizer is a transformer's, and it has none"):
        load_network(load_bundle(changed(translator_run, "taken", transformer=None)))
    bundle = changed(translator_run, "long")
    index = json.loads((bundle / "bundle.json").read_text())
    index["config"]["data"]["max_source_tokens"] = 100
    (bundle / "bundle.json").write_text(json.dumps(with_checksum(index)))
    with pytest.raises(
        BundleError, match="max_source_tokens 100 is more than the transformer's 31"
    ):
        load_network(load_bundle(bundle))


def test_loading_without_the_package_names_it(
    translator_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(PenstockError, match=r"pip install 'penstock\[transformers\]'"):
        load_network(load_bundle(translator_run))
