"""Models to and from a hub on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import penstock as ps
from hub_server import TOKEN, Hub, client_of, serving_hub
from penstock.bundle import bundle_files, load_bundle, save_bundle
from penstock.errors import UsageError
from penstock.hub import HubAddress, parse_hub_address

# of the hub's client, about its own upload
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

Penstock = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving_hub() as server:
        yield server


@pytest.fixture
def cache(hub: Hub, tmp_path: Path) -> Iterator[Path]:
    """The client's cache; the client has a token that may write."""
    bundle_files._fetched.cache_clear()
    with client_of(hub.url, tmp_path / "cache", TOKEN):
        yield tmp_path / "cache"
    bundle_files._fetched.cache_clear()


def test_a_model_is_pushed_with_a_card_and_used_from_there(
    penstock: Penstock, hub: Hub, cache: Path, tmp_path: Path
) -> None:
    bundle = load_bundle("demo")
    data = bundle.config.data.model_copy(update={"train": "/data/somebody/secret/pairs.tsv"})
    config = bundle.config.model_copy(update={"data": data})
    save_bundle(replace(bundle, config=config), tmp_path / "run" / "model")
    code, out, err = penstock("push", tmp_path / "run", "me/en-fr", "--licence", "apache-2.0")
    assert (code, out) == (0, "hf://me/en-fr\n"), err
    files = hub.repositories["models/me/en-fr"].files()
    assert {name.partition("-")[0].partition(".")[0] for name in files if name[0] != "."} == {
        *("README", "bundle", "confidence", "familiarity", "onnx_encoder", "onnx_step"),
        *("source_tokenizer", "target_tokenizer"),
    }
    assert not any(b"somebody" in content for content in files.values())
    card = files["README.md"].decode()
    head, _, rest = card.removeprefix("---\n").partition("\n---\n")
    found = {
        line.partition(": ")[0]: json.loads(line.partition(": ")[2]) for line in head.split("\n")
    }
    assert found == {
        "library_name": "penstock",
        "pipeline_tag": "translation",
        "language": ["en", "fr"],
        "license": "apache-2.0",
        "tags": ["penstock", "lstm"],
    }
    for text in (
        "- en to fr",
        "- training data: `pairs.tsv`; SHA-256 3eaba54eec83f5fe0fbac4c4fad40568",
        "bleu 94.2922",
        "signature BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
        "    pip install 'penstock[hub]'\n",
        "    echo TEXT | penstock translate -m hf://me/en-fr\n",
        "Lines of more than 256 tokens are translated in segments",
    ):
        assert text in rest, text

    (tmp_path / "in.txt").write_text("She does not see them.\n")
    expected = penstock("translate", "-m", "demo", "-i", tmp_path / "in.txt")
    assert penstock("translate", "-m", "hf://me/en-fr", "-i", tmp_path / "in.txt") == expected
    assert json.loads(penstock("info", "hf://me/en-fr", "--json")[1])["languages"] == "en → fr"
    fetched = [each for each in hub.requests if each.startswith("GET /me/en-fr/resolve")]
    assert not any("README" in each for each in fetched)
    assert len(fetched) == 7  # each file of the bundle once

    # another model in its place: the old one's files go, other files stay
    repository = hub.repositories["models/me/en-fr"]
    first = repository.refs["main"]
    repository.commit({**repository.files(), "notes.txt": b"mine"})
    smaller = replace(bundle, confidence=None)
    save_bundle(smaller, tmp_path / "other")
    assert ps.push(tmp_path / "other", "me/en-fr", message="Smaller") == "hf://me/en-fr"
    names = set(repository.files())
    assert "notes.txt" in names
    assert not any(name.startswith("confidence") for name in names)
    assert names < {*files, "notes.txt"}
    bundle_files._fetched.cache_clear()
    assert ps.load("hf://me/en-fr").bundle.confidence is None
    assert ps.load(f"hf://me/en-fr@{first}").bundle.confidence is not None

    # from the cache, without a network
    bundle_files._fetched.cache_clear()
    with client_of("http://127.0.0.1:9", cache):
        assert ps.load("hf://me/en-fr").bundle.confidence is None
        assert ps.load(f"hf://me/en-fr@{first}").bundle.confidence is not None
        code, _, err = penstock("info", "hf://me/unknown")
        assert code == 1
        assert err == (
            "penstock: hf://me/unknown: not in the cache, and http://127.0.0.1:9 cannot be "
            "reached, or HF_HUB_OFFLINE is set; check the network\n"
        )


def test_what_the_hub_has_is_verified_as_any_bundle(
    penstock: Penstock, hub: Hub, cache: Path, tmp_path: Path
) -> None:
    demo = {path.name: path.read_bytes() for path in bundle_files.DEMO_MODEL.iterdir()}
    (graph,) = (name for name in demo if name.startswith("onnx_step"))
    hub.add("models/me/altered", {**demo, graph: demo[graph][:-1] + b"?"})
    hub.add("models/me/lacks", {k: v for k, v in demo.items() if k != graph})
    hub.add("models/me/other", {"config.json": b"{}", "huge.safetensors": b"0" * 1000})
    index = json.loads(demo["bundle.json"])
    index["files"]["onnx_step"]["name"] = "../../../escape.onnx"
    hub.add("models/me/escapes", {**demo, "bundle.json": json.dumps(index).encode()})
    hub.add("models/me/private", demo, private=True)
    for address, message in {
        "hf://me/altered": f"{graph}: altered or truncated: its SHA-256 is",
        "hf://me/lacks": f"{graph}: missing from the bundle",
        "hf://me/other": "hf://me/other: no bundle.json in it, so it is no model of penstock's",
        "hf://me/escapes": "bundle.json: altered since it was written",
        "hf://me/nothing": f"hf://me/nothing: no such repository at {hub.url}, or it is private",
        "hf://me/private@v9": "hf://me/private@v9: the repository has no revision 'v9'; check it",
        "hf://datasets/me/x": "hf://datasets/me/x: is for data; give hf://owner/name",
        "hf://me": "hf://me: give hf://owner/name or hf://owner/name@revision for a model",
    }.items():
        code, out, err = penstock("translate", "-m", address)
        assert (code, out) == (2 if address == "hf://me" else 1, "")
        assert message in err
        assert err.count("\n") == 1, err
    assert not any("huge" in each for each in hub.requests)
    with client_of(hub.url, tmp_path / "without token"):
        code, _, err = penstock("info", "hf://me/private")
    assert code == 1
    assert "or give an access token: 'hf auth login', or HF_TOKEN in the environment" in err


def test_a_push_that_fails_changes_nothing_and_shows_no_token(
    penstock: Penstock, hub: Hub, cache: Path, tmp_path: Path
) -> None:
    before = hub.add("models/me/model", {"README.md": b"mine"})
    cases = {
        None: "wants an access token that may write there; give one: 'hf auth login'",
        "hf_anotherwhomaynot": "wants an access token that may write there",
        "hf_ünprintable": "the access token has characters that none has",
    }
    for token, message in cases.items():
        with client_of(hub.url, tmp_path / "cache", token):
            code, out, err = penstock("push", "demo", "me/model")
        assert (code, out) == (1, "")
        assert message in err
        assert err.count("\n") == 1, err
        assert token is None or token not in err
    hub.lfs_status = 507  # its disk is full
    code, _, err = penstock("push", "demo", "me/model")
    assert (code, f"hf://me/model: {hub.url} answered 507; try again later" in err) == (1, True)
    with client_of("http://127.0.0.1:9", tmp_path / "cache", TOKEN):
        code, _, err = penstock("push", "demo", "me/model")
    assert (code, "http://127.0.0.1:9 cannot be reached" in err) == (1, True)
    for arguments, message in {
        ("me",): "give hf://owner/name",
        ("datasets/me/model",): "is for data; give owner/name",
        ("me/model@nobranch",): "the repository has no revision 'nobranch'",
        ("me/model", "--licence", "My Own"): "licence 'My Own': give the hub's name of one",
    }.items():
        code, _, err = penstock("push", "demo", *arguments)
        assert code in (1, 2)
        assert message in err
    assert penstock("push", tmp_path, "me/model")[0] == 1
    assert hub.repositories["models/me/model"].refs == {"main": before}


def test_addresses() -> None:
    assert parse_hub_address(Path("hf://a/b@v1")) == HubAddress("a/b", "v1")
    assert parse_hub_address("hf://a/b@refs/pr/1") == HubAddress("a/b", "refs/pr/1")
    data = parse_hub_address("hf://datasets/a/b@main/train/*.parquet")
    assert data == HubAddress("a/b", "main", "dataset", "train/*.parquet")
    assert str(data) == "hf://datasets/a/b@main/train/*.parquet"
    for text in ("hf://a", "hf://a/b/c", "hf://../b", "hf://a/b@", "hf://a b/c", "hf://datasets/a"):
        with pytest.raises(UsageError, match="give hf://owner/name"):
            parse_hub_address(text)


def test_a_link_in_a_bundle_leads_nowhere_else(tmp_path: Path) -> None:
    """Only the cache's own links are followed."""
    bundle = load_bundle("demo")
    folder = tmp_path / "snapshots" / "a"
    save_bundle(bundle, folder)
    (graph,) = folder.glob("onnx_step*")
    for place in (tmp_path / "blobs", tmp_path / "elsewhere"):
        place.mkdir()
        copy = place / hashlib.sha256(graph.read_bytes()).hexdigest()
        copy.write_bytes(graph.read_bytes())
        graph.unlink()
        graph.symlink_to(copy)
        if place.name == "blobs":
            load_bundle(folder)
        else:
            with pytest.raises(ps.BundleError, match="leads outside the bundle"):
                load_bundle(folder)
