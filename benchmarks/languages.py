"""One model for two target languages against two models of one: Multi30k, en to de and fr.

    python benchmarks/languages.py --minutes 10 --out runs/languages

Three trainings of the same time, on 29,000 pairs per language: `both` on the pairs of both, `de`
and `fr` on those of one. The settings are the automatic ones; `test_2016_flickr` is scored.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import penstock as ps

MULTI30K = Path(__file__).parents[2] / "shared/data/multi30k"
LANGUAGES = ("de", "fr")


def rows(split: str, languages: tuple[str, ...]) -> Iterator[str]:
    """Lines of English, its translation and the language, the languages in turn."""
    files = [MULTI30K / f"{split}.{language}.gz" for language in ("en", *languages)]
    texts = [gzip.decompress(f.read_bytes()).decode().removesuffix("\n").split("\n") for f in files]
    for english, *others in zip(*texts, strict=True):
        for language, text in zip(languages, others, strict=True):
            yield f"{english}\t{text}\t{language}\n"


def main() -> None:
    """Train three models and print a line of scores for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each training")
    parser.add_argument("--out", type=Path, default=Path("runs/languages"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, languages in {"both": LANGUAGES, **{code: (code,) for code in LANGUAGES}}.items():
        files: dict[str, Path] = {}
        for split in ("train", "val", "test_2016_flickr"):
            files[split] = options.out / f"{name}.{split}.tsv"
            files[split].write_text("".join(rows(split, languages)), encoding="utf-8")
        several = {"language_column": 3} if len(languages) > 1 else {"columns": [1, 2]}
        config = {
            "data": {"train": str(files["train"]), "valid": str(files["val"]), **several},
            "training": {"max_minutes": options.minutes, "export": "none"},
        }
        run = options.out / name
        ps.train(config, run, resume=run.exists(), verbose=True)
        found = ps.evaluate(run, files["test_2016_flickr"], metrics=["bleu", "chrf"])
        print(json.dumps({"model": name, "scores": found.scores, **found.report}))


if __name__ == "__main__":
    main()
