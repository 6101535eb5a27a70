"""Who is told of tasks, when, how often; and that it arrives at real servers: HTTP, SMTP, an MQTT broker."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shelf_broker.launcher import RunningBroker
from shelf_collector.adapters.mqtt_bus import MqttBus
from shelf_collector.adapters.notice_channels import Mail, Ntfy, Webhook, _said, signature
from shelf_collector.config import SetupProblems, load_setup
from shelf_collector.core.access import Principal, Role
from shelf_collector.core.demand import Loss
from shelf_collector.core.notices import MOST_REMINDERS, Line, NoticePlan, NoticeRules, compose
from shelf_collector.core.tasks import Task
from shelf_collector.core.texts import WORDS
from shelf_collector.notice_words import NoticeWords, routes
from shelf_collector.notifying import QUEUE_SIZE, Notifier, Route
from shelf_collector.ports import NoticeMessage, NoticeProblem
from shelf_collector.task_topics import TaskTopics
from shelf_contracts import topics
from shelf_mqtt.session import MqttSession, Received
from tests.collector.builders import GTINS, NOON, STORE, Node, at, eventually, free_port
from tests.collector.conftest import Shop
from tests.collector.visitors import Visitor, logged_in

RULES = NoticeRules(timedelta(seconds=10), timedelta(minutes=10), timedelta(minutes=30))
OPENED, LATE = "task.opened", "task.escalated"


def task(number: int = 1, **changes: Any) -> Task:
    made = Task(
        number, "replenish", "", "a01", "s1-01", GTINS[0], "open", NOON, key=f"stock/{number}", detail="stock_out",
        quantity=4,
    )  # fmt: skip
    return replace(made, **changes)


def told(plan: NoticePlan, seconds: float) -> list[int]:
    notice = plan.due(at(seconds))
    return [one.task.id for one in notice.told] if notice else []


# -- when ------------------------------------------------------------------------------------------------------------


def test_what_comes_together_goes_out_together() -> None:
    plan = NoticePlan(RULES)
    plan.hear(task(1), OPENED, None, at(0))
    plan.hear(task(2), OPENED, None, at(8))
    assert told(plan, 9) == []
    assert told(plan, 10) == [1, 2]
    assert told(plan, 30) == []


@pytest.mark.parametrize("change", ["task.claimed", "task.snoozed", "task.verified", "task.quiet", "task.cancelled"])
def test_nobody_is_told_of_what_somebody_sees_to(change: str) -> None:
    plan = NoticePlan(RULES)
    plan.hear(task(), OPENED, None, at(0))
    plan.hear(task(state="claimed" if change == "task.claimed" else "open"), change, None, at(5))
    assert told(plan, 60) == []


def test_of_one_thing_nobody_is_told_twice_in_a_while_unless_it_waits_too_long() -> None:
    plan = NoticePlan(RULES)
    plan.hear(task(1), OPENED, None, at(0))
    assert told(plan, 10) == [1]
    plan.hear(task(2, key="stock/1"), OPENED, None, at(60))
    assert told(plan, 100) == []
    plan.hear(task(2, key="stock/1", escalated_at=at(200)), LATE, None, at(200))
    assert told(plan, 210) == [2]
    plan.hear(task(3, key="stock/1"), OPENED, None, at(210 + 600))
    assert told(plan, 820) == [3]


def test_what_waits_too_long_is_told_again_until_it_is_claimed_but_not_for_ever() -> None:
    plan = NoticePlan(RULES)
    late = task(escalated_at=NOON)
    plan.hear(late, LATE, None, at(0))
    when = [minute for minute in range(600) if told(plan, 60 * minute)]
    assert when == [1, 31, 61, 91][: 1 + MOST_REMINDERS]
    plan.hear(late, LATE, None, at(60_000))
    assert told(plan, 60_060) == [1]
    plan.hear(replace(late, state="claimed"), "task.claimed", None, at(60_100))
    assert [minute for minute in range(1001, 1200) if told(plan, 60 * minute)] == []


@pytest.mark.parametrize(
    ("begin", "end", "hour", "quiet"),
    [
        (22, 7, 23, True),
        (22, 7, 6, True),
        (22, 7, 7, False),
        (12, 14, 13, True),
        (12, 14, 14, False),
        (22, 7, 12, False),
    ],
)
def test_quiet_hours(begin: int, end: int, hour: int, quiet: bool) -> None:
    rules = replace(RULES, quiet=(time(begin), time(end)), zone=ZoneInfo("Europe/Amsterdam"))
    assert rules.is_quiet(NOON.replace(hour=0) + timedelta(hours=hour - 1)) is quiet, "an hour ahead of UTC in November"


@pytest.mark.parametrize(
    ("local", "quiet"),
    [
        # Summer time begins: 02:00 becomes 03:00, and 22:00 to 03:30 lasts an hour less.
        ("2027-03-27T21:59+01:00", False),
        ("2027-03-27T22:00+01:00", True),
        ("2027-03-28T00:00+01:00", True),
        ("2027-03-28T01:59+01:00", True),
        ("2027-03-28T03:00+02:00", True),
        ("2027-03-28T03:30+02:00", False),
        # It ends: 02:00 to 03:00 comes twice, and is quiet twice.
        ("2027-10-31T02:59+02:00", True),
        ("2027-10-31T02:00+01:00", True),
        ("2027-10-31T03:29+01:00", True),
        ("2027-10-31T03:30+01:00", False),
    ],
)
def test_quiet_hours_across_midnight_and_summer_time(local: str, quiet: bool) -> None:
    rules = replace(RULES, quiet=(time(22), time(3, 30)), zone=ZoneInfo("Europe/Amsterdam"))
    assert rules.is_quiet(datetime.fromisoformat(local).astimezone(UTC)) is quiet


def test_of_quiet_hours_that_the_clock_skips_nothing_is_left() -> None:
    plan = NoticePlan(replace(RULES, quiet=(time(2), time(3)), zone=ZoneInfo("Europe/Amsterdam")))
    before = datetime.fromisoformat("2027-03-28T01:59:55+01:00").astimezone(UTC)
    plan.hear(task(), OPENED, None, before)
    assert plan.due(before + timedelta(seconds=9)) is None
    assert plan.due(before + timedelta(seconds=10)) is not None, "ten seconds later it is 03:00:05"


def test_after_quiet_hours_what_is_still_to_be_done_is_told() -> None:
    plan = NoticePlan(replace(RULES, quiet=(time(11), time(13))))
    plan.hear(task(1), OPENED, None, at(0))
    plan.hear(task(2), OPENED, None, at(1))
    plan.hear(task(1), "task.verified", None, at(600))
    assert told(plan, 3599) == []
    assert told(plan, 3600) == [2]


def test_many_lines_stay_one_message() -> None:
    lines = [Line(f"Out: {number}", "a01", "about 3") for number in range(20)]
    title, text = compose(lines, "1 task", "{n} tasks", "and {n} more")
    assert title == "20 tasks"
    assert text.endswith("and 8 more")
    assert len(text.splitlines()) == 13


# -- arriving --------------------------------------------------------------------------------------------------------


@dataclass
class HttpSink:
    """A real HTTP server that answers what it is told to, in turn, and then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    says: bytes = b""
    is_endless: bool = False


@pytest.fixture
def http_sink() -> Iterator[HttpSink]:
    sink = HttpSink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.requests.append(({key.lower(): value for key, value in self.headers.items()}, body))
            self.send_response(sink.answers.pop(0) if sink.answers else 200)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(10**12 if sink.is_endless else len(sink.says)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(sink.says)
                while sink.is_endless:
                    self.wfile.write(b"and so on, " * 1000)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    sink.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    yield sink
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class MailSink:
    port: int = 0
    refuses: str = ""
    mails: list[str] = field(default_factory=list)


@pytest.fixture
def mail_sink() -> Iterator[MailSink]:
    """A real SMTP server of thirty lines."""
    sink = MailSink()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 sink\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper().strip()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines: list[bytes] = []
                    while (text := self.rfile.readline()) not in {b".\r\n", b""}:
                        lines.append(text)
                    sink.mails.append(b"".join(lines).decode())
                    self.wfile.write(b"250 taken\r\n")
                elif word == b"RCPT" and sink.refuses:
                    self.wfile.write(sink.refuses.encode() + b"\r\n")
                elif word == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 ok\r\n")

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        sink.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield sink
        server.shutdown()
        thread.join()


MESSAGE = NoticeMessage("d-1", NOON, "Proefwinkel", "Op: Fusilli (4×)", "Vak a01 · plank 1", "http://shop/staff", True)
SECRET = b"0123456789abcdef0123456789abcdef"


def test_a_webhook_is_signed_over_time_and_body(http_sink: HttpSink) -> None:
    Webhook("till", http_sink.url, SECRET, lambda: NOON).send(MESSAGE)
    headers, body = http_sink.requests[0]
    at_s, _, mac = headers["smartshelf-signature"].partition(",v1=")
    expected = hmac.new(SECRET, at_s.removeprefix("t=").encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(mac, expected)
    assert headers["smartshelf-delivery"] == "d-1"
    assert json.loads(body)["title"] == "Op: Fusilli (4×)"
    assert signature(SECRET, 1, b"a") != signature(SECRET, 2, b"a")


@pytest.mark.parametrize(("status", "is_final"), [(500, False), (429, False), (404, True), (302, True), (401, True)])
def test_what_a_server_answers_says_whether_to_try_again(http_sink: HttpSink, status: int, is_final: bool) -> None:
    http_sink.answers.append(status)
    with pytest.raises(NoticeProblem, match=str(status)) as problem:
        Webhook("till", http_sink.url, SECRET, lambda: NOON).send(MESSAGE)
    assert problem.value.is_final is is_final
    assert len(http_sink.requests) == 1, "redirects are not followed"


def test_an_answer_without_an_end_is_not_read_to_it(http_sink: HttpSink) -> None:
    http_sink.is_endless = True
    http_sink.answers += [503, 200]
    webhook = Webhook("till", http_sink.url, SECRET, lambda: NOON)
    with pytest.raises(NoticeProblem, match="503 Service Unavailable: and so on"):
        webhook.send(MESSAGE)
    assert webhook.send(MESSAGE).endswith("answers 200 OK")


def test_ntfy_gets_json_with_a_token(http_sink: HttpSink) -> None:
    Ntfy("phones", http_sink.url, "staff", "tk_secret").send(MESSAGE)
    headers, body = http_sink.requests[0]
    assert headers["authorization"] == "Bearer tk_secret"
    content = json.loads(body)
    assert (content["topic"], content["priority"], content["click"]) == ("staff", 4, "http://shop/staff")


def test_a_mail_arrives_and_a_name_makes_no_header(mail_sink: MailSink) -> None:
    mail = Mail("office", "127.0.0.1", mail_sink.port, "shelf@shop.example", ("anna@shop.example",), "none")
    mail.send(replace(MESSAGE, title="Leeg\r\nBcc: all@shop.example"))
    (got,) = mail_sink.mails
    assert "Subject: Proefwinkel: Leeg Bcc: all@shop.example" in got
    assert "\nBcc:" not in got
    mail_sink.refuses = "550 nobody of that name"
    with pytest.raises(NoticeProblem) as problem:
        mail.send(MESSAGE)
    assert problem.value.is_final


@pytest.mark.parametrize(
    ("answer", "is_final"),
    [("550 5.1.1 nobody of that name", True), ("451 4.7.1 greylisted, come back later", False)],
)
def test_what_a_mail_server_says_of_the_receiver_decides_whether_to_try_again(
    mail_sink: MailSink, answer: str, is_final: bool
) -> None:
    mail_sink.refuses = answer
    with pytest.raises(NoticeProblem) as problem:
        Mail("office", "127.0.0.1", mail_sink.port, "a@shop.example", ("anna@shop.example",), "none").send(MESSAGE)
    assert problem.value.is_final is is_final
    assert answer in str(problem.value)
    assert "anna@shop.example" in str(problem.value)


def test_why_nobody_answers_is_told_apart(http_sink: HttpSink) -> None:
    def why(url: str) -> str:
        with pytest.raises(NoticeProblem) as problem:
            Webhook("till", url, SECRET, lambda: NOON).send(MESSAGE)
        return problem.value.why

    assert why(f"http://127.0.0.1:{free_port()}/") == "nobody"
    assert why("http://no-such-name.invalid/") == "no_name"
    assert why(http_sink.url.replace("http:", "https:")) == "no_tls"


def test_what_a_server_answers_is_a_line_and_never_a_page_of_html() -> None:
    def said(content: bytes, kind: str) -> str:
        return _said(kind, content)

    assert said(b"<h1>Oops</h1>", "text/html; charset=utf-8") == ""
    assert said(b"down for\r\nmaintenance\x1b[31m", "text/plain") == "down for maintenance [31m"
    assert said(b'{"error": {"code": 1}, "message": "no such topic"}', "application/json") == "no such topic"
    assert len(said(b"x" * 5000, "text/plain")) == 200


# -- in words --------------------------------------------------------------------------------------------------------

KINDS = {
    "replenish": ("stock_out", "stock_low"), "help": ("",), "misplaced": ("",), "unknown": ("",),
    "anomaly": ("fallen",), "camera": ("covered", "moved"), "node": ("n01",),
}  # fmt: skip


@pytest.mark.parametrize("language", ["nl", "it", "en"])
def test_every_notice_is_in_the_language_of_the_config(shop: Shop, language: str) -> None:
    section = shop.setup.config.notices.model_copy(update={"language": language})
    setup = replace(shop.setup, config=shop.setup.config.model_copy(update={"notices": section}))
    words = NoticeWords(setup, shop.site.viewer)
    others = [name for name in ("nl", "it", "en") if name != language]
    for kind, details in KINDS.items():
        for detail in details:
            plan = NoticePlan(RULES)
            plan.hear(task(1, kind=kind, detail=detail, escalated_at=NOON), LATE, Loss(834, per_hour=3.0), NOON)
            notice = plan.due(at(11))
            assert notice is not None
            message = words.message(notice, "d-1")
            assert message.title.startswith(WORDS[language]["escalated"]), (kind, detail)
            key = {"help": "help_wanted", "replenish": detail}.get(kind, f"task_{kind}")
            said = WORDS[language].get(f"camera_{detail}", "") if kind == "camera" else ""
            assert (said or WORDS[language][key]) in message.title, (kind, detail)
            assert WORDS[language]["bay"] in message.text
            for other in others:
                assert WORDS[other]["escalated"] not in message.title
    test = words.test(NOON, "Anna")
    assert (test.title, "Anna" in test.text) == (WORDS[language]["notice_test_title"], True)


def test_the_page_speaks_the_phones_language_and_the_message_the_shops(
    shop_folder: Path, open_shop: Callable[[], Shop], http_sink: HttpSink
) -> None:
    (shop_folder / "secret").write_text(SECRET.decode())
    config = shop_folder / "collector.toml"
    config.write_text(
        config.read_text().replace("demo.open_to_this_computer = true\n", "")
        + '[notices]\nlanguage = "it"\n'
        + f'[[notices.webhooks]]\nname = "till"\nurl = "{http_sink.url}"\nsecret_file = "secret"\n'
    )
    shop = open_shop()
    words = NoticeWords(shop.setup, shop.site.viewer)
    notifier = Notifier(routes(shop.setup, shop.clock), RULES, words.message, shop.clock)
    shop = replace(shop, site=replace(shop.site, notifier=notifier, notice_words=words))
    anna = logged_in(shop, "Anna", Role.STAFF)
    anna.headers["Accept-Language"] = "en-GB,en;q=0.9"
    anna.send("/staff/notices/till/test", page="/staff/notices")
    content = json.loads(http_sink.requests[0][1])
    assert (content["title"], "Non c'è nulla da fare" in content["text"]) == ("Prova", True)
    assert content["link"].endswith("/staff"), "no language in it: the phone that opens it has its own"
    assert "The test was taken." in anna.get("/staff/notices?test=done&channel=till").text
    anna.headers["Accept-Language"] = "nl"
    assert "De test is aangenomen." in anna.get("/staff/notices?test=done&channel=till").text
    assert '<html lang="nl">' in anna.get("/staff").text


def test_a_mail_server_without_tls_gets_no_mail(mail_sink: MailSink) -> None:
    mail = Mail("office", "127.0.0.1", mail_sink.port, "shelf@shop.example", ("anna@shop.example",), "starttls")
    with pytest.raises(NoticeProblem):
        mail.send(MESSAGE)
    assert mail_sink.mails == []


def test_nobody_there_is_tried_again() -> None:
    for channel in (
        Webhook("till", f"http://127.0.0.1:{free_port()}/", SECRET, lambda: NOON),
        Mail("office", "127.0.0.1", free_port(), "a@shop.example", ("b@shop.example",), "none"),
    ):
        with pytest.raises(NoticeProblem) as problem:
            channel.send(MESSAGE)
        assert not problem.value.is_final


def test_a_channel_tries_again_and_says_how_it_went(http_sink: HttpSink, shop: Shop) -> None:
    http_sink.answers += [500, 503]
    channel = Webhook("till", http_sink.url, SECRET, shop.clock.now)
    words = NoticeWords(shop.setup, shop.site.viewer)
    notifier = Notifier([Route(channel, "webhook")], RULES, words.message, shop.clock, retry_s=(0.01, 0.01, 0.01))
    notifier.start()
    try:
        notifier.hear(
            task(),
            OPENED,
            Loss(834, per_hour=3.0),
        )
        shop.clock.advance(11)
        eventually(lambda: notifier.states()[0].sent)
    finally:
        notifier.stop()
    assert len(http_sink.requests) == 3
    assert {headers["smartshelf-delivery"] for headers, _ in http_sink.requests} == {
        http_sink.requests[0][0]["smartshelf-delivery"]
    }
    content = json.loads(http_sink.requests[-1][1])
    assert content["title"] == "Op: Fusilli (4×)"
    assert content["text"].endswith("ongeveer € 8,34 gemist in 2 u")
    assert (content["tasks"][0]["task"], content["tasks"][0]["expected_loss_cents"]) == ("t-1", 834)
    assert notifier.states()[0].problem == ""


def test_a_queue_that_is_full_loses_the_oldest_and_counts_it(shop: Shop) -> None:
    begun, go_on, sent = threading.Event(), threading.Event(), list[str]()

    class Slow:
        name = "slow"

        def send(self, message: NoticeMessage) -> str:
            begun.set()
            assert go_on.wait(10)
            sent.append(message.id)
            return "thanks"

    words = NoticeWords(shop.setup, shop.site.viewer)
    rules = replace(RULES, group=timedelta(), cooldown=timedelta())
    notifier = Notifier([Route(Slow(), "webhook")], rules, words.message, shop.clock)
    notifier.start()
    try:
        for number in range(QUEUE_SIZE + 6):
            notifier.hear(task(number + 1), OPENED, None)
            notifier.work()
            if number == 0:
                assert begun.wait(10)
        eventually(lambda: notifier.states()[0].dropped >= 5 and notifier.states()[0].waiting == QUEUE_SIZE)
        go_on.set()
        eventually(lambda: notifier.states()[0].waiting == 0)
    finally:
        go_on.set()
        notifier.stop()


def test_machines_hear_of_tasks_from_a_real_broker(broker: RunningBroker, shop: Shop) -> None:
    heard: list[Received] = []
    bus = MqttBus(broker.address, STORE, lambda _: None, list, shop.clock)
    wanted = [(topics.subscription("task_state", store=STORE), 1)]
    listener = MqttSession(
        broker.address, client_id="listener", persistent=False, on_message=heard.append, subscriptions=wanted
    )
    bus.start()
    listener.start()
    try:
        eventually(lambda: bus.is_connected and listener.is_connected)
        said = TaskTopics(bus, STORE)
        said.hear(task(), OPENED, Loss(834))
        eventually(lambda: heard)
        assert json.loads(heard[-1].payload)["expected_loss_cents"] == 834
        said.hear(task(state="verified"), "task.verified", None)
        eventually(lambda: heard[-1].payload == b"")
    finally:
        listener.stop()
        bus.stop()


# -- the config and the page -----------------------------------------------------------------------------------------


def write_notices(folder: Path, text: str) -> None:
    config = folder / "collector.toml"
    config.write_text(config.read_text() + text)


WRONG = """
[notices]
quiet_from = "22:00"
[[notices.webhooks]]
name = "till"
url = "ftp://shop"
secret_file = "no.secret"
[[notices.mail]]
name = "office"
host = "mail.shop"
sender = "nobody"
to = []
"""


def test_every_mistake_is_named_with_its_place(shop_folder: Path) -> None:
    write_notices(shop_folder, WRONG)
    with pytest.raises(SetupProblems) as problems:
        load_setup(shop_folder / "collector.toml")
    for place in ("notices.webhooks[0].url", "notices.mail[0].sender", "notices.mail[0].to"):
        assert place in str(problems.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[notices]\nquiet_from = "22:00"\n', "quiet_from and quiet_until"),
        ('[notices]\ntime_zone = "Mars/Olympus"\n', "Europe/Amsterdam"),
        (
            '[[notices.webhooks]]\nname = "till"\nurl = "http://shop"\nsecret_file = "short"\n',
            "notices.webhooks.till.secret_file",
        ),
        (
            '[[notices.webhooks]]\nname = "till"\nurl = "http://shop"\nsecret_file = "none"\n',
            "must be a readable file",
        ),
        (
            '[[notices.mail]]\nname = "m"\nhost = "m"\nsender = "a@b.c"\nto = ["a@b.c"]\nusername = "u"\n'
            'password_file = "short"\nsecurity = "none"\n',
            "in the clear",
        ),
        ('[tasks]\naisles = { Dairy = ["zz"] }\n', "tasks.aisles.Dairy"),
        ('[tasks]\naisles = { Dairy = ["a01"], Fish = ["a01"] }\n', "each bay belongs to one aisle"),
    ],
)
def test_settings_that_do_not_go_together(shop_folder: Path, text: str, said: str) -> None:
    (shop_folder / "short").write_text("abc")
    write_notices(shop_folder, text)
    with pytest.raises(SetupProblems, match=said):
        load_setup(shop_folder / "collector.toml")


def test_a_test_on_each_channel_from_the_page(
    shop_folder: Path, open_shop: Callable[[], Shop], http_sink: HttpSink, mail_sink: MailSink
) -> None:
    (shop_folder / "secret").write_text(SECRET.decode())
    config = shop_folder / "collector.toml"
    config.write_text(
        config.read_text().replace("demo.open_to_this_computer = true\n", "")
        + f'[[notices.webhooks]]\nname = "till"\nurl = "{http_sink.url}"\nsecret_file = "secret"\n'
        + f'[[notices.ntfy]]\nname = "phones"\nserver = "{http_sink.url}"\ntopic = "staff"\n'
        + f'[[notices.mail]]\nname = "office"\nhost = "127.0.0.1"\nport = {mail_sink.port}\nsecurity = "none"\n'
        + 'sender = "shelf@shop.example"\nto = ["anna@shop.example"]\n'
    )
    shop = open_shop()
    words = NoticeWords(shop.setup, shop.site.viewer)
    notifier = Notifier(routes(shop.setup, shop.clock), RULES, words.message, shop.clock)
    shop = replace(shop, site=replace(shop.site, notifier=notifier, notice_words=words))
    anna = logged_in(shop, "Anna", Role.STAFF)
    for name in ("till", "phones", "office", "mqtt"):
        answer = anna.send(f"/staff/notices/{name}/test", page="/staff/notices", lang="en")
        assert (
            answer.headers["location"]
            == f"/staff/notices?lang=en&test={'ok' if name == 'mqtt' else 'done'}&channel={name}"
        )
        again = anna.send(f"/staff/notices/{name}/test", page="/staff/notices", lang="en")
        assert "test=wait" in again.headers["location"], "a double click is one test"
    assert [json.loads(body).get("test", json.loads(body).get("topic")) for _, body in http_sink.requests] == [
        True,
        "staff",
    ]
    assert "Anna" in mail_sink.mails[0]
    page = anna.get("/staff/notices?lang=en&test=done&channel=office").text
    assert "The test was taken." in page
    assert "says 250 taken" in page, "what the mail server said of it"
    http_sink.answers += [404]
    http_sink.says = b'{"code": 40401, "http": 404, "error": "topic not found"}'
    shop.clock.advance(6)
    bad = anna.send("/staff/notices/till/test", page="/staff/notices", lang="en")
    for address in (bad.headers["location"], "/staff/notices?lang=en"):
        page = anna.get(address).text
        assert "The other side does not take it: " in page
        assert "answers 404 Not Found: topic not found" in page
        assert "It is not sent again." in page
    newest = shop.site.doorkeeper.accounts.newest_about("notice.tested", "channel:till")
    assert newest is not None
    assert newest.actor == "person:Anna"
    assert anna.send("/staff/notices/nobody/test", page="/staff/notices").status_code == 404


def test_without_channels_the_page_says_how_to_have_one(shop: Shop) -> None:
    page = Visitor(shop, base="http://127.0.0.1:8080").get("/staff/notices?lang=en").text
    assert "[[notices.ntfy]]" in page
    assert "smartshelf/v1/demo/task/+/state" in page


def test_a_task_claimed_on_the_page_is_not_told(shop: Shop) -> None:
    sent: list[NoticeMessage] = []

    class Channel:
        name = "list"

        def send(self, message: NoticeMessage) -> str:
            sent.append(message)
            return "thanks"

    words = NoticeWords(shop.setup, shop.site.viewer)
    notifier = Notifier([Route(Channel(), "webhook")], RULES, words.message, shop.clock)
    shop.site.desk.listen(notifier.hear)
    shop.say(Node().stock("s1-02", 0))
    shop.wait(6)
    (work,) = shop.site.desk.work_list("").waiting
    shop.site.desk.claim(work.task.id, Principal("person", "Anna", Role.STAFF), "")
    shop.clock.advance(60)
    notifier.work()
    assert notifier.states()[0].waiting == 0
