"""The double's REST side: sessions and tags, below /api since 7.0 U2 and below /rest before."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

Answer = tuple[int, dict[str, str], bytes]
OLD_PLACE, NEW_PLACE = "/rest/com/vmware/cis/", "/api/"
UNAUTHENTICATED = json.dumps({"error_type": "UNAUTHENTICATED", "messages": []}).encode()


@dataclass
class Tagging:
    """Categories by their ids; tags by theirs, with category and name; what each is on, as type and id."""

    users: dict[str, str]
    modern: bool
    categories: dict[str, str] = field(default_factory=dict)
    tags: dict[str, tuple[str, str]] = field(default_factory=dict)
    attached: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    logins: list[bool] = field(default_factory=list)
    denied: bool = False

    def add(self, category: str, name: str, *objects: Any) -> str:
        """A tag on nodes of the world; the category is made if it is new."""
        ids = {known: each for each, known in self.categories.items()}
        owner = ids.get(category) or f"urn:vmomi:InventoryServiceCategory:{len(ids)}:GLOBAL"
        self.categories[owner] = category
        made = f"urn:vmomi:InventoryServiceTag:{len(self.tags)}:GLOBAL"
        self.tags[made] = owner, name
        self.attached[made] = [(each.kind._wsdlName, each.moid) for each in objects]
        return made

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        """Answer one request."""
        place = NEW_PLACE if self.modern else OLD_PLACE
        if not path.startswith(place):
            return 404, {}, b""
        way, _, query = path.removeprefix(place).partition("?")
        if way == "session" and method == "POST":
            return self._log_in(headers)
        session = headers.get("vmware-api-session-id", "")
        if session not in self.sessions:
            return 401, {}, UNAUTHENTICATED
        if way == "session":
            self.sessions.discard(session)
            return (204 if self.modern else 200), {}, b""
        if self.denied:
            return 403, {}, json.dumps({"error_type": "UNAUTHORIZED", "messages": []}).encode()
        action = query.removeprefix("action=" if self.modern else "~action=")
        service, _, item = way.removeprefix("cis/" if self.modern else "").partition("/")[2].partition("/")
        item = unquote(item if self.modern else item.removeprefix("id:"))
        found = self._ask(method, service, item, action, json.loads(body or b"{}"))
        return (404, {}, b"") if found is None else (200, {}, self._wrapped(found))

    def _log_in(self, headers: Any) -> Answer:
        kind, _, secret = headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(secret).decode().partition(":")
        allowed = kind == "Basic" and self.users.get(user) == password
        self.logins.append(allowed)
        if not allowed:
            return 401, {}, UNAUTHENTICATED
        made = secrets.token_hex(16)
        self.sessions.add(made)
        return (201 if self.modern else 200), {}, self._wrapped(made)

    def _ask(self, method: str, service: str, item: str, action: str, body: Any) -> Any:
        if method == "POST":
            return self._act(f"{service}/{action}", item, body)
        if not item:
            return list({"category": self.categories, "tag": self.tags}.get(service, {}))
        if service == "category" and item in self.categories:
            return {"id": item, "name": self.categories[item]}
        return self._tag(item) if service == "tag" and item in self.tags else None

    def _act(self, action: str, item: str, body: Any) -> Any:
        match action:
            case "tag/list-tags-for-category":
                wanted = body["category_id"] if self.modern else item
                return [each for each, (category, _) in self.tags.items() if category == wanted]
            case "tag-association/list-attached-objects-on-tags":
                return [
                    {"tag_id": each, "object_ids": [_object(*one) for one in self.attached[each]]}
                    for each in body["tag_ids"]
                ]
            case "tag-association/list-attached-tags-on-objects":
                objects = [(one["type"], one["id"]) for one in body["object_ids"]]
                return [{"object_id": _object(*one), "tag_ids": self._on(one)} for one in objects]
        return None

    def _on(self, one: tuple[str, str]) -> list[str]:
        return [each for each, objects in self.attached.items() if one in objects]

    def _tag(self, item: str) -> dict[str, Any]:
        category, name = self.tags[item]
        return {"id": item, "name": name, "category_id": category, "description": "", "used_by": []}

    def _wrapped(self, value: Any) -> bytes:
        return json.dumps(value if self.modern else {"value": value}).encode()


def _object(kind: str, moid: str) -> dict[str, str]:
    return {"type": kind, "id": moid}
