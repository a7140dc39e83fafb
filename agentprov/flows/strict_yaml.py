"""Reads YAML that decides about trust: no tags, aliases, duplicate keys, or surprises of size."""

from __future__ import annotations

from typing import Any

from agentprov.errors import ConfigurationInvalid

MAX_BYTES = 512 * 1024
MAX_DEPTH = 16


def parse(data: bytes, *, source: str) -> Any:
    """Parse one YAML document into dictionaries, lists, text, numbers, booleans and None.

    `source` names the file in errors. Raises ConfigurationInvalid and nothing else: not UTF-8,
    too large or too deep, a key that stands twice, an anchor or alias, a merge key, a tag that
    is not plain YAML, more than one document.
    """
    import yaml

    if len(data) > MAX_BYTES:
        raise ConfigurationInvalid(f"{source}: larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationInvalid(f"{source}: not UTF-8 at byte {error.start}") from error
    loader = None
    try:
        loader = _loader()(text)
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise ConfigurationInvalid(f"{source}: {_one_line(error)}") from error
    except (ValueError, OverflowError) as error:
        raise ConfigurationInvalid(f"{source}: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return place + " ".join(str(problem).split())


def _loader() -> Any:
    import yaml

    class Strict(yaml.SafeLoader):
        depth = 0
        # A time stays the text that somebody wrote, so that it can be checked as text.
        yaml_implicit_resolvers = {
            first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
            for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise yaml.composer.ComposerError(
                    None, None, "anchors and aliases are not allowed here", event.start_mark
                )
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise yaml.composer.ComposerError(
                    None, None, f"nested deeper than {MAX_DEPTH}", event.start_mark
                )
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                value = key.value if isinstance(key, yaml.ScalarNode) else None
                if value is None or key.tag != "tag:yaml.org,2002:str":
                    problem = "a key must be plain text"
                elif value in seen:
                    problem = f"the key {value!r} stands twice"
                else:
                    seen.add(value)
                    continue
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            return super().construct_mapping(node, deep)

    return Strict
