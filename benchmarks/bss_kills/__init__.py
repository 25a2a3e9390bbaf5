"""kill -9 in the middle of what the business layer writes: ground.py lays what writers work on, writers.py are the processes that are killed, truth.py looks
from outside whether anything is half there, was lost or was done twice; __main__.py is the proof."""
