"""Known vulnerabilities of the versions in requirements.lock, as the package index publishes them.

Exit status: 0 none, 1 some, 3 nobody could say: no network, or a mirror without advisories.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--requirement", "requirements.lock"),
    *("--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"),
]


def verdict(output: str, errors: str) -> tuple[int, list[str]]:
    """The exit status, and what to print, of what pip-audit said."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        reason = errors.strip().rpartition("\n")[2] or "pip-audit said nothing"
        return 3, [f"vulnerabilities: not checked: {reason[:200]}"]
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        return 3, ["vulnerabilities: not checked: the package index has no advisories"]
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}, fixed in "
        f"{', '.join(flaw['fix_versions']) or 'no version yet'}"
        for package in audited
        for flaw in package["vulns"]
    ]
    skipped = len(packages) - len(audited)
    unknown = f", {skipped} unknown to the index" if skipped else ""
    return bool(found), [
        *found,
        f"vulnerabilities: {len(found)} known in {len(audited)} packages{unknown}",
    ]


def main() -> int:
    """Run pip-audit and print one line, or one more for each flaw."""
    try:
        ran = subprocess.run(COMMAND, capture_output=True, text=True, check=False, timeout=240)
    except subprocess.TimeoutExpired:
        status, lines = verdict("", "the package index did not answer within four minutes")
    else:
        status, lines = verdict(ran.stdout, ran.stderr)
    print("\n".join(lines), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
