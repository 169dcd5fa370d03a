"""The argument of `train` and `sweep` as a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.config import RunConfig


def configuration(data: Any, values: Mapping[str, Any]) -> tuple[RunConfig, str]:
    """Convert the argument of `train` to a configuration and a name for the run.

    `values` are further ones by dotted key.
    """
    from penstock.config import RunConfig, load_config, parse_config
    from penstock.training.start_defaults import start_defaults

    if isinstance(data, str | Path) and str(data).endswith(".toml"):
        return load_config(str(data), values=values, defaults=start_defaults), Path(data).stem
    if isinstance(data, RunConfig):
        raw = data.model_dump(exclude_unset=True)
        config = parse_config(raw, values=values, defaults=start_defaults, place="RunConfig")
    elif isinstance(data, Mapping):
        raw = cast(Mapping[str, Any], data)
        config = parse_config(raw, values=values, defaults=start_defaults, place="RunConfig")
    else:
        sources = sources_of(data)
        if sources is None:
            raise UsageError(
                "train takes a RunConfig, a mapping, a configuration file, files of pairs or two "
                f"line-parallel files, found {data!r}"
            )
        raw = {"data": {"train": sources}}
        config = parse_config(raw, values=values, defaults=start_defaults, place="RunConfig")
    files = config.data.train
    return config, run_name(files if isinstance(files, str) else "".join(files[:1]))


def start_values(start: Any, replay: Any, *, extend: bool) -> dict[str, Any]:
    """The keys of `[start]` that were chosen; `replay` is data, or data and a share."""
    match replay:
        case (files, float(share)):
            values = {"replay": sources_of(files), "replay_share": share}
        case _:
            values = {"replay": sources_of(replay)}
    if replay is not None and values["replay"] is None:
        raise UsageError(f"replay: expected files, or files and a share, found {replay!r}")
    values |= {"model": start and str(start), "extend_vocabulary": extend or None}
    return {f"start.{key}": value for key, value in values.items() if value is not None}


def run_name(data: str) -> str:
    """The name of a run by its first file of data; `-` is standard input, a glob has its folder."""
    if data == "-":
        return "stdin"
    path = Path(data)
    if not path.exists():  # or else the name is what it says
        whole = Path(data.partition("#")[0])  # before the split of a data set on the hub
        path = next((p for p in (whole, *whole.parents) if not has_magic(p.name)), Path())
    return path.name.split(".")[0] or "run"


def sources_of(data: Any) -> str | list[str] | None:
    """Convert one or several paths to strings; anything else to None."""
    if isinstance(data, str | Path):
        return str(data)
    paths = list(cast(Sequence[object], data)) if isinstance(data, list | tuple) else []
    named = [str(path) for path in paths if isinstance(path, str | Path)]
    return named if named and len(named) == len(paths) else None
