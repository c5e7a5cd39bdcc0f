"""The OpenAPI document as one page, without a script and without a stranger's server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from services.gateway.headers import API_HEADERS

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h2{font:600 1.1rem ui-monospace,monospace;margin-top:2.5rem}"
    "table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;"
    "border-top:1px solid #8884}code{font-family:ui-monospace,monospace}"
    ":root{color-scheme:light dark}"
)
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

DOCS_HEADERS: Mapping[str, str] = {
    **API_HEADERS,
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; frame-ancestors 'none'"
    ),
}


def render(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    info = document["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    return "".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            '<meta name="viewport" content="width=device-width">',
            f"<style>{_STYLE}</style></head><body><h1>{title}</h1>",
            f"<p>{escape(info['description'])}</p>",
            '<p><a href="/openapi.json">openapi.json</a></p>',
            *_routes(document),
            "</body></html>",
        ]
    )


def _routes(document: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"<h2>{escape(method.upper())} {escape(path)}</h2>"
            for paragraph in operation.get("description", "").split("\n\n"):
                yield f"<p>{escape(paragraph)}</p>"
            fields = [*_parameters(operation), *_body_fields(document, operation)]
            yield _table(("name", "where", "what"), fields)
            yield _table(
                ("status", "means"),
                [(s, r.get("description", "")) for s, r in sorted(operation["responses"].items())],
            )


def _parameters(operation: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for parameter in operation.get("parameters", ()):
        yield parameter["name"], parameter["in"], parameter.get("description", "")


def _body_fields(
    document: Mapping[str, Any], operation: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    content = operation.get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    schema = document["components"]["schemas"].get(reference.rsplit("/", 1)[-1], {})
    for name, field in schema.get("properties", {}).items():
        required = "body, required" if name in schema.get("required", ()) else "body"
        yield name, required, field.get("description", "")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = [f"<tr>{cells}</tr>"]
    for first, *rest in rows:
        others = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        lines.append(f"<tr><td><code>{escape(first)}</code></td>{others}</tr>")
    return f"<table>{''.join(lines)}</table>"
