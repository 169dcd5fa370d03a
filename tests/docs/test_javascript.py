"""The example in JavaScript translates as we do."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from penstock.bundle import load_bundle, save_bundle
from penstock.data.grammar import builtin_split
from penstock.special_tokens import EOS_ID
from penstock.tasks.model_export import export_bundle
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

EXAMPLES = Path(__file__).parents[2] / "examples"
LINES = [pair.source for pair in builtin_split(train=300).test[:8]]

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (EXAMPLES / "node_modules" / "onnxruntime-web").is_dir(),
    reason="needs Node.js and onnxruntime-web: npm install --prefix examples",
)


@needs_node
def test_greedy_search_in_javascript_gives_our_outputs(tiny_run: Path, tmp_path: Path) -> None:
    exported = export_bundle(load_bundle(tiny_run))
    save_bundle(exported, tmp_path)
    sources = [[*ids, EOS_ID] for ids in exported.source_tokenizer.encode_batch(LINES)]
    ran = subprocess.run(
        ["node", str(EXAMPLES / "greedy.mjs"), str(tmp_path)],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = [exported.target_tokenizer.decode(ids) for ids in json.loads(ran.stdout)]
    expected = Translator(exported).translate(LINES, SearchOptions(search="greedy"))
    assert found == [result.text for result in expected]
