"""Prepare a language model's tokenizer and token streams from a run's data section."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.bundle import Bundle, find_bundle
from penstock.config import DataConfig, RunConfig, StartConfig, TokenizerConfig
from penstock.data.formats.corpus_files import shown
from penstock.data.pair import Pair
from penstock.data.token_stream import (
    TextForm,
    TokenStream,
    between,
    characters,
    open_stream,
    read_form,
    write_stream,
)
from penstock.errors import ConfigError, DataError
from penstock.files import content_key
from penstock.tasks.language_model.text_generator import text_form
from penstock.text import Tokenizer
from penstock.text.lines import is_blank
from penstock.training.corpus_tokenizers import cached_tokenizer
from penstock.training.examples import REST, Report
from penstock.training.start_model import read_start, start_tokenizer

Lines = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class RunningText:
    """The data of a language model.

    Attributes:
        tokenizer: trained on the training part only.
        train, valid: the two parts as streams.
        fingerprint: hash of the training part, and of what is replayed.
        replay: old text to mix in.
        old_valid: held-out text of the data that the model to go on from was trained on.
    """

    tokenizer: Tokenizer
    train: TokenStream
    valid: TokenStream
    fingerprint: str
    replay: TokenStream | None = None
    old_valid: TokenStream | None = None


def prepare_text(config: RunConfig, folder: Path, report: Report) -> RunningText:
    """Split the text by position, train the tokenizer, and tokenize both parts, all streaming.

    Results are cached in `folder`, keyed by content.

    Raises:
        DataError: unreadable text, or a part of it is empty.
    """
    form = text_form(config.data)
    training, valid = text_parts(config.data, form)
    _require_text(training, valid, config.data)
    fingerprint = _fingerprint(training)
    if _fingerprint(valid) == fingerprint:
        report("warning: the held-out text is the training text; scores on it measure memory")
    start = read_start(config)
    if start is None:
        tokenizer = _tokenizer(training, config.text.source, fingerprint, folder, report)
    else:
        kept, own = start.bundle.source_tokenizer, config.text.source
        tokenizer = start_tokenizer(config, kept, training, "text", own, report)

    def stored(lines: Lines, part: str) -> TokenStream:
        return _stream(lines, part, tokenizer, form, folder, report)

    train_stream, valid_stream = stored(training, "train"), stored(valid, "valid")
    for name, stream in (("training", train_stream), ("held-out", valid_stream)):
        counts = stream.counts
        if counts.unknown:
            report(
                f"{counts.unknown:,} of {counts.tokens:,} {name} tokens "
                f"({counts.unknown / counts.tokens:.1%}) are unknown"
            )
    if start is None:
        return RunningText(tokenizer, train_stream, valid_stream, fingerprint)
    old = [pair.source for pair in start.valid]
    old_valid = stored(lambda: iter(old), "old") if old else None
    replay = _open_replay(config.start, form, {*old, *valid()})
    if replay is None:
        return RunningText(tokenizer, train_stream, valid_stream, fingerprint, None, old_valid)
    if not _has_text(replay):
        what = "no text to replay: every line is blank or held out"
        raise DataError(what, path=shown(config.start.replay or ""))
    fingerprint = content_key(fingerprint, _fingerprint(replay))
    replayed = stored(replay, "replay")
    return RunningText(tokenizer, train_stream, valid_stream, fingerprint, replayed, old_valid)


def _open_replay(start: StartConfig, form: TextForm, held_out: set[str]) -> Lines | None:
    """The old text to mix in, without held-out lines."""
    if start.replay is None:
        return None
    names = start.replay

    def lines() -> Iterator[str]:
        return (x for x in read_form(names, form) if is_blank(x) or x not in held_out)

    return lines


def _require_text(training: Lines, valid: Lines, data: DataConfig) -> None:
    """Raise `DataError` if a part has only blank lines."""
    train_path = shown(data.train)
    none = "no text: every line is blank; give a file with text"
    if not _has_text(training):
        raise DataError(none, path=train_path)
    if _has_text(valid):
        return
    if data.valid == REST:
        raise DataError(
            "no held-out text: nothing but blank lines follows the first data.max_characters = "
            f"{data.max_characters}; lower it",
            path=train_path,
        )
    if data.valid is not None:
        raise DataError(none, path=shown(data.valid))
    raise DataError(
        f"no held-out text: the last data.valid_share = {data.valid_share:g} of the text is blank "
        "lines; raise it, or give a file of held-out text as data.valid",
        path=train_path,
    )


def _has_text(lines: Lines) -> bool:
    return any(line.strip() for line in lines())


def training_stream(model: str | Path, bundle: Bundle) -> TokenStream | None:
    """The training text of a bundle in its run directory, or None."""
    directory = find_bundle(model)
    key = content_key(
        str(bundle.record.get("data")),
        bundle.source_tokenizer.to_json(),
        str(text_form(bundle.config.data)),
    )
    folder = Path(bundle.config.data.cache or directory.parent / "data")
    path = folder / f"train-{key}.ids"
    return open_stream(path, lambda _: None)


def text_parts(data: DataConfig, form: TextForm) -> tuple[Lines, Lines]:
    """The training and the held-out lines; each call reads them again."""
    path = shown(data.train)

    def read() -> Iterator[str]:
        return read_form(data.train, form)

    end = data.max_characters
    if data.valid == REST:
        if end is None:
            raise ConfigError(
                "data.valid = 'rest' needs data.max_characters: what it is the rest of"
            )
        return (lambda: between(read(), 0, end)), (lambda: between(read(), end))
    if data.valid is not None:
        valid = data.valid
        return (lambda: between(read(), 0, end)), (lambda: read_form(valid, form))
    total = characters(between(read(), 0, end))
    if not total:
        raise DataError("no text: every line is blank; give a file with text", path=path)
    cut = _line_end(between(read(), 0, end), int(total * (1 - data.valid_share)), total)
    if not cut:
        raise DataError(
            f"the text of {total:,} characters has no line end to divide it at; give more text, "
            "or a file of held-out text as data.valid",
            path=path,
        )
    return (lambda: between(read(), 0, cut)), (lambda: between(read(), cut, end))


def held_out_pairs(config: RunConfig) -> Iterator[Pair]:
    """The non-blank held-out lines, each with an empty target."""
    _, valid = text_parts(config.data, text_form(config.data))
    return (Pair(line, ("",)) for line in valid() if not is_blank(line))


def _line_end(lines: Iterator[str], position: int, total: int) -> int:
    """The first end of a line at or after a position, or the last before the end of the text.

    0 when the text is one line.
    """
    last = 0
    for line in lines:
        end = last + len(line) + 1
        if end >= total:
            break
        last = end
        if last >= position:
            break
    return last


def _fingerprint(training: Lines) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for line in training():
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def _tokenizer(
    training: Lines, config: TokenizerConfig, fingerprint: str, folder: Path, report: Report
) -> Tokenizer:
    path = folder / f"tokenizer-{content_key(fingerprint, json.dumps(config.model_dump()))}.json"
    # joined lines have a space between them, which a vocabulary of characters needs; to a
    # separator tokenizer it would be a part of each line's first token
    space = "" if config.symbol_separator else " "
    spaced = (f"{space}{line}" for line in training())
    return cached_tokenizer(path, report, lambda: Tokenizer.train(spaced, config))


def _stream(
    lines: Lines, part: str, tokenizer: Tokenizer, form: TextForm, folder: Path, report: Report
) -> TokenStream:
    key = content_key(_fingerprint(lines), tokenizer.to_json(), str(form))
    path = folder / f"{part}-{key}.ids"
    return open_stream(path, report) or write_stream(path, lines(), tokenizer, form)
