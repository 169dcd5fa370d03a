"""What the teachers of a student translate for it: block by block, kept in its run."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

from penstock.bundle import INDEX, find_bundle
from penstock.data.formats.input_lines import STDIN
from penstock.data.formats.readers import read_pairs, read_sources
from penstock.data.held_out_pairs import merge_references
from penstock.data.pair import Pair
from penstock.data.source_keys import fold
from penstock.errors import DataError, UsageError
from penstock.files import atomic_write, replacing
from penstock.metrics.sacrebleu_scores import sentence_bleu
from penstock.tasks.evaluation import BLOCK
from penstock.tasks.translation.recipe import Recipe
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.student import Student, student_config, with_tokenizers
from penstock.tasks.translation.translator import Translator

FOLDER, RECIPE, PAIRS, VALID = "distilled", "recipe.json", "pairs.jsonl", "valid.jsonl"

_REPORT_SECONDS = 30.0
_WHOLE = ("ok", "split", "unfamiliar")  # statuses of translations to learn from

Report = Callable[[str], None]


class Teachers:
    """The teachers of a run, who write what its student learns.

    Args:
        recipe: what is translated, by whom and how.
        run: the student's directory.
        threads: on the CPU.
        report: called with messages.
    """

    def __init__(self, recipe: Recipe, run: Path, threads: int | None, report: Report) -> None:
        self._recipe, self._run, self._folder, self._report = recipe, run, run / FOLDER, report
        self._translator = Translator.load(
            *recipe.teachers,
            device=recipe.device,
            weights=recipe.weights,
            engine=recipe.engine,
            threads=threads,
        )
        self._held_out: set[str] = set()  # sources, folded
        self._record: dict[str, Any] = {}  # the recipe, and what is known of its making
        self._reported: set[str] = set()

    def begin(self, config: Student, overrides: Iterable[str]) -> None:
        """Write what the run needs to be resumed: configuration, held-out pairs, recipe."""
        from penstock.training.run_directory import (
            keep_standard_input,
            require_no_pipe,
            write_config,
        )

        teacher, recipe = self._translator.bundle, self._recipe
        require_no_pipe([*recipe.sources, *(recipe.valid or ())])
        student = student_config(teacher, config, overrides)
        if STDIN in recipe.sources:
            kept = keep_standard_input(self._run, resume=False)
            sources = [kept if name == STDIN else name for name in recipe.sources]
            self._recipe = recipe = replace(recipe, sources=sources)
        valid = [student.data.valid] if isinstance(student.data.valid, str) else student.data.valid
        held_out = self._read_held_out(recipe.valid or valid)
        self._held_out = {fold(pair.source) for pair in held_out}
        survey = self._survey()
        rows = ({"source": pair.source, "targets": pair.targets} for pair in held_out)
        atomic_write(self._folder / VALID, "".join(map(_as_line, rows)))
        student = with_tokenizers(student, teacher, self._folder)
        files = {"train": str(self._folder / PAIRS), "valid": str(self._folder / VALID)}
        data = student.data.model_copy(update=files)
        write_config(student.model_copy(update={"data": data}), self._run)
        self._write_record({**recipe.to_plain(), **survey})

    def resume(self, kept: dict[str, Any]) -> None:
        """Check that teachers and sources are those of the beginning.

        Raises:
            UsageError: they are not.
        """
        self._held_out = {fold(pair.source) for pair in read_pairs(self._folder / VALID)}
        for key, value in self._survey().items():
            if value != kept[key]:
                raise UsageError(
                    f"{self._run}: the {key} are not what they were when this run was begun; "
                    "restore them, or choose another --out"
                )
        self._record = kept

    def translate(self) -> None:
        """Translate what is not translated yet, and write the pairs.

        Raises:
            DataError: no source has a whole translation.
        """
        options, total = self._options(), self._record["count"]
        blocks = self._folder / "blocks"
        done = fresh = 0
        begun = reported = time.monotonic()
        pairs = self._pairs()
        for number in count():
            block = list(islice(pairs, BLOCK))
            if not block:
                break
            done += len(block)
            path = blocks / f"{number:06}.json"
            if path.exists():
                continue
            results = self._translator.translate([pair.source for pair in block], options)
            learnt = _distilled(block, results, self._recipe.learn_references)
            atomic_write(path, json.dumps(learnt, ensure_ascii=False))
            fresh += len(block)
            now = time.monotonic()
            if now - reported > _REPORT_SECONDS or done == total:
                speed, reported = fresh / (now - begun), now
                left = f", {(total - done) / speed / 60:.0f} min left" if done < total else ""
                self._report(f"translated {done:,} of {total:,}, {speed:.0f} per second{left}")
        self._finish(sorted(blocks.iterdir()))
        shutil.rmtree(blocks)

    def _finish(self, blocks: Sequence[Path]) -> None:
        """Join the blocks."""
        sums: dict[str, float] = defaultdict(float)
        left_out: Counter[str] = Counter()
        with replacing(self._folder / PAIRS) as partial:
            with partial.open("w", encoding="utf-8", newline="\n") as file:
                for path in blocks:
                    block = json.loads(path.read_text(encoding="utf-8"))
                    file.writelines(map(_as_line, block["pairs"]))
                    for name, value in block["sums"].items():
                        sums[name] += value
                    left_out.update(block["left_out"])
            if not sums["pairs"]:
                raise DataError(
                    f"no source has a whole translation ({_listed(left_out)}); look at what "
                    "'penstock translate' gives for them",
                    path=" ".join(self._recipe.sources),
                )
            found: dict[str, Any] = {"pairs": int(sums["pairs"]), "left_out": left_out}
            if self._record["references"]:
                means = {name: sums[name] / sums["pairs"] for name in ("bleu", "first_bleu")}
                found |= {"nearer": int(sums["nearer"]), **means}
            self._write_record({**self._record, "distilled": found})
        self._report(_summary(found))

    def _write_record(self, record: dict[str, Any]) -> None:
        self._record = record
        text = json.dumps(record, indent=1, ensure_ascii=False)
        atomic_write(self._folder / RECIPE, text + "\n")

    def _options(self) -> SearchOptions:
        """The search; where there are references, with all that the beam finds."""
        recipe = self._recipe
        options = SearchOptions(beam_size=recipe.beam_size, length_penalty=recipe.length_penalty)
        config = self._translator.bundle.config.search
        n_best = options.beam(config) if self._record["references"] else 1
        choice = f", the nearest of {n_best} to the reference" if self._record["references"] else ""
        self._report(f"{self._record['count']:,} sources, {options.signature(config)}{choice}")
        return options.changed(n_best=n_best)

    def _pairs(self) -> Iterator[Pair]:
        """The sources that are not held out, with their references."""
        pairs = read_sources(self._recipe.sources, self._recipe.read_options(self._report_once))
        return (pair for pair in pairs if fold(pair.source) not in self._held_out)

    def _survey(self) -> dict[str, Any]:
        """Read everything once, so that errors come early.

        Raises:
            DataError: unreadable or no sources.
        """
        digest = hashlib.blake2b(digest_size=16)
        total, references = 0, False
        for pair in self._pairs():
            total += 1
            references = bool(pair.target)
            digest.update(_as_line({"source": pair.source, "targets": pair.targets}).encode())
        if not total:
            raise DataError(
                "no sources: the file is empty, or has held-out sentences alone; give at least one",
                path=" ".join(self._recipe.sources),
            )
        models = [
            hashlib.sha256((find_bundle(path) / INDEX).read_bytes()).hexdigest()
            for path in self._recipe.teachers
        ]
        return {
            "models": models,
            "texts": digest.hexdigest(),
            "count": total,
            "references": references,
        }

    def _report_once(self, text: str) -> None:
        if text not in self._reported:  # the sources are read several times
            self._reported.add(text)
            self._report(text)

    def _read_held_out(self, files: Sequence[str] | None) -> list[Pair]:
        """Pairs with real references, from files or as the first teacher's run held them out.

        Raises:
            DataError: there are none.
        """
        from penstock.training.examples import open_data

        if files is not None:
            options = self._recipe.read_options(self._report_once)
            held_out = merge_references(read_pairs(files, options))
            if not held_out:
                raise DataError(
                    "no held-out pairs: the file is empty; give at least one pair",
                    path=" ".join(files),
                )
            return held_out
        teacher = self._translator.bundle
        try:
            return open_data(teacher.config, lambda _: None)[1]
        except DataError as error:
            raise DataError(
                f"no held-out pairs to measure the student by: those of {teacher.place} are not "
                f"where they were ({error}); name a file with --valid"
            ) from None


def _distilled(
    pairs: Sequence[Pair], results: Sequence[Translation], learn_references: bool
) -> dict[str, Any]:
    """What is learnt of a block: pairs, and what there is to count."""
    learnt: list[dict[str, str]] = []
    sums: dict[str, float] = defaultdict(float)
    left_out: Counter[str] = Counter()
    for pair, result in zip(pairs, results, strict=True):
        if learn_references:
            learnt += ({"source": pair.source, "target": each} for each in pair.targets if each)
        if result.status not in _WHOLE or not result.text.strip():
            left_out[result.status if result.text.strip() else "empty"] += 1
            continue
        target = result.text
        if pair.target:
            candidates = [each.text for each in result.alternatives if each.text.strip()]
            scores = [sentence_bleu(text, pair.targets) for text in candidates or [target]]
            best = max(range(len(scores)), key=scores.__getitem__)  # of equal ones the first
            target = (candidates or [target])[best]
            sums["bleu"] += scores[best]
            sums["first_bleu"] += scores[0]
            sums["nearer"] += best > 0
        sums["pairs"] += 1
        learnt.append({"source": pair.source, "target": target})
    return {"pairs": learnt, "sums": sums, "left_out": left_out}


def _summary(found: Mapping[str, Any]) -> str:
    text = f"{found['pairs']:,} translations to learn from"
    if found["left_out"]:
        text += f"; left out {_listed(found['left_out'])}"
    if "bleu" in found:
        text += (
            f"; mean sentence BLEU {found['bleu']:.1f} by the reference, {found['first_bleu']:.1f} "
            "by the search alone"
        )
    return text


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {status}" for status, number in sorted(counts.items()))


def _as_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
