"""Rows within a larger JSON document: a list at a path, or the features of a GeoJSON file.

They are copied, as they are written, into a plain list of rows; the document is never in memory as a whole.
"""

from collections.abc import Iterator
from pathlib import Path

from engine.errors import InvalidInput, quoted_excerpt
from engine.publishing.json.rewriting import RowsWriter, members_of, object_of
from engine.publishing.json.text import JsonText

_SURVEYED_LEVELS = 4
_FEATURES = "features"


def copy_list(text: JsonText, path: str, target: Path) -> None:
    """Copy the list at a dotted path. Raises InvalidInput that says what is there instead."""
    with RowsWriter(target) as writer:
        _descend(text, path.split("."), [], writer)


def copy_features(text: JsonText, target: Path) -> tuple[str, ...]:
    """Copy the features of a collection as rows; returns the names of other members of the collection.

    Each property is a column, and so is each other member of a feature (``id``, ``geometry``, ``bbox``).
    """
    others, found, kind = [], False, None
    with RowsWriter(target) as writer:
        for name in text.members("the collection"):
            if name == _FEATURES and not found and text.peek() == "[":
                found = True
                for number, _ in enumerate(text.items("the list of features"), 1):
                    _, feature = text.value()
                    writer.write(_row_of(feature, text, number))
            elif name == _FEATURES and found:
                raise _repeated(text, name)
            elif name == "type":
                kind, _ = text.value()
            else:
                others.append(name)
                text.skip("the collection")
        if not found or kind != "FeatureCollection":
            raise InvalidInput(
                f"{text.name} is no GeoJSON FeatureCollection: it has the type {kind!r}. To publish features or other "
                "objects that stand one after the other as they are, use --format ndjson."
            )
        _end(text)
    return tuple(others)


def lists_of_objects(text: JsonText) -> tuple[str, ...]:
    """The dotted paths of all lists in a document that hold objects, down to a few levels."""
    return tuple(_survey(text, (), _SURVEYED_LEVELS))


def _descend(text: JsonText, path: list[str], passed: list[str], writer: RowsWriter) -> None:
    where = ".".join(passed) or "the document"
    if not path:
        if text.peek() != "[":
            raise InvalidInput(f"{text.name}: {where} is not a list of rows.")
        for _ in text.items(f"the list {where}"):
            writer.write(text.value()[1])
        return
    if text.peek() != "{":
        raise InvalidInput(f"{text.name}: {where} is not an object, so it has no member {quoted_excerpt(path[0])}.")
    names: list[str] = []
    found = False
    for name in text.members(where):
        names.append(name)
        # A name may have a dot in it: the longest that fits.
        length = next((n for n in range(len(path), 0, -1) if name == ".".join(path[:n])), 0)
        if length and found:
            raise _repeated(text, name)
        if length:
            found = True
            _descend(text, path[length:], [*passed, name], writer)
        else:
            text.skip(where)
    if not found:
        listed = ", ".join(map(quoted_excerpt, names[:20])) or "none"
        raise InvalidInput(
            f"{text.name}: {where} has no member {quoted_excerpt('.'.join(path))}; its members: {listed}."
        )
    if not passed:
        _end(text)


def _repeated(text: JsonText, name: str) -> InvalidInput:
    return text.malformed(f"an object has the member {quoted_excerpt(name)} twice")


def _end(text: JsonText) -> None:
    if text.peek():
        raise text.malformed("there is more after the end of the document")


def _survey(text: JsonText, path: tuple[str, ...], levels: int) -> Iterator[str]:
    for name in text.members("the document"):
        here = (*path, name)
        if text.peek() == "{" and levels > 1:
            yield from _survey(text, here, levels - 1)
        elif text.peek() == "[":
            objects = True
            count = 0
            for _ in text.items("a list"):
                count += 1
                objects = objects and text.peek() == "{"
                text.skip("a list")
            if objects and count:
                yield ".".join(here)
        else:
            text.skip("the document")


def _row_of(feature: str, text: JsonText, number: int) -> str:
    members = _distinct(feature, text, number) if feature[0] == "{" else {"properties": "[]"}
    members.pop("type", None)
    properties = members.pop("properties", "null")
    if properties[:1] not in ("{", "n"):
        raise InvalidInput(f"{text.name}: feature {number:,} is no GeoJSON feature.")
    row = _distinct(properties, text, number) if properties[0] == "{" else {}
    for name, value in members.items():
        if row.setdefault(name, value) != value:
            raise InvalidInput(
                f"{text.name}: feature {number:,} has a property {quoted_excerpt(name)}, which is also a member of the "
                f"feature: publish the features as they are with --json-path {_FEATURES}."
            )
    return object_of(row.items())


def _distinct(found: str, text: JsonText, number: int) -> dict[str, str]:
    """The members of an object. Raises InvalidInput if one is there twice."""
    members = members_of(found)
    distinct = dict(members)
    if len(distinct) < len(members):
        repeated = next(name for index, (name, _) in enumerate(members) if name in dict(members[:index]))
        raise InvalidInput(f"{text.name}: feature {number:,} has the member {quoted_excerpt(repeated)} twice.")
    return distinct
