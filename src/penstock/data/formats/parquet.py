# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow brings no types: what leaves this module is declared)
"""Parquet: the rows of a file as pairs, or those of its text column as lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from penstock.data.formats.column_choice import Column, ColumnChoice, join_cells
from penstock.data.formats.input_lines import BadLineError, Line
from penstock.data.formats.records import Record, Report, make_pair
from penstock.errors import DataError, UsageError, nearest, train_extra

_BATCH_ROWS = 8192
_TEXT = "text"


def read_parquet(path: str | Path, chosen: ColumnChoice, report: Report) -> Iterator[Record]:
    """Columns of each row; a column inside another has a dot: `translation.de`.

    Without a choice they are `source` and `target` or `targets` (lists of texts), or the only two
    columns of text. Whole numbers are read as text, and as their names if they number labels.

    Raises:
        DataError: no Parquet file, or it lacks the columns.
        UsageError: a header.
    """
    if chosen.header == "yes":
        raise UsageError(f"{path}: Parquet names its columns and has no header; leave --header out")
    with _opened(path) as file:
        known = _columns(file.schema_arrow)
        names = _chosen(chosen, known, path)
        readers = [
            _cell_reader(known, name, path, role)
            for name, role in zip(names, ["source"] * (len(names) - 1) + ["target"], strict=True)
        ]
        ignored = len(known) - len(names)
        if ignored:
            what = "1 further column is" if ignored == 1 else f"{ignored} further columns are"
            report(f"{path}: {what} ignored; read: {', '.join(names)}")
        for row, cells in enumerate(_rows(file, names, path), 1):
            yield _pair(cells, names, readers, path, row)


def parquet_lines(path: str | Path) -> Iterator[Line]:
    """The lines of the column `text`, or of the only one of texts; a row may have several.

    Raises:
        DataError: no Parquet file, or it lacks such a column.
    """
    with _opened(path) as file:
        known = _columns(file.schema_arrow)
        texts = [name for name, field in known.items() if _kind(field.type) == "text"]
        if _TEXT in texts:
            texts = [_TEXT]
        if len(texts) != 1:
            raise DataError(f"no column 'text'; it has {_described(known)}", path=path)
        for row, (cell,) in enumerate(_rows(file, texts, path), 1):
            if cell is None:
                raise DataError("the text is null; remove the row", path=path, line=row)
            for line in cell.replace("\r\n", "\n").removesuffix("\n").split("\n"):
                yield Line(row, line)


def _opened(path: str | Path) -> Any:
    with train_extra(f"{path}: Parquet"):
        import pyarrow
        import pyarrow.parquet as parquet
    try:
        return parquet.ParquetFile(str(path))
    except FileNotFoundError:
        raise DataError("no such file; check the path", path=path) from None
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _damaged(path: str | Path, error: Exception) -> DataError:
    reason = str(error).split("\n")[0].rstrip(".")
    return DataError(f"no whole Parquet file ({reason}); fetch or make it again", path=path)


def _columns(schema: Any, prefix: str = "") -> dict[str, Any]:
    """The fields by name, those inside another under `outer.inner`."""
    import pyarrow

    found: dict[str, Any] = {}
    for field in schema:
        name = f"{prefix}{field.name}"
        if pyarrow.types.is_struct(field.type):
            found |= _columns(field.type, f"{name}.")
        else:
            found[name] = field
    if not prefix and schema.metadata:
        found |= _labels(schema.metadata, found)
    return found


def _labels(metadata: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields with the names of their labels, as the library `datasets` writes them."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        named = {name: feature["names"] for name, feature in features.items() if "names" in feature}
    except (KeyError, TypeError, ValueError):
        return {}
    return {
        name: fields[name].with_metadata({"labels": json.dumps(labels)})
        for name, labels in named.items()
        if name in fields
    }


def _kind(of: Any) -> Literal["text", "texts", "number", ""]:
    from pyarrow import types

    if types.is_string(of) or types.is_large_string(of):
        return "text"
    if types.is_dictionary(of):
        return _kind(of.value_type)
    if types.is_list(of) or types.is_large_list(of):
        return "texts" if _kind(of.value_type) == "text" else ""
    return "number" if types.is_integer(of) or types.is_boolean(of) else ""


def _described(known: dict[str, Any]) -> str:
    return ", ".join(f"{name!r} ({field.type})" for name, field in known.items()) or "no column"


def _chosen(chosen: ColumnChoice, known: dict[str, Any], path: str | Path) -> list[str]:
    """The names of the columns to read, the target last."""
    if chosen.columns is not None:
        return [_named(column, list(known), path) for column in chosen.flat]
    targets = [name for name in ("target", "targets") if name in known]
    if "source" in known and len(targets) == 1:
        return ["source", *targets]
    texts = [name for name, field in known.items() if _kind(field.type) == "text"]
    if len(texts) != 2:
        raise DataError(
            f"no columns 'source' and 'target'; choose two by --columns; it has "
            f"{_described(known)}",
            path=path,
        )
    return texts


def _named(column: Column, known: list[str], path: str | Path) -> str:
    if isinstance(column, int):
        if column > len(known):
            what = f"column {column} of {len(known)}; choose from {', '.join(known)}"
            raise DataError(what, path=path)
        return known[column - 1]
    if column not in known:
        raise DataError(f"no column {column!r}; {nearest(column, known)}", path=path)
    return column


def _cell_reader(
    known: dict[str, Any], name: str, path: str | Path, role: str
) -> Callable[[Any], Any]:
    """What makes text of a column's cells."""
    field = known[name]
    kind = _kind(field.type)
    if not kind or (kind == "texts" and role == "source"):
        what = f"column {name!r} has {field.type}, and the {role} is text; choose another"
        raise DataError(f"{what}: it has {_described(known)}", path=path)
    if kind != "number":
        return lambda cell: cell
    labels = json.loads((field.metadata or {}).get(b"labels", b"[]"))

    def as_text(cell: int) -> str:
        return labels[cell] if 0 <= cell < len(labels) else str(cell)

    return as_text


def _rows(file: Any, names: Sequence[str], path: str | Path) -> Iterator[tuple[Any, ...]]:
    import pyarrow

    batches = file.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(names)), use_threads=False)
    try:
        for batch in batches:
            columns: list[Any] = []
            for name in names:
                outer, *inner = _path(name, batch.schema.names)
                column = batch.column(outer)
                for part in inner:
                    column = column.flatten()[column.type.get_field_index(part)]
                columns.append(column)
            yield from zip(*(column.to_pylist() for column in columns), strict=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _path(name: str, outer: Sequence[str]) -> list[str]:
    """`translation.de` as a path, but for a column whose own name has a dot."""
    return [name] if name in outer else name.split(".")


def _pair(
    cells: Sequence[Any],
    names: Sequence[str],
    readers: Sequence[Callable[[Any], Any]],
    path: str | Path,
    row: int,
) -> Record:
    for name, cell in zip(names, cells, strict=True):
        if cell is None or (isinstance(cell, list) and (not cell or None in cell)):
            what = f"column {name!r} is empty (null); remove the row"
            return BadLineError(what, path=path, line=row)
    *sources, target = [read(cell) for read, cell in zip(readers, cells, strict=True)]
    try:
        source = join_cells(sources)
    except ValueError as error:
        return BadLineError(str(error), path=path, line=row)
    return make_pair(source, tuple(target) if isinstance(target, list) else (target,), path, row)
