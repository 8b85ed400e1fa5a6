"""How fast providers' events are taken: `mailmux bench webhooks`."""
