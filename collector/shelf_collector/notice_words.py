"""The channels of the config, and a notice in the words of the shop."""

from __future__ import annotations

import uuid
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from shelf_collector.adapters.notice_channels import Mail, Ntfy, Webhook
from shelf_collector.config import CollectorSetup, NoticesSection, read_secret
from shelf_collector.core.notices import Line, Notice, NoticeRules, Told, compose
from shelf_collector.core.texts import WORDS, money, number
from shelf_collector.core.views import Viewer
from shelf_collector.notifying import Route
from shelf_collector.ports import Clock, NoticeMessage
from shelf_collector.task_topics import task_message
from shelf_contracts.products import text_in


def notice_rules(section: NoticesSection) -> NoticeRules:
    """What the config says about when."""
    quiet = None
    if section.quiet_from is not None and section.quiet_until is not None:
        quiet = time.fromisoformat(section.quiet_from), time.fromisoformat(section.quiet_until)
    return NoticeRules(
        timedelta(seconds=section.group_seconds), timedelta(minutes=section.cooldown_minutes),
        timedelta(minutes=section.repeat_minutes), quiet, ZoneInfo(section.time_zone),
    )  # fmt: skip


def routes(setup: CollectorSetup, clock: Clock) -> list[Route]:
    """The channels of the config, with their secrets."""
    section, folder = setup.config.notices, setup.folder
    found = [
        Route(Webhook(one.name, one.url, read_secret(folder / one.secret_file).encode(), clock.now), "webhook",
              one.late_only)
        for one in section.webhooks
    ]  # fmt: skip
    for one in section.ntfy:
        token = read_secret(folder / one.token_file) if one.token_file else ""
        found.append(Route(Ntfy(one.name, one.server, one.topic, token), "ntfy", one.late_only))
    for mail in section.mail:
        password = read_secret(folder / mail.password_file) if mail.password_file else ""
        channel = Mail(
            mail.name, mail.host, mail.port, mail.sender, tuple(mail.to), mail.security, mail.username, password
        )
        found.append(Route(channel, "mail", mail.late_only))
    return found


class NoticeWords:
    """Puts notices into words."""

    def __init__(self, setup: CollectorSetup, viewer: Viewer) -> None:
        self._store = setup.config.store_name or setup.config.store
        self._link = f"{setup.config.http.address}/staff"
        self._language = setup.config.notices.language
        self._viewer = viewer

    def message(self, notice: Notice, delivery: str) -> NoticeMessage:
        words = WORDS[self._language]
        lines = [self._line(one) for one in notice.told]
        title, text = compose(lines, words["tasks_one"], words["tasks_many"], words["notice_more"])
        link = f"{self._link}#task-{notice.told[0].task.id}" if len(notice.told) == 1 else self._link
        tasks = tuple(
            task_message(one.task, is_quiet=False, worth=one.worth).model_dump(mode="json") for one in notice.told
        )
        about = tuple(one.task.id for one in notice.told)
        return NoticeMessage(
            delivery, notice.at, self._store, title, text, link, notice.is_urgent, tasks, about=about
        )  # fmt: skip

    def test(self, now: datetime, who: str) -> NoticeMessage:
        """A message that says that it is a test."""
        words = WORDS[self._language]
        text = words["notice_test_text"].replace("{name}", who)
        return NoticeMessage(
            str(uuid.uuid4()), now, self._store, words["notice_test_title"], text, self._link, False, is_test=True
        )

    def _line(self, told: Told) -> Line:
        words, task = WORDS[self._language], told.task
        kind = {"help": "help_wanted", "replenish": task.detail}.get(task.kind, f"task_{task.kind}")
        what = words.get(kind, words["stock_low"])
        if task.kind == "camera":
            what = words.get(f"camera_{task.detail}", what)
        if task.kind == "node":
            what = f"{what}: {task.detail}"
        if task.kind == "products":
            what = f"{what}: {task.key.partition('/')[2]}"
        if task.slot and task.kind != "unknown":
            is_other = task.kind == "misplaced"
            known = self._viewer.event_name(task.bay, task.slot, task.gtin, "misplaced" if is_other else None)
            name = text_in(known, self._language)
            what = f"{what}: {name}"
        if task.kind == "replenish" and task.quantity:
            what += f" ({task.quantity}×)"
        if told.is_late:
            what = f"{words['escalated']} – {what}"
        where = f"{words['bay']} {task.bay}" if task.bay else ""
        if task.slot:
            place = self._viewer.place(task.bay, task.slot)
            where += f" · {words['shelf']} {place.shelf}" if place.shelf else ""
            where += f" · {words['slot']} {place.slot}"
            where += f" · {words['from_left'].replace('{n}', str(task.facing))}" if task.facing else ""
        return Line(what, where, self._loss(told))

    def _loss(self, told: Told) -> str:
        worth, words = told.worth, WORDS[self._language]
        if worth is None or not worth.cents:
            return ""
        amount = money(worth.cents, worth.currency, self._language)
        return words["loss_about"].replace("{money}", amount).replace("{hours}", number(worth.hours, self._language))
