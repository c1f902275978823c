"""Decodes and encodes structs in Thrift's compact protocol, as far as Parquet footers need it.

Source: the protocol's specification (thrift-compact-protocol.md). It works without a schema, so fields that a later
version of Parquet adds are preserved.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)
_FIXED = {BYTE: 1, DOUBLE: 8, UUID: 16}
_LONG_LIST = 15
_MAX_DEPTH = 64
"""Structs, lists and maps within each other; a footer of Parquet has seven."""


@dataclass(slots=True)
class Struct:
    """The type and the value of each field by its id, in the encoded order."""

    fields: dict[int, tuple[int, Any]] = field(default_factory=dict)

    def __getitem__(self, number: int) -> Any:
        return self.fields[number][1]

    def get(self, number: int, default: Any = None) -> Any:
        """The value of a field, or the default if it is absent."""
        return self.fields[number][1] if number in self.fields else default

    def put(self, number: int, value: Any) -> None:
        """Change the value of a field that is present; its type stays the same."""
        self.fields[number] = (self.fields[number][0], value)

    def drop(self, *numbers: int) -> None:
        """Remove optional fields."""
        for number in numbers:
            self.fields.pop(number, None)


@dataclass(slots=True)
class List:
    """Items of one type; in a list of structs, a ``bytes`` item is an encoded struct."""

    kind: int
    items: list[Any]


def decode(data: bytes) -> Struct:
    """Decode the struct at the beginning of the data. Raises ValueError if it is malformed."""
    try:
        return _Reader(data).struct()
    except (IndexError, KeyError) as error:
        raise ValueError("not a struct in Thrift's compact protocol") from error


def encode(struct: Struct) -> bytes:
    """Encode a struct."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._depth = 0

    def struct(self) -> Struct:
        fields: dict[int, tuple[int, Any]] = {}
        number = 0
        while header := self._byte():
            kind = header & 0x0F
            number = number + (header >> 4) if header >> 4 else _unzigzag(self._varint())
            fields[number] = (kind, kind == TRUE if kind in (TRUE, FALSE) else self._value(kind))
        return Struct(fields)

    def _value(self, kind: int) -> Any:
        if kind in (STRUCT, LIST, SET, MAP):
            return self._nested(kind)
        if kind in (I16, I32, I64):
            return _unzigzag(self._varint())
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind in (TRUE, FALSE):
            # In a list, a boolean is a separate byte.
            return self._bytes(1)
        return self._bytes(_FIXED[kind])

    def _nested(self, kind: int) -> Any:
        if self._depth == _MAX_DEPTH:
            raise ValueError("nested too deeply")
        self._depth += 1
        value = self.struct() if kind == STRUCT else self._map() if kind == MAP else self._list()
        self._depth -= 1
        return value

    def _list(self) -> List:
        header = self._byte()
        size = header >> 4
        if size == _LONG_LIST:
            size = self._varint()
        kind = header & 0x0F
        return List(kind, [self._value(kind) for _ in range(size)])

    def _map(self) -> tuple[int, list[tuple[Any, Any]]]:
        size = self._varint()
        kinds = self._byte() if size else 0
        return kinds, [(self._value(kinds >> 4), self._value(kinds & 0x0F)) for _ in range(size)]

    def _byte(self) -> int:
        self._position += 1
        return self._data[self._position - 1]

    def _bytes(self, size: int) -> bytes:
        self._position += size
        if self._position > len(self._data):
            raise IndexError(self._position)
        return self._data[self._position - size : self._position]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7


def _unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _write_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _write_integer(out: bytearray, value: int) -> None:
    _write_varint(out, value << 1 if value >= 0 else (-value << 1) - 1)


def _write_binary(out: bytearray, value: bytes) -> None:
    _write_varint(out, len(value))
    out += value


def _write_struct(out: bytearray, struct: Struct | bytes) -> None:
    if isinstance(struct, bytes):
        out += struct
        return
    last = 0
    for number, (kind, value) in struct.fields.items():
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        delta = number - last
        if 0 < delta <= _LONG_LIST:
            out.append(delta << 4 | kind)
        else:
            out.append(kind)
            _write_integer(out, number)
        last = number
        if kind not in (TRUE, FALSE):
            _WRITERS[kind](out, value)
    out.append(0)


def _write_list(out: bytearray, value: List) -> None:
    size = len(value.items)
    out.append(min(size, _LONG_LIST) << 4 | value.kind)
    if size >= _LONG_LIST:
        _write_varint(out, size)
    write = _WRITERS[value.kind]
    for item in value.items:
        write(out, item)


def _write_map(out: bytearray, value: tuple[int, list[tuple[Any, Any]]]) -> None:
    kinds, pairs = value
    _write_varint(out, len(pairs))
    if pairs:
        out.append(kinds)
    for key, item in pairs:
        _WRITERS[kinds >> 4](out, key)
        _WRITERS[kinds & 0x0F](out, item)


def _write_raw(out: bytearray, value: bytes) -> None:
    out += value


_WRITERS: dict[int, Callable[[bytearray, Any], None]] = {
    **dict.fromkeys((TRUE, FALSE, BYTE, DOUBLE, UUID), _write_raw),
    **dict.fromkeys((I16, I32, I64), _write_integer),
    BINARY: _write_binary,
    LIST: _write_list,
    SET: _write_list,
    MAP: _write_map,
    STRUCT: _write_struct,
}
