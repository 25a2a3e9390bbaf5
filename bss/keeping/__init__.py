"""What keeps an office: its keys are changed (keys.py), it is copied away and put back (backup.py, restoring.py)."""
