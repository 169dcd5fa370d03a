"""As much of the Hugging Face hub as its client needs to make a repository, commit and fetch."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_thetokenthatmaywrite"


@dataclass
class Repository:
    """Files by commit, and commits by branch."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        content = json.dumps({k: hashlib.sha1(v).hexdigest() for k, v in files.items()})
        sha = hashlib.sha1(f"{len(self.commits)}{content}".encode()).hexdigest()
        self.commits[sha] = files
        self.refs[branch] = sha
        return sha

    def files(self, branch: str = "main") -> dict[str, bytes]:
        return self.commits[self.refs[branch]]


@dataclass
class Hub:
    """A running server.

    Attributes:
        repositories: by kind and name, `models/owner/name`.
        requests: method and path of each, for tests of what is fetched.
        lfs_status: what an upload is answered.
    """

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    lfs_status: int = 200

    def add(self, name: str, files: dict[str, bytes], *, private: bool = False) -> str:
        repository = self.repositories.setdefault(name, Repository(private=private))
        return repository.commit(files)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        pass

    def do_HEAD(self) -> None:
        self._answer()

    do_GET = do_POST = do_PUT = do_HEAD

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if path == "/api/agent-harnesses":  # the client asks for it once
            self._send(404, {})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            content = json.loads(body)["content"]
            ok = content.startswith("---\n") and "\n---\n" in content[4:]
            self._send(200 if ok else 400, {"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/lfs/([0-9a-f]{64})", path):
            if self.hub.lfs_status == 200:
                assert hashlib.sha256(body).hexdigest() == match[1]
                self.hub.objects[match[1]] = body
            self._send(self.hub.lfs_status, {})
        elif match := re.fullmatch(r"/(.+)\.git/info/lfs/objects/batch", path):
            wanted = json.loads(body)["objects"]
            link = {"upload": {"href": f"{self.hub.url}/lfs/"}}
            objects = [
                {**each, "actions": {"upload": {"href": link["upload"]["href"] + each["oid"]}}}
                for each in wanted
            ]
            self._send(200, {"transfer": "basic", "objects": objects})
        else:
            self._of_repository(path, body)

    def _create(self, wanted: dict[str, Any]) -> None:
        if not self._may_write():
            return self._send(401, {"error": "Invalid username or password."})
        name = f"{wanted['organization']}/{wanted['name']}"
        exists = f"models/{name}" in self.hub.repositories
        private = wanted.get("private") or wanted.get("visibility") == "private"
        repository = self.hub.repositories.setdefault(f"models/{name}", Repository(bool(private)))
        if not exists:
            repository.commit({".gitattributes": b""})
        return self._send(409 if exists else 200, {"url": f"{self.hub.url}/{name}", "id": name})

    def _of_repository(self, path: str, body: bytes) -> None:
        match = re.fullmatch(
            r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)"
            r"(?:/(?P<verb>revision|tree|preupload|commit)/(?P<rev>.+))?",
            path,
        ) or re.fullmatch(
            r"/(?P<kind>datasets(?=/))?/?(?P<name>[^/]+/[^/]+)/(?P<verb>resolve)/(?P<rev>.+)", path
        )
        assert match, path
        kind, name, verb, revision = match.group("kind", "name", "verb", "rev")
        repository = self.hub.repositories.get(f"{kind or 'models'}/{name}")
        if repository is None or (repository.private and not self._may_write()):
            return self._send(404 if self._may_write() else 401, {}, code="RepoNotFound")
        revision, _, file = (revision or "main").partition("/")
        sha = repository.refs.get(revision, revision)
        files = repository.commits.get(sha)
        if files is None:
            return self._send(404, {}, code="RevisionNotFound")
        if verb in (None, "revision"):
            siblings = [{"rfilename": each} for each in files]
            return self._send(200, {"id": name, "sha": sha, "siblings": siblings})
        if verb == "tree":
            return self._send(200, [_entry(*each) for each in files.items()])
        if verb == "resolve":
            return self._resolve(sha, files.get(file))
        if not self._may_write():
            return self._send(401, {})
        if verb == "preupload":
            modes = [
                {"path": each["path"], "uploadMode": _mode(each["path"]), "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            return self._send(200, {"files": modes})
        link = f"{self.hub.url}/{name}/commit"
        return self._commit(repository, revision, dict(files), body, link)

    def _commit(
        self, repository: Repository, branch: str, files: dict[str, bytes], body: bytes, link: str
    ) -> None:
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
        sha = repository.commit(files, branch)
        self._send(200, {"commitUrl": f"{link}/{sha}", "commitOid": sha})

    def _resolve(self, sha: str, content: bytes | None) -> None:
        if content is None:
            return self._send(404, {}, code="EntryNotFound")
        self.send_response(200)
        self.send_header("X-Repo-Commit", sha)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
        return None

    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _send(self, status: int, value: object, *, code: str = "") -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _mode(path: str) -> str:
    return "lfs" if path.endswith((".safetensors", ".onnx")) else "regular"


def _entry(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content)}
    entry["oid"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if _mode(path) == "lfs":
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
    return entry


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """A hub on 127.0.0.1."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield handler.hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def client_of(url: str, cache: Any, token: str | None = None) -> Iterator[None]:
    """Let this process's hub client speak to a server, with a cache of its own.

    The client reads the environment when it is imported, so its constants are replaced.
    """
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_TOKEN_PATH", f"{cache}/no-token")
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        patch.setenv("NO_PROXY", "*")
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            patch.delenv(name, raising=False)
        if token is not None:
            patch.setenv("HF_TOKEN", token)
        yield
