"""What is done without anybody waiting: jobs (job.py) of the kinds in kinds.py, events for others (outbox.py), mail (mail.py). worker.py runs it."""
