"""The rule of compatibility: within a schema number, only optional fields are added."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

# What says something about values without restricting them.
_NOTES: Final = frozenset(("$id", "$schema", "$defs", "title", "description", "examples"))
_FIELDS: Final = frozenset(("properties", "required"))

Schema = Mapping[str, Any]


def find_violations(earlier: Schema, later: Schema) -> list[str]:
    """Return what breaks the rule between two JSON Schemas of one number; empty: nothing.

    A reader of the earlier schema must find every field that it knows, with the values that it
    knows; a writer by the earlier schema must be read. So nothing is removed, narrowed, widened or
    made required.
    """
    return list(_compare(_Node(earlier, earlier), _Node(later, later), "record"))


class _Node:
    """A part of a schema document, references followed."""

    def __init__(self, document: Schema, part: Any) -> None:
        self.document = document
        if isinstance(part, Mapping) and "$ref" in part:
            target = document["$defs"][part["$ref"].removeprefix("#/$defs/")]
            part = {**target, **{name: part[name] for name in part if name != "$ref"}}
        self.value = part

    def at(self, key: Any) -> "_Node":
        return _Node(self.document, self.value[key])


def _compare(earlier: _Node, later: _Node, place: str) -> Iterator[str]:
    before, after = earlier.value, later.value
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _compare_fields(earlier, later, place)
        yield from _compare_keywords(earlier, later, place)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number in range(len(before)):
            yield from _compare(earlier.at(number), later.at(number), place)
    elif before != after or type(before) is not type(after):
        yield f"{place}: {before!r} has become {after!r}"


def _compare_fields(earlier: _Node, later: _Node, place: str) -> Iterator[str]:
    before, after = (node.value.get("properties", {}) for node in (earlier, later))
    for name in before:
        if name not in after:
            yield f"{place}.{name}: was removed"
        else:
            old, new = (node.at("properties").at(name) for node in (earlier, later))
            yield from _compare(old, new, f"{place}.{name}")
    required = [set(node.value.get("required", ())) for node in (earlier, later)]
    for name in sorted(required[0] ^ required[1]):
        change = "is required now" if name in required[1] else "is not required any more"
        yield f"{place}.{name}: {change}"


def _compare_keywords(earlier: _Node, later: _Node, place: str) -> Iterator[str]:
    before, after = (set(node.value) - _NOTES - _FIELDS for node in (earlier, later))
    for name in sorted(before ^ after):
        change = "was added" if name in after else "was removed"
        yield f"{place}: {name} {change}"
    for name in sorted(before & after):
        yield from _compare(earlier.at(name), later.at(name), f"{place} {name}")
