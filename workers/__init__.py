"""Work out: claim what is due, decide, write the ledger, send, record. Celery only rings the bell."""
