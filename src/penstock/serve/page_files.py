"""The web page's files, held in memory so that no other file on disk can be requested."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from penstock.serve.api.error_responses import RequestError

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file and its headers, which make a browser revalidate it every time."""

    content: bytes
    headers: dict[str, str]


def load_page(folder: Traversable | None = None) -> dict[str, PageFile]:
    """Read the page's files, by relative path; empty if there is no page."""
    folder = files("penstock.insight") / "page" if folder is None else folder
    found: dict[str, PageFile] = {}
    _collect(folder, "", found)
    return found


def _collect(folder: Traversable, place: str, found: dict[str, PageFile]) -> None:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        path = f"{place}{entry.name}"
        if entry.is_dir():
            _collect(entry, f"{path}/", found)
        elif (kind := _TYPES.get(entry.name.rpartition(".")[2])) is not None:
            content = entry.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:20]
            found[path] = PageFile(
                content,
                {"ETag": f'"{digest}"', "Cache-Control": "no-cache", "Content-Type": kind},
            )


def add_page(app: Starlette, page: dict[str, PageFile]) -> None:
    """Add `/`, `/docs` and `/page/…` to an application."""

    def answer(request: Request, path: str) -> Response:
        file = page.get(path)
        if file is None:
            raise RequestError(404, "there is no such file")
        known = [tag.strip().removeprefix("W/") for tag in _known(request)]
        if file.headers["ETag"] in known or "*" in known:
            return Response(status_code=304, headers=file.headers)
        return Response(file.content, headers=file.headers)

    async def index(request: Request) -> Response:
        return answer(request, "index.html")

    async def docs(request: Request) -> Response:
        return answer(request, "docs.html")

    async def file(request: Request) -> Response:
        return answer(request, request.path_params["path"])

    for path, handle in (("/", index), ("/docs", docs), ("/page/{path:path}", file)):
        app.add_route(path, handle, methods=["GET", "HEAD"], include_in_schema=False)


def _known(request: Request) -> list[str]:
    return request.headers.get("if-none-match", "").split(",")
