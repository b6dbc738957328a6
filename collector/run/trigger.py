"""Stage 4, trigger: send the NMI, at most once.

The only caller of `send_nmi` in the house. Claim, then send, then record:

1. log in to the controller, so that a refused login leaves no claim behind;
2. append `claim` to the journal, which is fsynced before `append` returns;
3. send one NMI;
4. append `trigger` with what the peer said: sent, not sent, or uncertain.

Killed between 2 and 4, the claim stands without an outcome, and whoever resumes the case takes it for
uncertain. Nothing here retries, and nothing may be wrapped around it that does. The next controller is
tried only after this one could not be logged in to, or proved that it refused.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from collector.adapters.answers import NmiAnswer, NmiOutcome
from collector.adapters.base import NmiInjector
from collector.adapters.limits import Deadline
from collector.case import claims
from collector.errors import AdapterError, PreflightError
from collector.model.host import Endpoint
from collector.run import history
from collector.run.incident import Incident, identities


@dataclass(frozen=True, slots=True)
class Triggered:
    """What the one NMI came to: `sent` or `uncertain`. A refusal is raised."""

    outcome: NmiOutcome
    detail: str


def trigger(incident: Incident) -> Triggered:
    """Send one NMI through the first controller that takes it.

    Raises:
        PreflightError: every controller was unreachable or proved that it refused; nothing was sent.
    """
    refusals: list[str] = []
    for endpoint in incident.connections.able(incident.host.controllers, NmiInjector):
        deadline = Deadline.after(incident.playbook.steps.trigger.deadline)
        answer: NmiAnswer | None = None
        try:
            with incident.connections.open(incident.host, endpoint, NmiInjector, deadline) as injector:
                answer = _claim_and_send(incident, endpoint, injector, deadline)
        except AdapterError as error:
            # After an answer this is only the logout that failed, and says nothing of the NMI.
            answer = answer or NmiAnswer(NmiOutcome.NOT_SENT, error.message)
        if answer.outcome is not NmiOutcome.NOT_SENT:
            return Triggered(answer.outcome, answer.detail)
        refusals.append(f"{endpoint.identity}: {answer.detail}")
    raise PreflightError(
        "no NMI was sent: " + ("; ".join(refusals) or "no controller of this host can send one"),
        hint="Mend what the controller says, then resume this case; or send the NMI at the machine.",
        host=incident.host.name,
    )


def _claim_and_send(
    incident: Incident, endpoint: Endpoint, injector: NmiInjector, deadline: Deadline
) -> NmiAnswer:
    journal = incident.case.journal
    attempt = history.attempts(journal.entries()) + 1
    claims.point(incident.case.path, identities(incident.host))
    journal.append("claim", attempt=attempt, controller=endpoint.identity, way=endpoint.type)
    started = time.monotonic()
    answer = NmiAnswer(NmiOutcome.UNCERTAIN, "the run was interrupted while it waited for the answer")
    try:
        answer = injector.send_nmi(deadline)
    except Exception as error:  # noqa: BLE001 - whatever a library throws here, the NMI may be out
        answer = NmiAnswer(NmiOutcome.UNCERTAIN, f"{type(error).__name__}: {error}")
    finally:
        journal.append(
            "trigger",
            attempt=attempt,
            controller=endpoint.identity,
            outcome=str(answer.outcome),
            detail=answer.detail,
            seconds=round(time.monotonic() - started, 3),
        )
    return answer
