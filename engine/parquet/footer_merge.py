"""Merges the footers of Parquet files whose row groups are copied unchanged into one file.

The row groups of a run are already what an export without a sort contains, if a filter keeps all of their rows: typed,
zstd, in run order. Only the offsets in their metadata change, and the chunks of excluded columns are left out.
Source: the Parquet format's Thrift definition (parquet.thrift); the constants below are its field numbers.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from engine.parquet.thrift_compact import LIST, STRUCT, List, Struct, decode, encode

MAGIC = b"PAR1"
TAIL_BYTES = 8
"""The end of a file: the length of the footer in 4 bytes, and the magic."""

_SCHEMA, _NUM_ROWS, _ROW_GROUPS, _CREATED_BY, _COLUMN_ORDERS = 2, 3, 4, 6, 7
_NAME, _NUM_CHILDREN = 4, 5
_COLUMNS, _BYTES, _GROUP_ROWS, _FILE_OFFSET, _COMPRESSED, _ORDINAL = 1, 2, 3, 5, 6, 7
_CHUNK_OFFSET, _META = 2, 3
_PAGE_INDEXES = (4, 5, 6, 7)
_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE, _DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE = 6, 7, 9, 10, 11
_BLOOM_FILTER = (14, 15)
_LARGEST_ORDINAL = 2**15 - 1


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Consecutive bytes of a file."""

    start: int
    length: int


def writer_of(footer: bytes) -> str:
    """The name and version of the software that wrote a file. Raises ValueError if it is not a footer."""
    created_by: bytes = decode(footer).get(_CREATED_BY, b"")
    return created_by.decode()


class FooterMerger:
    """Takes footers in the order of their files, and drops the top-level columns ``excluded``."""

    def __init__(self, excluded: Sequence[str] = ()) -> None:
        self._excluded = excluded
        self._head: Struct | None = None
        self._schema = b""
        self._groups: list[bytes] = []
        self.rows = 0
        """Total number of rows of the row groups so far."""
        self._position = len(MAGIC)

    def add(self, footer: bytes, groups: Collection[int] | None = None) -> Iterator[ByteRange]:
        """Take these row groups of the footer of a file, by default all; yields the byte ranges to copy, in order.

        Raises ValueError if it is not a footer, or if its schema differs from that of the others.
        """
        metadata = decode(footer)
        dropped = [self._drop_column(metadata, name) for name in self._excluded]
        self._check_schema(metadata)
        for number, group in enumerate(metadata[_ROW_GROUPS].items):
            if groups is None or number in groups:
                self.rows += group[_GROUP_ROWS]
                yield from self._add_group(group, dropped)

    def footer(self) -> bytes:
        """The end of the merged file, after its last row group. Raises ValueError if no footer was added."""
        if self._head is None:
            raise ValueError("no footer was added")
        self._head.put(_NUM_ROWS, self.rows)
        self._head.fields[_ROW_GROUPS] = (LIST, List(STRUCT, list(self._groups)))
        footer = encode(self._head)
        return footer + len(footer).to_bytes(4, "little") + MAGIC

    def _drop_column(self, metadata: Struct, name: str) -> int:
        """Remove a column from the schema, and return its index among the chunks that are left."""
        elements = metadata[_SCHEMA].items
        index = [element[_NAME] for element in elements].index(name.encode())
        leaf = sum(not element.get(_NUM_CHILDREN) for element in elements[:index])
        elements[0].put(_NUM_CHILDREN, elements[0][_NUM_CHILDREN] - 1)
        del elements[index]
        orders = metadata.get(_COLUMN_ORDERS)
        if orders is not None:
            del orders.items[leaf]
        return leaf

    def _check_schema(self, metadata: Struct) -> None:
        schema = encode(Struct({_SCHEMA: metadata.fields[_SCHEMA]}))
        if self._head is None:
            self._head, self._schema = metadata, schema
        elif schema != self._schema:
            raise ValueError("the files have different schemas")

    def _add_group(self, group: Struct, dropped: Sequence[int]) -> Iterator[ByteRange]:
        chunks = group[_COLUMNS].items
        for index in dropped:
            excluded = chunks.pop(index)[_META]
            group.put(_BYTES, group[_BYTES] - excluded[_UNCOMPRESSED_SIZE])
            if _COMPRESSED in group.fields:
                group.put(_COMPRESSED, group[_COMPRESSED] - excluded[_COMPRESSED_SIZE])
        if _FILE_OFFSET in group.fields:
            group.put(_FILE_OFFSET, self._position)
        if _ORDINAL in group.fields:
            group.put(_ORDINAL, len(self._groups))
            if len(self._groups) > _LARGEST_ORDINAL:
                group.drop(_ORDINAL)
        ranges = [self._move(chunk) for chunk in chunks]
        self._groups.append(encode(group))
        yield from _coalesced(ranges)

    def _move(self, chunk: Struct) -> ByteRange:
        """Set the offsets of a chunk to its position in the merged file; returns where it is in its own file."""
        meta = chunk[_META]
        offsets = [number for number in (_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE) if number in meta.fields]
        start = min(meta[number] for number in offsets)
        for number in offsets:
            meta.put(number, meta[number] - start + self._position)
        # Page indexes and Bloom filters are outside of the row groups, and are optional.
        chunk.drop(*_PAGE_INDEXES)
        meta.drop(*_BLOOM_FILTER)
        if chunk.get(_CHUNK_OFFSET):
            chunk.put(_CHUNK_OFFSET, self._position)
        self._position += meta[_COMPRESSED_SIZE]
        return ByteRange(start, meta[_COMPRESSED_SIZE])


def _coalesced(ranges: Sequence[ByteRange]) -> Iterator[ByteRange]:
    """Combine adjacent ranges."""
    start, end = ranges[0].start, ranges[0].start
    for byte_range in ranges:
        if byte_range.start != end:
            yield ByteRange(start, end - start)
            start = byte_range.start
        end = byte_range.start + byte_range.length
    yield ByteRange(start, end - start)
