"""A session with vCenter or an ESXi host: pyVmomi's types over our own connection.

pyVmomi's connections cannot be used where hosts hang. Its version probe ignores timeouts, its session stub
sends a call up to four times when the answer is lost, and a peer that drips bytes holds it for ever. Here a
request goes out once, and every wait ends by the deadline.
"""

from __future__ import annotations

import contextlib
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from xml.parsers.expat import ExpatError

from pyVmomi import SoapAdapter, VmomiSupport, vim, vmodl

from collector.adapters.limits import Deadline
from collector.adapters.vsphere_faults import error_of, words
from collector.adapters.vsphere_https import Answer, Https, Server
from collector.errors import AdapterError, LoginRefusedError, PeerFailedError

_SDK = "/sdk"
_LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes. A page of 500 virtual machines with the properties we read has about one million."""
_LARGEST_VERSIONS = 256 * 1024
_COOKIE = "vmware_soap_session"
_OK, _SERVER_ERROR = 200, 500
_GOODBYE_S = 2.0
_NOT_VSPHERE = "Is this a vCenter or an ESXi host? Check address and port."


class Stub(SoapAdapter.SoapStubAdapterBase):  # type: ignore[misc]
    """Carries pyVmomi's calls. `deadline` is that of the call under way."""

    def __init__(self, https: Https, version: str, cookie: str = "") -> None:
        super().__init__(version)
        self.https = https
        self.cookie = cookie
        self.deadline = Deadline.after(0.0)
        self.requestContext = None  # read by pyVmomi's serialiser

    def InvokeMethod(  # noqa: N802 - pyVmomi calls it
        self,
        mo: Any,  # noqa: ANN401
        info: Any,  # noqa: ANN401
        args: Sequence[Any],
    ) -> Any:  # noqa: ANN401
        """Send one call, once.

        Raises:
            vmodl.MethodFault: the server's answer was a fault.
            AdapterError: there was no answer, or none that can be read.
        """
        headers = {"SOAPAction": self.versionId, "Content-Type": "text/xml; charset=utf-8"}
        if self.cookie:
            headers["Cookie"] = f'{_COOKIE}="{self.cookie}"'
        body = self.SerializeRequest(mo, info, args)
        answer = self.https.ask(
            "POST", _SDK, self.deadline, headers=headers, body=body, limit=_LARGEST_ANSWER
        )
        result = self._read(answer, info)
        if isinstance(result, vmodl.MethodFault):
            raise result
        self._keep_cookie(answer)
        return result

    def _read(self, answer: Answer, info: Any) -> Any:  # noqa: ANN401
        """What pyVmomi makes of an answer that holds the method's response, or a fault."""
        name = info.wsdlName
        if answer.status not in (_OK, _SERVER_ERROR):
            raise PeerFailedError(
                f"{self.https.where} answered {name} with the HTTP status {answer.status}", hint=_NOT_VSPHERE
            )
        try:
            result = SoapAdapter.SoapResponseDeserializer(self).Deserialize(
                io.BytesIO(answer.body), info.result
            )
        except (ExpatError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise self._gibberish(name) from error
        # Any XML deserialises to None, which is what a method without a result returns.
        expected = f"{name}Response".encode() in answer.body and answer.status == _OK
        if not expected and not isinstance(result, vmodl.MethodFault):
            raise self._gibberish(name)
        return result

    def _gibberish(self, name: str) -> PeerFailedError:
        return PeerFailedError(
            f"{self.https.where} answered {name} with something that is not SOAP of the vSphere API",
            hint=_NOT_VSPHERE,
        )

    def _keep_cookie(self, answer: Answer) -> None:
        try:
            found = SimpleCookie(answer.headers.get("set-cookie", "")).get(_COOKIE)
        except CookieError:
            return
        if found is not None and found.value.isprintable() and '"' not in found.value:
            self.cookie = found.value


class VsphereSession:
    """Logs in on construction, once; `close` it. One thread at a time.

    Attributes:
        content: the entry points of the API.
        stub: what pyVmomi's objects of this session call through.
        vcenter: False at an ESXi host.
        server: where it is, and how it is proved.

    Raises:
        UnreachableError, DeadlineError: it is not there, or silent.
        HostKeyError: its certificate is not proved; no credential was sent.
        LoginRefusedError: it said no; it was asked once.
        PeerFailedError: it does not speak the API.
    """

    def __init__(self, server: Server, user: str, password: str, deadline: Deadline) -> None:
        self.where = server.url
        self.server = server
        self._https = Https(server)
        try:
            self.stub = Stub(self._https, _version(self._https, deadline))
            with self.asking(deadline):
                service = vim.ServiceInstance("ServiceInstance", self.stub)
                self.content = service.RetrieveContent()
                self.vcenter = self.content.about.apiType == "VirtualCenter"
            self._log_in(user, password, deadline)
        except BaseException:
            self._https.close()
            raise

    @contextlib.contextmanager
    def asking(self, deadline: Deadline) -> Iterator[None]:
        """In the block, calls of the API end by `deadline`, and their faults are raised as AdapterErrors."""
        self.stub.deadline = deadline
        try:
            yield
        except vmodl.MethodFault as fault:
            raise error_of(fault, self.where) from fault

    @contextlib.contextmanager
    def alone(self, deadline: Deadline) -> Iterator[Stub]:
        """A stub of the same session on a connection of its own, connected and proved, for one call.

        Faults are raised as they are: what they prove is for the caller to say.
        """
        https = Https(self.server)
        try:
            https.connect(deadline)
            stub = Stub(https, self.stub.version, self.stub.cookie)
            stub.deadline = deadline
            yield stub
        finally:
            https.close()

    @contextlib.contextmanager
    def files(self) -> Iterator[tuple[Https, dict[str, str]]]:
        """A connection of its own for downloads, and the headers that carry the session."""
        https = Https(self.server)
        try:
            yield https, {"Cookie": f'{_COOKIE}="{self.stub.cookie}"'}
        finally:
            https.close()

    def close(self) -> None:
        """Log out, if that takes no longer than two seconds: an idle session ends by itself."""
        self.stub.deadline = Deadline.after(_GOODBYE_S)
        try:
            with contextlib.suppress(AdapterError, vmodl.MethodFault):
                self.content.sessionManager.Logout()
        finally:
            self._https.close()

    def _log_in(self, user: str, password: str, deadline: Deadline) -> None:
        self.stub.deadline = deadline
        try:
            self.content.sessionManager.Login(user, password)
        except (vim.fault.InvalidLogin, vim.fault.NoPermission, vim.fault.InvalidLocale) as fault:
            raise LoginRefusedError(
                f"{self.where} refused the login: {words(fault)}",
                hint="Correct user (name@domain) and password, and its role. It was tried once.",
            ) from fault
        except vmodl.MethodFault as fault:
            raise error_of(fault, self.where) from fault


def _version(https: Https, deadline: Deadline) -> str:
    """The newest version of the API that both sides know, as pyVmomi names it."""
    path = f"{_SDK}/vimServiceVersions.xml"
    answer = https.ask("GET", path, deadline, headers={}, limit=_LARGEST_VERSIONS)
    try:
        offered = {each.text for each in ET.fromstring(answer.body).iter("version")}  # noqa: S314 - expat 2.4.1
    except ET.ParseError as error:
        raise PeerFailedError(
            f"{https.where} does not say which versions of the vSphere API it speaks", hint=_NOT_VSPHERE
        ) from error
    for version in VmomiSupport.GetServiceVersions("vim25"):
        if VmomiSupport.versionIdMap[version] in offered:
            return str(version)
    raise PeerFailedError(
        f"{https.where} speaks no version of the vSphere API that pyVmomi knows",
        hint="vSphere 5.5 to 9.1 are known.",
    )
