"""An inspection as a self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
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
    """Make the text of the file, whose security policy allows its one style and one script by hash.

    Args:
        inspection: its content.
        page: default: our own page. A folder with `inspection.html`, whose placeholders
            `<!-- styles -->` (in the head), `<!-- data -->` and `<!-- script -->` are filled;
            `index.html`, whose style sheets in `css/` are joined in order; and `js/`, whose
            `inspection.js` is joined with its imports.
    """
    page = page or PAGE
    style = join_sheets(page)
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


def join_sheets(page: Path) -> str:
    """The style sheets that a page's `index.html` names, in order."""
    sheets: list[str] = _SHEET.findall(_read(page / "index.html"))
    return "\n".join(_read(page / "css" / name) for name in sheets)


def join_modules(folder: Path, entry: str, replaced: Mapping[str, str] | None = None) -> str:
    """Join a module and its imports into one script, in topological order.

    Modules use `import { a, b } from "./x.js"` without renaming, and share no top-level name.
    `replaced` names modules that take the place of others.
    """
    ordered: dict[str, str] = {}
    _add_module(folder, entry, ordered, (), replaced or {})
    owners: dict[str, str] = {}
    for module, text in ordered.items():
        left = re.search(r"^(import|export)\b.*", text, re.M)
        assert left is None, f"{module}: {left and left[0]!r} cannot be joined"
        for name in _DECLARED.findall(text):
            assert name not in owners, f"{name} stands in {owners[name]} and in {module}"
            owners[name] = module
    return "\n".join(ordered.values())


def _add_module(
    folder: Path,
    imported: str,
    ordered: dict[str, str],
    within: tuple[str, ...],
    replaced: Mapping[str, str],
) -> None:
    name = replaced.get(imported, imported)
    assert name not in within, f"{name} imports itself by way of {within}"
    if name in ordered:
        return
    text = _read(folder / name)
    for match in _IMPORT.finditer(text):
        assert not re.search(r"\bas\b", match[0]), f"{name}: {match[0]!r} renames"
        _add_module(folder, match[1], ordered, (*within, name), replaced)
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
    """The policy's source expression for an inline element with this content."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
