"""Send one email and wait until it has come to rest: MAILMUX_URL=… MAILMUX_KEY=… python send.py you@example.org"""

import os
import sys
import time

from mailmux_client import Mailmux

mailmux = Mailmux(os.environ.get("MAILMUX_URL", "http://127.0.0.1:8025"), os.environ["MAILMUX_KEY"])
email_id = mailmux.emails.send(
    sender="Shop <shop@example.com>", to=[sys.argv[1]], subject="Hello", text="It works."
)["id"]
for _ in range(100):
    email = mailmux.emails.get(email_id)
    if email["status"] not in ("queued", "sending", "deferred"):
        break
    time.sleep(0.1)  # between two looks at the status
print(email["status"], email["provider"])
for attempt in email["attempts"]:
    print(attempt["provider"], attempt["outcome"], attempt["decision"]["explanation"])
