"""Members of our consumer groups whose process on this host is dead.

A coordinator notices a killed worker when its session times out, and only then lets the group go on; the
embedded broker (noida-db 0.2.3) never notices. On the same host one can know better: the process is gone.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any

import mode
from kafka.admin import MemberToRemove
from kafka.errors import KafkaError

from streams.admin import NoBrokerError, open_admin
from streams.settings import Kafka

CHECK_S = 3.0
"""How long the partitions of a worker that was killed lie still, where another one runs on its host."""


def client_id(role: str) -> str:
    """Client id of this process: role, host, process id."""
    return f"headrace-{role}@{socket.gethostname()}:{os.getpid()}"


def is_dead(client_id: str) -> bool:
    """Whether a client id names a process of this host that is no more; False for all that is not ours.

    >>> is_dead("headrace-process@another-host:1"), is_dead("rdkafka")
    (False, False)
    """
    head, _, pid = client_id.rpartition(":")
    if not head.startswith("headrace-") or not head.endswith(f"@{socket.gethostname()}") or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def remove_dead_members(kafka: Kafka, groups: Sequence[str]) -> int:
    """Remove dead members from groups; returns how many. Raises what the admin client raises."""
    removed = 0
    with open_admin(kafka) as admin:
        for group, description in admin.describe_groups(list(groups)).items():
            for member in description["members"]:
                if is_dead(member["client_id"]):
                    admin.remove_group_members(group, [MemberToRemove(member_id=member["member_id"])])
                    removed += 1
    return removed


class Neighbours(mode.Service):
    """Removes dead members before we join, and then now and again.

    Who is alive is never touched: should the process id have been given to another process, the session
    timeout does its work as ever.
    """

    def __init__(self, kafka: Kafka, groups: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kafka = kafka
        self._groups = groups

    async def on_start(self) -> None:
        await asyncio.to_thread(remove_dead_members, self._kafka, self._groups)

    @mode.Service.task
    async def _check(self) -> None:
        while not self.should_stop:
            await self.sleep(CHECK_S)
            try:
                await asyncio.to_thread(remove_dead_members, self._kafka, self._groups)
            except (KafkaError, NoBrokerError) as error:
                # A courtesy: whether the broker can be used is for those to say who need it.
                self.log.info("Dead members could not be looked for: %s", type(error).__name__)
