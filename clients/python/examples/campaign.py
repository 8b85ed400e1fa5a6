"""Send a batch; what is wrong with single entries is shown, the others go: python campaign.py ADDRESS…"""

import os
import sys

from mailmux_client import Mailmux

mailmux = Mailmux(os.environ.get("MAILMUX_URL", "http://127.0.0.1:8025"), os.environ["MAILMUX_KEY"])
done = mailmux.emails.send_batch(
    [{"to": [address]} for address in sys.argv[1:]],
    defaults={
        "from": "Shop <shop@example.com>",
        "subject": "The spring sale",
        "text": "It begins tomorrow.",
        "email_type": "marketing",
        "tags": ["spring"],
    },
    permissive=True,
)
print(done["accepted"], "accepted,", done["rejected"], "rejected")
for result in done["results"]:
    for error in result["errors"]:
        print(sys.argv[1 + result["index"]], error["detail"])
