"""Row groups of Parquet files taken over as they are, and one footer for all of them.

A part's row groups are already what an export without filters and without an order holds: typed, zstd, in run order.
Only the offsets in their descriptions change, and the chunks of columns that are not delivered are left out.
Source: the Parquet format's thrift definition (parquet.thrift); numbers of fields are named below.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.parquet.thrift_compact import LIST, STRUCT, List, Struct, decode, encode

MAGIC = b"PAR1"
TAIL_BYTES = 8
"""At the end of a file: the length of the footer in 4 bytes, and the magic."""

_SCHEMA, _NUM_ROWS, _ROW_GROUPS, _COLUMN_ORDERS = 2, 3, 4, 7
_NAME, _NUM_CHILDREN = 4, 5
_COLUMNS, _BYTES, _FILE_OFFSET, _COMPRESSED, _ORDINAL = 1, 2, 5, 6, 7
_CHUNK_OFFSET, _META = 2, 3
_PAGE_INDEXES = (4, 5, 6, 7)
_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE, _DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE = 6, 7, 9, 10, 11
_BLOOM_FILTER = (14, 15)
_LARGEST_ORDINAL = 2**15 - 1


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive bytes of a file."""

    start: int
    length: int


class FooterJoin:
    """Footers in the order of their files; row groups without the column ``leave_out``, if one is named."""

    def __init__(self, leave_out: str | None = None) -> None:
        self._leave_out = leave_out
        self._head: Struct | None = None
        self._schema = b""
        self._groups: list[bytes] = []
        self.rows = 0
        """Rows of the footers so far, as they say themselves."""
        self._position = len(MAGIC)

    def add(self, footer: bytes) -> Iterator[Span]:
        """Take a file's footer; yields what to copy of that file, in order.

        Raises ValueError if it is no footer, or its schema is not that of the others.
        """
        metadata = decode(footer)
        dropped = self._drop_column(metadata)
        self._check_schema(metadata)
        self.rows += metadata[_NUM_ROWS]
        for group in metadata[_ROW_GROUPS].items:
            yield from self._take(group, dropped)

    def footer(self) -> bytes:
        """The end of the joined file, from behind its last row group. At least one footer was added."""
        if self._head is None:
            raise ValueError("no footer was added")
        self._head.put(_NUM_ROWS, self.rows)
        self._head.fields[_ROW_GROUPS] = (LIST, List(STRUCT, list(self._groups)))
        footer = encode(self._head)
        return footer + len(footer).to_bytes(4, "little") + MAGIC

    def _drop_column(self, metadata: Struct) -> int | None:
        """Take the column out of the schema; returns its place among the chunks. It is no nested one."""
        if self._leave_out is None:
            return None
        elements = metadata[_SCHEMA].items
        place = [element[_NAME] for element in elements].index(self._leave_out.encode())
        leaf = sum(not element.get(_NUM_CHILDREN) for element in elements[:place])
        elements[0].put(_NUM_CHILDREN, elements[0][_NUM_CHILDREN] - 1)
        del elements[place]
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

    def _take(self, group: Struct, dropped: int | None) -> Iterator[Span]:
        chunks = group[_COLUMNS].items
        if dropped is not None:
            left_out = chunks.pop(dropped)[_META]
            group.put(_BYTES, group[_BYTES] - left_out[_UNCOMPRESSED_SIZE])
            if _COMPRESSED in group.fields:
                group.put(_COMPRESSED, group[_COMPRESSED] - left_out[_COMPRESSED_SIZE])
        if _FILE_OFFSET in group.fields:
            group.put(_FILE_OFFSET, self._position)
        if _ORDINAL in group.fields:
            group.put(_ORDINAL, len(self._groups))
            if len(self._groups) > _LARGEST_ORDINAL:
                group.drop(_ORDINAL)
        spans = [self._move(chunk) for chunk in chunks]
        self._groups.append(encode(group))
        yield from _joined(spans)

    def _move(self, chunk: Struct) -> Span:
        """Give a chunk its place in the joined file."""
        meta = chunk[_META]
        offsets = [number for number in (_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE) if number in meta.fields]
        start = min(meta[number] for number in offsets)
        for number in offsets:
            meta.put(number, meta[number] - start + self._position)
        # Page indexes and Bloom filters lie elsewhere in the file; a reader does without them.
        chunk.drop(*_PAGE_INDEXES)
        meta.drop(*_BLOOM_FILTER)
        if chunk.get(_CHUNK_OFFSET):
            chunk.put(_CHUNK_OFFSET, self._position)
        self._position += meta[_COMPRESSED_SIZE]
        return Span(start, meta[_COMPRESSED_SIZE])


def _joined(spans: Sequence[Span]) -> Iterator[Span]:
    """Spans that follow each other are one."""
    start, end = spans[0].start, spans[0].start
    for span in spans:
        if span.start != end:
            yield Span(start, end - start)
            start = span.start
        end = span.start + span.length
    yield Span(start, end - start)
