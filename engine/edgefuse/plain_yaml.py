"""Plain YAML: the safe loader, made to refuse a key that stands twice; imported when a file is read, not before."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


def plain(data: bytes) -> Any:
    """What the bytes hold; ValueError in one line where that is no plain YAML."""
    try:
        return yaml.load(data, Loader=_SafeUniqueLoader)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"is not plain YAML: {' '.join(str(error).split())}") from error


class _SafeUniqueLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which would let the last of two equal keys win, and read `off` as a boolean."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as the base class has it)
        first: [(tag, regexp) for tag, regexp in resolvers if first in "tTfF" or tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is no plain value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
