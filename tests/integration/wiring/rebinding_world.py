"""A network of its own for one process: a resolver that changes its mind, a public server, and one that is inside.

    unshare --user --map-root-user --net --mount python -m tests.integration.wiring.rebinding_world FOLDER

Nothing leaves it, so an address of the public internet can be one of ours, and the guard stays as it is. FOLDER holds
ca.pem and server.pem; writes, as JSON, what became of each name's file, and what was asked of resolver and servers.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, cycle, repeat
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset

from providers.fetching import Fetched
from wiring.bootstrap import SystemClock
from wiring.settings import Settings
from wiring.stores import build_fetch

PUBLIC, PUBLIC6 = "93.184.216.34", "2606:2800:220:1::34"
INSIDE = "127.0.0.1"
# What the resolver answers to one question after the other: IPv4 addresses, and IPv6 ones.
ANSWERS: Mapping[str, tuple[Iterator[list[str]], list[str]]] = {
    "turns-inside.example": (chain([[PUBLIC]], repeat([INSIDE])), []),
    "turns-public.example": (chain([[INSIDE]], repeat([PUBLIC])), []),
    "takes-turns.example": (cycle([[PUBLIC], [INSIDE]]), []),
    "both.example": (repeat([PUBLIC, INSIDE]), []),
    "inside.example": (repeat([INSIDE]), []),
    "mapped.example": (repeat([]), ["::ffff:127.0.0.1"]),
    "nat64.example": (repeat([PUBLIC]), ["64:ff9b::7f00:1"]),
    "loopback6.example": (repeat([PUBLIC]), ["::1"]),
    "public.example": (repeat([PUBLIC]), [PUBLIC6]),
}
TIMES = {"takes-turns.example": 6}  # that its file is asked for; others once


def main(folder: Path) -> None:
    for words in (
        "link set lo up",
        f"addr add {PUBLIC}/32 dev lo",
        f"-6 addr add {PUBLIC6}/128 dev lo nodad",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    for name, line in (("resolv.conf", f"nameserver {INSIDE}"), ("nsswitch.conf", "hosts: files dns")):
        if Path("/etc", name).exists():
            (folder / name).write_text(f"{line}\n")
            subprocess.run(["mount", "--bind", folder / name, Path("/etc", name)], check=True)
    os.environ["SSL_CERT_FILE"] = str(folder / "ca.pem")
    questions, visits = Counter[str](), Counter[str]()
    _resolve(questions)
    for address, what in ((PUBLIC, b"public"), (PUBLIC6, b"public"), (INSIDE, b"secret"), ("::1", b"secret")):
        _serve(address, what, folder / "server.pem", visits)
    settings = Settings.from_env(
        {
            "DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
            "REDIS_URL": "redis://127.0.0.1/0",
            "MAILMUX_ENCRYPTION_KEYS": "k:" + base64.b64encode(b"k" * 32).decode(),
        }
    )
    fetch = build_fetch(settings, SystemClock())
    found = {}
    for name in ANSWERS:
        answers = [fetch([f"https://{name}/file.txt"], 100)[0] for _ in range(TIMES.get(name, 1))]
        found[name] = [a.content.decode() if isinstance(a, Fetched) else a.code for a in answers]
    told = json.dumps({"found": found, "questions": questions, "visits": visits})
    with socket.create_connection((INSIDE, 443), timeout=5):
        pass  # there was somebody inside to be reached
    sys.stdout.write(told)
    sys.stdout.flush()
    os._exit(0)


def _resolve(questions: Counter[str]) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((INSIDE, 53))

    def serve() -> None:
        while True:
            asked, sender = sock.recvfrom(4096)
            query = dns.message.from_wire(asked)
            question = query.question[0]
            name = question.name.to_text().rstrip(".").lower()
            kind = dns.rdatatype.to_text(question.rdtype)
            questions[f"{kind} {name}"] += 1
            four, six = ANSWERS.get(name, (repeat([]), []))
            addresses = next(four) if kind == "A" else six
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if addresses:
                answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", kind, *addresses))
            sock.sendto(answer.to_wire(), sender)

    threading.Thread(target=serve, daemon=True).start()


def _serve(address: str, what: bytes, certificate: Path, visits: Counter[str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(
        (address, 443), family=socket.AF_INET6 if ":" in address else socket.AF_INET
    )

    def serve() -> None:
        while True:
            plain, _ = listener.accept()
            visits[address] += 1
            try:
                with context.wrap_socket(plain, server_side=True) as secure:
                    secure.recv(4096)
                    secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(what), what))
            except OSError:
                plain.close()

    threading.Thread(target=serve, daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
