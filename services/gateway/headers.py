"""Headers that keep what we serve from being sniffed, framed, run, cached or leaked."""

from __future__ import annotations

from collections.abc import Mapping

# On answers of the API: data, never a page.
API_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

# On recorded bytes: what people and models made, some of it by children.
ENTITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-site",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}


def content_disposition(filename: str) -> str:
    """Show in the browser, save under our name (RFC 6266). The names are ASCII by our own rule."""
    quoted = "".join(c for c in filename if c.isascii() and c.isprintable() and c not in '"\\')
    return f'inline; filename="{quoted}"'
