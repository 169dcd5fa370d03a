"""Attack penstock from outside, and count what broke: files, bundles, settings, kills, the service.

    python benchmarks/attack.py --minutes 30 --seed 1

A break is a traceback, a crash, a 5xx other than 503, a hang of more than 15 seconds, memory beyond
a bound, an input changed, or an output changed without a word. Exit status 1 if anything broke.
The attacks are in `benchmarks/attacks/`; `docs/security.md` says what they try.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random

from attacks import bundles, files, runs, service, settings
from attacks.trial import Attack, Tally

ATTACKS: dict[str, Attack] = {
    "files": files.attack,
    "bundles": bundles.attack,
    "settings": settings.attack,
    "runs": runs.attack,
    "service": service.attack,
}
# trials; the tests train and damage runs of their own
SHORT = {"files": 12, "bundles": 30, "settings": 12, "runs": 0, "service": 20}


def attack(name: str, *, seed: int, seconds: float | None) -> Tally:
    """Run one attack for some seconds; None: its short form."""
    tally = Tally()
    end = None if seconds is None else time.monotonic() + seconds
    with (
        tempfile.TemporaryDirectory(prefix=f"attack-{name}-") as folder,
        closing(ATTACKS[name](Path(folder), Random(f"{seed} {name}"))) as trials,
    ):
        for trial in trials if end is not None else islice(trials, SHORT[name]):
            tally.add(trial)
            if trial.broke:
                print(f"{name} {tally.tried}: {trial.what}\n    {trial.broke}", flush=True)
            if end is not None and time.monotonic() > end:
                break
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5, help="for all attacks together")
    parser.add_argument("--seed", type=int, default=1, help="of every choice")
    parser.add_argument("--only", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--short", action="store_true", help="a few trials of each attack")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON too")
    arguments = parser.parse_args()
    seconds = None if arguments.short else 60 * arguments.minutes / len(arguments.only)
    tallies: dict[str, Tally] = {}
    chosen = [name for name in arguments.only if SHORT[name] or not arguments.short]
    for name in chosen:
        tallies[name] = attack(name, seed=arguments.seed, seconds=seconds)
        found = tallies[name]
        print(f"{name}: tried {found.tried:,}, held {found.held:,}, broke {len(found.broke):,}")
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
