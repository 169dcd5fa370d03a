"""The Hugging Face hub: addresses, files of a repository in the local cache, one-line errors.

No code of a repository is run. What was fetched once is found in the cache without a network.
"""

from __future__ import annotations

import glob
import logging
import re
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from penstock.errors import HubError, MissingExtraError, UsageError

_LINE_END = "\n"
_SCHEME = re.compile(r"hf:[/\\]{1,2}")  # `Path` makes one slash of two
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,95}[A-Za-z0-9])?"
_REVISION = r"refs/(?:convert|pr)/[^/@]+|[^/@]+"
_ADDRESS = re.compile(
    rf"(datasets/)?((?!(?:datasets|spaces)/){_NAME}/{_NAME})(?:@({_REVISION}))?(?:/(.+))?"
)


@dataclass(frozen=True)
class HubAddress:
    """`hf://owner/name[@revision]`, or `hf://datasets/owner/name[@revision][/path]`.

    Attributes:
        repository: owner and name.
        revision: branch, tag or commit; None: the main branch.
        kind: of the repository.
        path: within it; empty for all of it.
    """

    repository: str
    revision: str | None = None
    kind: Literal["model", "dataset"] = "model"
    path: str = ""

    def __str__(self) -> str:
        kind = "datasets/" if self.kind == "dataset" else ""
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"hf://{kind}{self.repository}{revision}{self.path and '/' + self.path}"


def is_hub_address(text: str | Path) -> bool:
    """Whether a text, or the path that was made of it, begins with `hf://`."""
    return _SCHEME.match(str(text)) is not None


def parse_hub_address(text: str | Path) -> HubAddress:
    """Parse an address that begins with `hf://`.

    Raises:
        UsageError: it is malformed.
    """
    rest = _SCHEME.sub("", str(text), count=1).replace("\\", "/")
    match = _ADDRESS.fullmatch(rest)
    if match is None or (match[4] and not match[1]):
        raise UsageError(
            f"hf://{rest}: give hf://owner/name or hf://owner/name@revision for a model, "
            "hf://datasets/owner/name for data"
        )
    kind = "dataset" if match[1] else "model"
    return HubAddress(match[2], match[3], kind, match[4] or "")


def hub_client() -> Any:
    """The module `huggingface_hub`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import huggingface_hub
        from huggingface_hub.utils import disable_progress_bars
    except ModuleNotFoundError:
        raise MissingExtraError("hf://", "hub", "huggingface_hub") from None
    if not sys.stderr.isatty():
        disable_progress_bars()
    return huggingface_hub


def fetch_files(address: HubAddress, patterns: Sequence[str]) -> Path:
    """Fetch the files of a repository that match; those in the cache are not fetched again.

    Without a network the cache is used alone.

    Args:
        address: of the repository; its path is not looked at.
        patterns: of paths within it, as `*.parquet`.

    Returns:
        The folder of the revision, in the hub's cache; files are links to their contents.

    Raises:
        HubError: the repository or the revision is not there or not open to this user, or the
            hub cannot be reached and the cache lacks a file.
        MissingExtraError: huggingface_hub is not installed.
    """
    hub = hub_client()
    with hub_errors(address):
        found = hub.snapshot_download(
            address.repository,
            repo_type=address.kind,
            revision=address.revision,
            allow_patterns=list(patterns),
        )
    return Path(found)


def exact(name: str) -> str:
    """The pattern of one file."""
    return glob.escape(name)


def in_hub_cache(file: Path) -> bool:
    """Whether a file of a fetched folder is a link into the cache's own store."""
    folder = file.parent
    if folder.parent.name != "snapshots":
        return False
    return file.resolve().parent == (folder.parents[1] / "blobs").resolve()


@contextmanager
def hub_errors(address: HubAddress, *, writes: bool = False) -> Generator[None]:
    """Turn the client's errors into one line each, without tokens and addresses of requests.

    Raises:
        HubError: of any error of the client.
    """
    from huggingface_hub import constants, errors

    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)  # its warnings say again what an error says
    endpoint = constants.ENDPOINT
    log_in = "'hf auth login', or HF_TOKEN in the environment"
    transport: Any = errors.HfHubHTTPError.__mro__[1]  # of the HTTP library that the client uses
    try:
        yield
    except errors.RevisionNotFoundError:
        what = f"the repository has no revision {address.revision or 'main'!r}; check it"
    except errors.LocalTokenNotFoundError:
        what = f"{endpoint} wants an access token; give one: {log_in}"
    except errors.HfHubHTTPError as error:
        what = _http_problem(error.response.status_code, endpoint, log_in, writes=writes)
    except errors.LocalEntryNotFoundError:
        what = (
            f"not in the cache, and {endpoint} cannot be reached, or HF_HUB_OFFLINE is set; check "
            "the network"
        )
    except errors.HFValidationError as error:
        what = f"{str(error).partition(_LINE_END)[0]}; check the name"
    except (transport, ConnectionError, TimeoutError):
        what = f"{endpoint} cannot be reached, or HF_HUB_OFFLINE is set; check the network"
    except UnicodeEncodeError:
        what = f"the access token has characters that none has; give it again: {log_in}"
    except (ValueError, RuntimeError, errors.XetDownloadError) as error:
        cause = error.__cause__
        if isinstance(cause, errors.HfHubHTTPError):
            what = _http_problem(cause.response.status_code, endpoint, log_in, writes=writes)
        else:
            what = f"{endpoint}: {str(error).partition(_LINE_END)[0] or type(error).__name__}"
    except OSError as error:
        what = f"{error.strerror or type(error).__name__}; check the disk and {constants.HF_HOME}"
    else:
        return
    finally:
        logger.setLevel(before)
    raise HubError(f"{address}: {what}")


def _http_problem(status: int, endpoint: str, log_in: str, *, writes: bool) -> str:
    if status in (401, 403) and writes:
        return f"{endpoint} wants an access token that may write there; give one: {log_in}"
    if status in (401, 403, 404):
        return (
            f"no such repository at {endpoint}, or it is private; check the name, or give an "
            f"access token: {log_in}"
        )
    return f"{endpoint} answered {status}; try again later"
