"""One inspection as one HTML file: the page's own styles and modules inside, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

from penstock.insight.inspection import Inspection, as_json

PAGE = Path(__file__).with_name("page")
SKELETON, ENTRY = "inspection.html", "inspection.js"

_SHEET = re.compile(r'<link rel="stylesheet" href="[^"]*?([\w-]+\.css)"')
_IMPORT = re.compile(r"""^import\s+(?:\{[^}"']*\}\s+from\s+)?["']\./([\w.-]+)["'];?[ ]*\n""", re.M)
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|let|class)\b)", re.M)
_DECLARED = re.compile(r"^(?:(?:async )?function\*?|const|let|class) +([\w$]+)", re.M)
_PLACEHOLDER = re.compile(r"<!-- (styles|data|script) -->")
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def make_document(inspection: Inspection, page: Path | None = None) -> str:
    """The text of the file.

    A strict policy in it allows its one style and its one script, by their hashes.

    Args:
        inspection: what it shows.
        page: in place of our own, a folder with `inspection.html`, whose placeholders
            `<!-- styles -->` (in the head), `<!-- data -->` and `<!-- script -->` are filled;
            `index.html`, whose style sheets in `css/` are taken in its order; and `js/`, of which
            `inspection.js` is taken with what it imports.
    """
    page = page or PAGE
    sheets: list[str] = _SHEET.findall(_read(page / "index.html"))
    style = "\n".join(_read(page / "css" / name) for name in sheets)
    script = join_modules(page / "js", ENTRY)
    # neither can end its element, or open a comment that hides the end
    assert not re.search(r"</style", style, re.I)
    assert not re.search(r"</script|<!--", script, re.I)
    content = json.dumps(as_json(inspection), ensure_ascii=False, allow_nan=False)
    filled = {
        "styles": f"{_policy(style, script)}\n<style>{style}</style>",
        "data": '<script type="application/json" id="inspection">'
        f"{content.translate(_ESCAPES)}</script>",
        "script": f'<script type="module">{script}</script>',
    }
    skeleton = _read(page / SKELETON)
    found = _PLACEHOLDER.findall(skeleton)
    assert sorted(found) == sorted(filled), f"{SKELETON}: placeholders {found}"
    return _PLACEHOLDER.sub(lambda match: filled[match[1]], skeleton)


def join_modules(folder: Path, entry: str) -> str:
    """A module and all that it imports as one script, each behind what it imports.

    They import each other as `import { a, b } from "./x.js"`, without renaming, and no two have a
    top-level name in common.
    """
    ordered: dict[str, str] = {}
    _add_module(folder, entry, ordered, ())
    owners: dict[str, str] = {}
    for module, text in ordered.items():
        left = re.search(r"^(import|export)\b.*", text, re.M)
        assert left is None, f"{module}: {left and left[0]!r} cannot be joined"
        for name in _DECLARED.findall(text):
            assert name not in owners, f"{name} stands in {owners[name]} and in {module}"
            owners[name] = module
    return "\n".join(ordered.values())


def _add_module(folder: Path, name: str, ordered: dict[str, str], within: tuple[str, ...]) -> None:
    assert name not in within, f"{name} imports itself by way of {within}"
    if name in ordered:
        return
    text = _read(folder / name)
    for match in _IMPORT.finditer(text):
        assert not re.search(r"\bas\b", match[0]), f"{name}: {match[0]!r} renames"
        _add_module(folder, match[1], ordered, (*within, name))
    ordered[name] = _EXPORT.sub("", _IMPORT.sub("", text))


def _policy(style: str, script: str) -> str:
    directives = (
        "default-src 'none'",
        f"script-src {_source(script)}",
        f"style-src {_source(style)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(directives)}">'


def _source(content: str) -> str:
    """What a policy calls an inline element of this content."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
