"""Attacks and faults: detectors over the rows that leave the pipeline, and the alerts they become. See docs/detection.md."""
