"""JSON Schemas of the catalogue's files, from the models that read them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import BaseModel

from services.interception.models_file import ModelsFile
from services.interception.recipe_file import RecipeFile
from services.media.output_files import OutputFile

# By what they are called on the command line and in configs/schema/<name>.schema.json.
SCHEMAS: Mapping[str, type[BaseModel]] = {
    "recipe": RecipeFile,
    "output": OutputFile,
    "models": ModelsFile,
}


def schema_text(name: str) -> str:
    """The schema of one kind of file, as it is kept in configs/schema/."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= SCHEMAS[name].model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
