"""JSON files of a publisher: objects in one list, one a line, or within a document, read in the types of the fields.

Python reads all rows once for their shapes (`engine.publishing.json.shapes`), which finds what is not exact or not JSON
and names the row. DuckDB then reads the values, in types that are known to hold them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb

from engine.catalog.field_names import check_names
from engine.catalog.schema import Field
from engine.catalog.types import TEXT, ColumnType
from engine.common.quoting import identifier, literal
from engine.common.table_functions import exact_path, read_json, read_json_objects
from engine.publishing.csv.encoding import encoding_of, marked_encoding
from engine.publishing.input_files import spill_folder_of
from engine.publishing.json.casts import conversion, reading_type
from engine.publishing.json.columns import SPELLED_OTHERWISE, Place, is_mixed, type_of_column
from engine.publishing.json.document import copy_features, copy_list
from engine.publishing.json.rewriting import RowsWriter, written_anew
from engine.publishing.json.rows import RowFile, scan
from engine.publishing.json.shapes import Kind
from engine.publishing.json.text import JsonText
from engine.publishing.options import ReadOptions
from engine.publishing.renaming import check_all_found, renamed
from engine.publishing.types.selecting import missing

_OBJECT_BYTES = 16 * 1024 * 1024
"""DuckDB's own default for the longest object."""
_SPACE_BYTES = 1_000


@dataclass
class JsonFiles:
    """Files of JSON objects."""

    files: tuple[RowFile, ...]
    columns: dict[str, Place]
    """By their names in the run."""
    names: dict[str, str]
    """Their names in the files."""
    folder: Path
    """For rows that have to be written anew."""
    left_out: tuple[str, ...] = ()
    """Members of documents beside their rows."""
    read_from: tuple[RowFile, ...] = ()
    """What `select` reads."""

    @classmethod
    def look(
        cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], options: ReadOptions, kind: str = "JSON"
    ) -> "JsonFiles":
        """Read all rows for their shapes. Raises InvalidInput that names the file and the row or line."""
        (folder, _), root, left_out = spill_folder_of(connection), Place(), []
        files = []
        for number, path in enumerate(paths):
            plain, others = _plain_rows(path, options, kind, folder / f"plain-{number}.json")
            left_out += [name for name in others if name not in left_out]
            files.append(scan(plain, path.name, root, may_be_document=kind == "JSON" and plain == path))
        columns = root.members or {}
        check_all_found(columns, options.rename)
        names = renamed(columns, options.rename)
        check_names(names)
        by_name = dict(zip(names, columns.values(), strict=True))
        return cls(tuple(files), by_name, dict(zip(names, columns, strict=True)), folder, tuple(left_out))

    @property
    def found(self) -> dict[str, ColumnType | None]:
        """The columns of all files in the order in which rows have them first."""
        return {name: type_of_column(place) for name, place in self.columns.items()}

    @property
    def average_row(self) -> float:
        """Bytes of a row, roughly."""
        rows = sum(file.rows for file in self.files)
        return sum(file.path.stat().st_size for file in self.files) / rows if rows else 0.0

    @property
    def parameters(self) -> dict[str, object]:
        """What `select` binds."""
        groups = enumerate(_groups(self.read_from))
        return {f"paths{index}": [exact_path(file.path) for file in group] for index, group in groups}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided about columns."""
        notes = []
        if self.left_out:
            notes.append(f"Not part of the rows, and left out: {', '.join(self.left_out)}.")
        for name, place in self.columns.items():
            if is_mixed(place):
                notes.append(f"{name} is text, each value as it is written: it has {_kinds_of(place)}.")
            elif place.holds(Kind.LONG_FRACTION):
                notes.append(f"{name} has numbers with more digits than a double keeps: they were rounded to doubles.")
        return tuple(notes)

    def select(self, fields: Sequence[Field]) -> str:
        """The fields in their stored types, row by row in the order of the files."""
        here = [field for field in fields if field.name in self.columns]
        self.read_from, names = self._readable(here)
        types = {field.name: reading_type(field, self.columns[field.name]) for field in here}
        columns = ", ".join(
            f"{_value(field, names.get(field.name), types.get(field.name))} AS {identifier(field.name)}"
            for field in fields
        )
        kinds = ", ".join(f"{identifier(names[name])}: {literal(type_.sql())}" for name, type_ in types.items())
        return " UNION ALL ".join(
            f"SELECT {columns} FROM {_reader(f'$paths{index}', group, kinds)}"  # noqa: S608  # quoted names
            for index, group in enumerate(_groups(self.read_from))
        )

    def _readable(self, fields: Sequence[Field]) -> tuple[tuple[RowFile, ...], dict[str, str]]:
        """The files and the names that the columns have in them.

        The rows are written anew where DuckDB would spell a number otherwise, or cannot tell names apart.
        """
        texts = {
            self.names[field.name]
            for field in fields
            if field.type == TEXT and not SPELLED_OTHERWISE.isdisjoint(self.columns[field.name].kinds)
        }
        distinct = {name.lower() for name in self.names.values()}
        ambiguous = len(distinct) < len(self.names) or "" in distinct
        if not texts and not ambiguous:
            return self.files, self.names
        aliases = {name: f"column_{number}" for number, name in enumerate(self.names.values())} if ambiguous else {}
        files = []
        for number, file in enumerate(self.files):
            target = self.folder / f"anew-{number}.json"
            files.append(RowFile(target, "array", file.rows, _rewrite(file, target, texts, aliases)))
        return tuple(files), {name: aliases.get(old, old) for name, old in self.names.items()}


def _value(field: Field, name: str | None, read_as: ColumnType | None) -> str:
    return missing(field) if name is None or read_as is None else conversion(field, identifier(name), read_as)


def _groups(files: Sequence[RowFile]) -> list[tuple[RowFile, ...]]:
    """Files that are read together: one after the other, of one layout."""
    return [tuple(group) for _, group in groupby(files, key=lambda file: file.layout)]


def _plain_rows(path: Path, options: ReadOptions, kind: str, target: Path) -> tuple[Path, tuple[str, ...]]:
    """The file, or a copy of its rows that DuckDB can read; and the names of what the copy does not have."""
    encoding = marked_encoding(path) if options.encoding is None else encoding_of(path, options.encoding)
    if options.json_path is not None:
        with JsonText(path, path.name, encoding) as text:
            copy_list(text, options.json_path, target)
        return target, ()
    if kind == "GeoJSON":
        with JsonText(path, path.name, encoding) as text:
            return target, copy_features(text, target)
    with JsonText(path, path.name, encoding) as text:
        if not text.starts_with_mark and encoding is None:
            return path, ()
        text.copy_rest(target)
    return target, ()


def _rewrite(file: RowFile, target: Path, texts: set[str], aliases: Mapping[str, str]) -> int:
    longest = 0
    with JsonText(file.path, file.path.name) as text, RowsWriter(target) as writer:
        for row in text.values():
            anew = written_anew(row, texts, aliases)
            longest = max(longest, len(anew))
            writer.write(anew)
    # Characters of up to four bytes.
    return 4 * longest


def _reader(paths: str, group: Sequence[RowFile], kinds: str) -> str:
    size = max(_OBJECT_BYTES, max(file.longest_row for file in group) + _SPACE_BYTES)
    options = f"format={literal(group[0].layout)}, maximum_object_size={size}"
    # Rows that have none of the fields are rows all the same.
    return read_json(paths, f"{options}, columns={{{kinds}}}") if kinds else read_json_objects(paths, options)


_WORDS = {
    Kind.TEXT: "text",
    Kind.BOOLEAN: "booleans",
    Kind.LONG_FRACTION: "numbers with more digits than a double keeps",
    Kind.BEYOND: "whole numbers of more than 38 digits",
    Kind.LONG: "whole numbers that a double would round",
    Kind.HUGE: "whole numbers that a double would round",
    Kind.OUT_OF_RANGE: "numbers beyond the range of doubles",
}


def _kinds_of(place: Place) -> str:
    words = sorted({_WORDS.get(kind, "numbers") for kind in place.scalars})
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
