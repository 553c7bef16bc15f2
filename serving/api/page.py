"""The description as one page for people, complete in itself: no script, no font, nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from serving.api.openapi import OPERATIONS, Document
from serving.api.operations import Operation
from serving.api.page_fields import fields
from serving.api.problems import KINDS

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}
h2{border-top:1px solid #ccc;padding-top:1.5rem}
code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:#f4f4f2;padding:.8rem 1rem;overflow:auto;border-radius:4px}
table{border-collapse:collapse}
td,th{padding:.2rem 1rem .2rem 0;text-align:left;vertical-align:top}
.method{color:#00594c;text-transform:uppercase}
@media(prefers-color-scheme:dark){
body{background:#161616;color:#e6e6e6}
pre{background:#242424}
a,.method{color:#7fd1c0}
}
"""


def page(described: Document) -> bytes:
    """Return the page."""
    info = described.content["info"]
    schemas = described.content["components"]["schemas"]
    body = "".join(_operation(operation, schemas) for operation in OPERATIONS)
    calls = "".join(
        f'<li><a href="#{operation.name}">{escape(operation.summary)}</a> {_call(operation)}</li>'
        for operation in OPERATIONS
    )
    problems = "".join(
        f"<tr><td><code>{code}</code></td><td>{kind.status}</td><td>{escape(kind.title)}</td></tr>"
        for code, kind in KINDS.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(info["title"])} API</title><style>{_STYLE}</style></head><body>
<h1>{escape(info["title"])} API</h1>
<p>{escape(info["description"])} Version {escape(info["version"])}. For machines:
<a href="/openapi.json">openapi.json</a>, <a href="/openapi.yaml">openapi.yaml</a>.</p>
<p>Send <code>Authorization: Bearer &lt;key&gt;</code> with every call under <code>/v1</code>;
<code>moment keys create</code> makes a key.</p>
<ul>{calls}<li><a href="#problems">Problems</a></li></ul>
{body}
<h2 id="problems">Problems</h2>
<p>Every refusal is <code>application/problem+json</code> (RFC 9457) with one of these codes.</p>
<table><tr><th>code</th><th>status</th><th>meaning</th></tr>{problems}</table>
</body></html>
""".encode()


def _call(operation: Operation) -> str:
    return f'<span class="method">{operation.method}</span> <code>{escape(operation.path)}</code>'


def _operation(operation: Operation, schemas: Mapping[str, Any]) -> str:
    parts = [
        f'<h2 id="{operation.name}">{_call(operation)}</h2>',
        f"<p><strong>{escape(operation.summary)}.</strong> {_inline(operation.description)}</p>",
    ]
    if operation.scope:
        parts.append(f"<p>Scope: <code>{operation.scope}</code></p>")
    if operation.parameters:
        rows = "".join(
            f"<tr><td><code>{item.name}</code></td><td>{item.place}</td><td>{_inline(item.meaning)}</td></tr>"
            for item in operation.parameters
        )
        parts.append(f"<table>{rows}</table>")
    if operation.body is not None:
        parts.append(_fields("The body", operation.body.__name__, schemas, opened=True))
    parts += [_example(f"Request: {name}", value) for name, value in operation.bodies.items()]
    parts.append(_fields("The answer", operation.answer.__name__, schemas))
    parts += [_example(f"Answer: {name}", value) for name, value in operation.answers.items()]
    refusals = ", ".join(f"<code>{code}</code> {KINDS[code].status}" for code in operation.problems)
    parts.append(f"<details><summary>Refusals</summary><p>{refusals}</p></details>")
    return "".join(parts)


def _fields(title: str, name: str, schemas: Mapping[str, Any], *, opened: bool = False) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field.path)}</code></td><td>{'required' if field.required else ''}</td>"
        f"<td>{_inline(field.kind)}</td><td>{_inline(field.meaning)}</td></tr>"
        for field in fields(name, schemas)
    )
    table = f"<table>{rows}</table>"
    return f"<details{' open' if opened else ''}><summary>{escape(title)}</summary>{table}</details>"


def _example(title: str, value: object) -> str:
    shown = escape(json.dumps(value, indent=2, ensure_ascii=False))
    return f"<details><summary>{escape(title)}</summary><pre>{shown}</pre></details>"


def _inline(text: str) -> str:
    """Return text with its `code` in code elements."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
