"""Units that make a scheduler of the system run the audit; nothing of our own stays running."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence

HOUR, MINUTE = 2, 30
"""When it runs, every night."""

SPREAD = 900
"""Seconds over which machines with the same unit spread themselves."""


def systemd(command: Sequence[str]) -> Mapping[str, str]:
    """A service and its timer (systemd.service(5), systemd.timer(5)), by file name.

    Exit codes 1 to 3 are verdicts about the hosts, and no failure of the service.
    """
    service = f"""[Unit]
Description=Would a hang end in a usable dump? The audit of the fleet
Documentation=man:systemd.timer(5)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={" ".join(_systemd_word(word) for word in command)}
SuccessExitStatus=1 2 3
TimeoutStartSec=4h
Nice=10
NoNewPrivileges=yes
PrivateTmp=yes
"""
    timer = f"""[Unit]
Description=The audit of the fleet, every night

[Timer]
OnCalendar=*-*-* {HOUR:02}:{MINUTE:02}:00
RandomizedDelaySec={SPREAD}
Persistent=yes

[Install]
WantedBy=timers.target
"""
    return {"hang-collector-audit.service": service, "hang-collector-audit.timer": timer}


def cron(command: Sequence[str]) -> Mapping[str, str]:
    """A file for /etc/cron.d (crontab(5)). Cron takes a percent sign for the end of the command."""
    line = shlex.join(command).replace("%", r"\%")
    return {"hang-collector": f"{MINUTE} {HOUR} * * * root {line}\n"}


def kubernetes(command: Sequence[str]) -> Mapping[str, str]:
    """A CronJob (Kubernetes API, batch/v1). Its values are written as JSON, which YAML contains.

    The image, and the Secret with the settings file, are for whoever installs it to name.
    """
    return {
        "hang-collector-audit.yaml": f"""apiVersion: batch/v1
kind: CronJob
metadata:
  name: hang-collector-audit
spec:
  schedule: "{MINUTE} {HOUR} * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 0
      activeDeadlineSeconds: 14400
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: audit
              image: hang-collector:latest
              command: {json.dumps(list(command))}
              volumeMounts:
                - {{name: settings, mountPath: /etc/hang-collector, readOnly: true}}
          volumes:
            - name: settings
              secret: {{secretName: hang-collector}}
"""
    }


KINDS: Mapping[str, Callable[[Sequence[str]], Mapping[str, str]]] = {
    "systemd": systemd,
    "cron": cron,
    "kubernetes": kubernetes,
}
"""Each scheduler, and what makes its units from a command, by file name."""


def _systemd_word(word: str) -> str:
    """Quoted, with what systemd would expand doubled (systemd.service(5), COMMAND LINES)."""
    doubled = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{doubled}"' if doubled != word or not word or set(word) & set(" \t';") else word
