"""The JSON Schema of the configuration file, for editors."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from .keys import field_docs
from .models import ServerConfig

_REFERENCE: JsonSchemaValue = {
    "title": "Secret",
    "description": "Where the secret is: the name of an environment variable, or a file.",
    "oneOf": [
        {
            "type": "object",
            "properties": {name: {"type": "string", "minLength": 1}},
            "required": [name],
            "additionalProperties": False,
        }
        for name in ("env", "file")
    ],
}


class _Schema(GenerateJsonSchema):
    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = super().default_schema(schema)
        # A file has no null: a key without a value is left out.
        if inner.get("default", 0) is None:
            del inner["default"]
        return inner

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        docs = field_docs(model)
        for name, field in made.get("properties", {}).items():
            if name in docs:
                field["description"] = docs[name]
        return made


def json_schema() -> dict[str, Any]:
    """The schema, of draft 2020-12. Defaults that depend on the machine are left out."""
    schema = ServerConfig.model_json_schema(schema_generator=_Schema)
    _put_references(schema)
    schema["title"] = "Crucible"
    schema["description"] = "The configuration file of `crucible serve`."
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


def _put_references(node: Any) -> None:
    """Secrets are references in a file, whatever pydantic says of them."""
    if isinstance(node, list):
        for item in node:
            _put_references(item)
    elif isinstance(node, dict):
        if node.get("format") == "password" and node.get("type") == "string":
            kept = {name: node[name] for name in ("description",) if name in node}
            node.clear()
            node.update(_REFERENCE | kept)
            return
        for item in node.values():
            _put_references(item)
