"""`penstock evaluate --search-report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from penstock.cli.console import write_json, write_line
from penstock.errors import DataError

if TYPE_CHECKING:
    from penstock.data.pair import Pair
    from penstock.tasks.translation.search_options import SearchOptions
    from penstock.tasks.translation.translator import Translator


def report_searches(
    translator: Translator, pairs: Sequence[Pair], options: SearchOptions, *, as_json: bool
) -> None:
    """Compare searches on pairs and print a table.

    The budgets of exact search are `BUDGETS`, or those up to `options.budget` if it is set.
    """
    from penstock.bench.search_comparison import BUDGETS, compare_searches
    from penstock.tasks.translation.search_options import SearchOptions

    if not pairs:
        raise DataError("no pairs to compare searches on; give at least one")
    default = SearchOptions().budget
    budgets = BUDGETS
    if options.budget != default:
        budgets = (*(n for n in BUDGETS if n < options.budget), options.budget)
    config = translator.bundle.config.search
    report = compare_searches(translator, pairs, options.changed(search="beam"), budgets=budgets)
    ranking = options.ranking(config)
    if as_json:
        write_json({**asdict(report), "ranking": asdict(ranking)})
        return
    write_line("search\tsearch errors %\tempty %\tlog-probability\tlength ratio\tBLEU\tseconds")
    for row in report.searches:
        errors = "" if row.errors is None else f"{100 * row.errors:.1f}"
        write_line(
            f"{row.search}\t{errors}\t{100 * row.empty:.1f}\t{row.log_probability:.3f}\t"
            f"{row.length_ratio:.3f}\t{row.bleu:.2f}\t{row.seconds:.1f}"
        )
    for budget, share in report.certified.items():
        write_line(f"certified within {budget:,}\t{100 * share:.1f} %")
    write_line(f"uncertified\t{report.uncertified} of {report.sentences}")
    if report.empty_certified is not None:
        write_line(f"best output empty, of the certified\t{100 * report.empty_certified:.1f} %")
    if report.gap is not None:
        write_line(f"uncertified: mean bound above the score\t{report.gap:.3f}")
    write_line(f"ranking\t{ranking.normalization} lp:{ranking.alpha:g}")
