"""Attack penstock from outside, and count what broke: files, bundles, settings, kills, the service.

    python benchmarks/attack.py --minutes 30 --seed 1

A break is a traceback, a crash, a 5xx other than 503, a hang of more than 15 seconds, memory beyond
a bound, an input changed, or an output changed without a word. Exit status 1 if anything broke.
The attacks are in `benchmarks/attacks/`; `docs/security.md` says what they try.

As many processes as the machine has cores go through all attacks, each with choices of its own. An
attack ends when it has tried its number, which 30 minutes on two idle cores suffice for, or its
share of the time; what it leaves of it is the next ones'.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from attacks import bundles, files, runs, service, settings
from attacks.trial import Attack, Tally


@dataclass(frozen=True)
class Plan:
    """How much of an attack there is.

    Attributes:
        attack: the attack.
        trials: after which it ends, in all processes together.
        share: of the time, relative to the others.
        short: trials of the short form; the tests train and damage runs of their own.
    """

    attack: Attack
    trials: int
    share: float
    short: int


PLANS = {
    "bundles": Plan(bundles.attack, 2000, 2, short=30),
    "service": Plan(service.attack, 5000, 4, short=20),
    "settings": Plan(settings.attack, 3000, 8, short=12),
    "files": Plan(files.attack, 5000, 12, short=12),
    "runs": Plan(runs.attack, 500, 3, short=0),
}


def attack(name: str, *, seed: str, seconds: float | None, trials: int) -> Tally:
    """Run one attack for so many trials or seconds."""
    tally = Tally()
    end = None if seconds is None else time.monotonic() + seconds
    with (
        tempfile.TemporaryDirectory(prefix=f"attack-{name}-") as folder,
        closing(PLANS[name].attack(Path(folder), Random(seed))) as tried,
    ):
        for trial in islice(tried, trials):
            tally.add(trial)
            if trial.broke:
                place = f"{name}, seed {seed!r}, {tally.tried}"
                print(f"{place}: {trial.what}\n    {trial.broke}", flush=True)
            if end is not None and time.monotonic() > end:
                break
    return tally


def campaign(
    names: Sequence[str], *, seed: int, minutes: float | None, part: int, parts: int
) -> dict[str, Tally]:
    """One process's part of all attacks; without minutes their short form."""
    end = time.monotonic() + 60 * (minutes or 0)
    tallies: dict[str, Tally] = {}
    for number, name in enumerate(names):
        plan = PLANS[name]
        choices = f"{seed} {name}" + (f" {part}" if part else "")
        if minutes is None:
            tallies[name] = attack(name, seed=choices, seconds=None, trials=plan.short)
            continue
        share = plan.share / sum(PLANS[other].share for other in names[number:])
        seconds = share * (end - time.monotonic())
        trials = -(-plan.trials // parts)
        tallies[name] = attack(name, seed=choices, seconds=seconds, trials=trials)
    return tallies


def main() -> None:
    """Attack, and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5, help="for all attacks together")
    parser.add_argument("--seed", type=int, default=1, help="of every choice")
    parser.add_argument("--only", nargs="+", choices=PLANS, default=list(PLANS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--short", action="store_true", help="a few trials of each attack")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON too")
    arguments = parser.parse_args()
    names = [name for name in arguments.only if PLANS[name].short or not arguments.short]
    minutes, jobs = (None, 1) if arguments.short else (arguments.minutes, arguments.jobs)
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        parts = [
            pool.submit(
                campaign, names, seed=arguments.seed, minutes=minutes, part=part, parts=jobs
            )
            for part in range(jobs)
        ]
        found = [part.result() for part in parts]
    tallies = {name: Tally.sum(tallies[name] for tallies in found) for name in names}
    for name, tally in tallies.items():
        print(f"{name}: tried {tally.tried:,}, held {tally.held:,}, broke {len(tally.broke):,}")
    if arguments.json:
        print(
            json.dumps(
                {
                    name: {
                        "tried": tally.tried,
                        "held": tally.held,
                        "broke": [{"what": t.what, "broke": t.broke} for t in tally.broke],
                    }
                    for name, tally in tallies.items()
                }
            )
        )
    if any(tally.broke for tally in tallies.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
