"""SOAP as vSphere speaks it, both ways, by pyVmomi's own tables of types: the server's half.

The serialiser refuses an object that lacks a required field, so what the double says is checked against
the schema of the API.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from pyVmomi import SoapAdapter, VmomiSupport, vmodl

_NAMESPACES = {**SoapAdapter.SOAP_NSMAP, "urn:vim25": ""}
_TASK_SUFFIX = "_Task"


@dataclass
class Call:
    """One request: which method of which object, and its arguments by their names on the wire."""

    method: str
    target: Any
    info: Any
    arguments: dict[str, Any] = field(default_factory=dict)


class MalformedError(Exception):
    """The request is not SOAP that names a method of the API."""


def parse(body: bytes, version: str) -> Call:
    """Read a request."""
    reader = _Reader(version)
    try:
        reader.parser.Parse(body, True)
    except (ExpatError, KeyError, TypeError, AttributeError) as error:
        raise MalformedError(str(error)) from error
    if reader.call is None:
        raise MalformedError("no method")
    reader.finish_argument()
    return reader.call


class _Reader(SoapAdapter.ExpatDeserializerNSHandlers):
    """Walks into the body, takes the method's name, and lets pyVmomi read each of its children."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.call: Call | None = None
        self._version = version
        self._in_body = False
        self._argument: tuple[str, bool, Any] | None = None
        self.parser = ParserCreate(namespace_separator=SoapAdapter.NS_SEP)
        self.parser.buffer_text = True
        SoapAdapter.SetHandlers(self.parser, SoapAdapter.GetHandlers(self))

    def StartElementHandler(self, tag: str, attributes: dict[str, str]) -> None:  # noqa: N802 - pyVmomi's name
        name = tag.rpartition(SoapAdapter.NS_SEP)[2]
        if self.call is not None:
            self._begin_argument(name, tag, attributes)
        elif self._in_body:
            info = None if name == "Fetch" else VmomiSupport.GetWsdlMethod("urn:vim25", name).info
            self.call = Call(name, None, info)
        elif name == "Body":
            self._in_body = True

    def EndElementHandler(self, tag: str) -> None:  # noqa: N802
        """Nothing to do: pyVmomi's handlers are on while an argument is read."""

    def CharacterDataHandler(self, data: str) -> None:  # noqa: N802
        """Blanks between elements."""

    def _begin_argument(self, name: str, tag: str, attributes: dict[str, str]) -> None:
        self.finish_argument()
        assert self.call is not None
        kind, many = VmomiSupport.ManagedObject, False
        if self.call.method == "Fetch" and name != "_this":
            kind = str
        elif name != "_this":
            kind = next(each.type for each in self.call.info.params if each.name == name)
            if issubclass(kind, list):
                kind, many = kind.Item, True
        reader = SoapAdapter.SoapDeserializer(None, self._version)
        reader.Deserialize(self.parser, kind, False, self.nsMap)
        self._argument = (name, many, reader)
        reader.StartElementHandler(tag, attributes)

    def finish_argument(self) -> None:
        """Take over what pyVmomi made of the last child."""
        if self._argument is None or self.call is None:
            return
        name, many, reader = self._argument
        self._argument = None
        if name == "_this":
            self.call.target = reader.GetResult()
        elif many:
            self.call.arguments.setdefault(name, []).append(reader.GetResult())
        else:
            self.call.arguments[name] = reader.GetResult()


def answer(call: Call, result: Any, version: str) -> bytes:
    """The envelope with what the method returned."""
    kind = object if call.info is None else call.info.result
    returned = ""
    if result is not None and kind is not type(None):
        flags = VmomiSupport.F_OPTIONAL
        about = VmomiSupport.Object(name="returnval", type=kind, version=version, flags=flags)
        if isinstance(result, list) and not isinstance(result, VmomiSupport.Array):
            result = kind(result)
        returned = SoapAdapter.SerializeToStr(result, about, version, dict(_NAMESPACES))
        # A reference where any type may stand: pyVmomi's name for it is one that other clients do not know.
        returned = returned.replace('xsi:type="ManagedObject"', 'xsi:type="ManagedObjectReference"')
    name = call.method + "Response"
    return _envelope(f'<{name} xmlns="urn:vim25">{returned}</{name}>')


def fault(error: Any, version: str) -> bytes:
    """The envelope with a fault, whose words stand in `faultstring` as servers put them."""
    kind = VmomiSupport.GetWsdlName(type(error)) + "Fault"
    about = VmomiSupport.Object(name=kind, type=object, version=version, flags=0)
    words, error.msg = error.msg, None
    detail = SoapAdapter.SerializeFaultDetail(error, about, version, dict(_NAMESPACES))
    error.msg = words
    return _envelope(
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode>"
        f"<faultstring>{SoapAdapter.XmlEscape(words or '')}</faultstring>"
        f"<detail>{detail}</detail></soapenv:Fault>"
    )


def not_found(call: Call) -> Any:
    """The fault for a method that the server does not have."""
    return vmodl.fault.MethodNotFound(
        msg=f"{call.target._GetMoId()} does not implement: {call.method}",
        receiver=call.target,
        method=call.method.removesuffix(_TASK_SUFFIX),
    )


def _envelope(body: str) -> bytes:
    return f"{SoapAdapter.XML_HEADER}\n{SoapAdapter.SOAP_START}{body}{SoapAdapter.SOAP_END}".encode()
