"""Members of our consumer groups that will never answer again: those of dead processes of this host, and ours
of before, which we gave up.

A coordinator notices them when their session times out, and only then lets the group go on; the embedded
broker (noida-db 0.2.3) never notices. Who runs on the same host can know better.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import mode
from kafka.admin import MemberToRemove
from kafka.errors import KafkaError

from models.hashing import stable_key
from streams.admin import NoBrokerError, open_admin
from streams.settings import Kafka

CHECK_S = 3.0
"""How long the partitions of a worker that was killed lie still, where another one runs on its host."""


@cache
def place() -> str:
    """Where process ids mean what they mean to us: host name, boot and process namespace.

    The name alone may be that of many machines, or of many containers of one.
    """
    marks = [socket.gethostname()]
    with suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        marks.append(str(Path("/proc/self/ns/pid").readlink()))
    return f"{marks[0]}-{stable_key('/'.join(marks)):016x}"


def client_id(role: str) -> str:
    """Client id of this process: role, place, process id."""
    return f"headrace-{role}@{place()}:{os.getpid()}"


def is_dead(client_id: str) -> bool:
    """Whether a client id names a process of this host that is no more; False for all that is not ours.

    >>> is_dead("headrace-process@another-host:1"), is_dead("rdkafka")
    (False, False)
    """
    head, _, pid = client_id.rpartition(":")
    if not head.startswith("headrace-") or not head.endswith(f"@{place()}") or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def remove_dead_members(kafka: Kafka, former: Mapping[str, Collection[str]]) -> int:
    """Remove dead members from groups, and the given former ones; returns how many.

    Raises what the admin client raises.
    """
    removed = 0
    with open_admin(kafka) as admin:
        for group, description in admin.describe_groups(list(former)).items():
            for member in description["members"]:
                if is_dead(member["client_id"]) or member["member_id"] in former[group]:
                    admin.remove_group_members(group, [MemberToRemove(member_id=member["member_id"])])
                    removed += 1
    return removed


class Neighbours(mode.Service):
    """Removes dead members before we join, and then now and again.

    ``former`` says for each group which members we were. Who is alive is never touched: should the process id
    have been given to another process, the session timeout does its work as ever.
    """

    def __init__(self, kafka: Kafka, former: Mapping[str, Callable[[], set[str]]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kafka = kafka
        self._former = former

    async def on_start(self) -> None:
        await self._remove()

    @mode.Service.task
    async def _check(self) -> None:
        while not self.should_stop:
            await self.sleep(CHECK_S)
            with suppress(NoBrokerError):  # whether the broker can be used is for those to say who need it
                await self._remove()

    async def _remove(self) -> None:
        former = {group: members() for group, members in self._former.items()}
        try:
            await asyncio.to_thread(remove_dead_members, self._kafka, former)
        except KafkaError as error:
            # A courtesy that can wait: a new cluster has no coordinator yet, another may be looking for one.
            self.log.info("Dead members could not be looked for: %s", type(error).__name__)
