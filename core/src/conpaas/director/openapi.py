"""The description of the API: OpenAPI 3.1, and a page that can be read."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

from conpaas.director.director import Director
from conpaas.manager.base import ServiceManager
from conpaas.rpc import Operation, operations
from conpaas.schema import json_schema
from conpaas.web import Request, Response

_SERVICE_PATH = "/api/v1/applications/{application}/services/{service}"


class OpenApi:
    """``/api/v1/openapi.json``."""

    def __init__(self, director: Director) -> None:
        self._director = director

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the description."""
        resp.media = describe(self._director)


class Reference:
    """``/api/v1``: the same, to be read."""

    def __init__(self, director: Director) -> None:
        self._director = director

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with a page."""
        resp.content_type = "text/html; charset=utf-8"
        resp.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        resp.text = _page(self._director)


def describe(director: Director) -> dict[str, Any]:
    """Return the OpenAPI document of a director with its plugins."""
    components: dict[str, Any] = {}
    paths = {
        path: _path_item(tag, operation, components, service=service)
        for tag, path, operation, service in _all(director)
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ConPaaS",
            "version": "v1",
            "description": "Elastic services with state, on machines of any cloud.",
        },
        "servers": [{"url": director.config.director.url}],
        "security": [{"token": []}, {"password": []}, {"certificate": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
                "certificate": {"type": "mutualTLS"},
            },
        },
    }


def _all(director: Director) -> Iterator[tuple[str, str, Operation, bool]]:
    for cls in director.plugins.api:
        name = cls.object  # type: ignore[attr-defined]
        for operation in operations(cls).values():
            yield name, f"/api/v1/{name}/{operation.name}", operation, False
    seen: set[str] = set()
    managers = {"service": ServiceManager} | {
        service.name: service.manager_class for service in director.plugins.services.values()
    }
    for name, manager in managers.items():
        for operation in operations(manager).values():
            # What all types have stands once; of those that two types share, the first.
            path = f"{_SERVICE_PATH}/{operation.name}"
            if path not in seen and not operation.hidden:
                seen.add(path)
                yield name, path, operation, True


def _path_item(
    tag: str, operation: Operation, components: dict[str, Any], *, service: bool
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{tag}.{operation.name}",
        "tags": [tag],
        "summary": operation.summary,
        "responses": {
            ("202" if operation.is_job else "200"): _success(operation, components),
            "default": {"description": "An error: {error: {code, message, detail}}"},
        },
    }
    if operation.description:
        described["description"] = operation.description
    if operation.public:
        described["security"] = []
    if operation.admin:
        described["x-admin"] = True
    if operation.states:
        described["x-states"] = list(operation.states)
    query: list[dict[str, Any]] = []
    if service:
        query = [_in_path("application"), _in_path("service")]
    if operation.upload is not None:
        query += [
            {"name": p.name, "in": "query", "required": p.required, "schema": {"type": "string"}}
            for p in operation.parameters
            if not p.is_upload
        ]
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        described["requestBody"] = {"required": True, "content": content}
    elif operation.parameters:
        described["requestBody"] = {
            "required": any(p.required for p in operation.parameters),
            "content": {"application/json": {"schema": _arguments(operation, components)}},
        }
    if query:
        described["parameters"] = query
    return {"post": described}


def _in_path(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"Name or id of the {name}",
        "schema": {"type": "string"},
    }


def _arguments(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    properties = {}
    for parameter in operation.parameters:
        schema, found = json_schema(parameter.hint.full)
        components.update(found)
        properties[parameter.name] = {**schema, "description": parameter.hint.help}
        if not parameter.required:
            properties[parameter.name]["default"] = parameter.default
    return {
        "type": "object",
        "properties": properties,
        "required": [p.name for p in operation.parameters if p.required],
        "additionalProperties": False,
    }


def _success(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    if operation.is_download:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        return {"description": "The file", "content": content}
    schema, found = json_schema(operation.result)
    components.update(found)
    if operation.is_job:
        job = {
            "type": "object",
            "properties": {"job": {"type": "integer"}, "watch": {"type": "string"}},
        }
        told = "A job has begun: GET `watch` until it has ended; then its `result` is as below"
        return {
            "description": told,
            "content": {"application/json": {"schema": job}},
            "x-result": schema,
        }
    answer = {"type": "object", "properties": {"result": schema}}
    return {"description": "Done", "content": {"application/json": {"schema": answer}}}


def _page(director: Director) -> str:
    rows = "".join(
        f"<tr><td><code>{html.escape(path)}</code></td><td>{html.escape(tag)}</td>"
        f"<td>{html.escape(operation.summary)}</td>"
        f"<td>{html.escape(_signature(operation))}</td></tr>"
        for tag, path, operation, _ in _all(director)
        if not operation.hidden
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><title>ConPaaS API</title>"
        "<style>body{font:16px system-ui;max-width:72rem;margin:2rem auto;padding:0 1rem;"
        "color-scheme:light dark}td,th{text-align:left;padding:.3rem .8rem .3rem 0;"
        "border-bottom:1px solid #8884;vertical-align:top}code{font-size:.875rem}</style>"
        "<h1>ConPaaS API</h1><p>Every operation is a POST with a JSON object; reading ones may be "
        "a GET. The full description is <a href='/api/v1/openapi.json'>openapi.json</a>.</p>"
        "<table><thead><tr><th>Path<th>Object<th>What it does<th>Arguments</thead>"
        f"<tbody>{rows}</tbody></table></html>"
    )


def _signature(operation: Operation) -> str:
    return ", ".join(p.name if p.required else f"[{p.name}]" for p in operation.parameters)
